"""Quality under published protocols: `python -m benchmarks.quality STEP`.

A step goes on where it was interrupted. What it measured is appended to results.jsonl
when it ends, with the settings, the seed and the time it took; `table` writes the
means over seeds into docs/quality.md.
"""

import json
import os
import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.quality.steps import STEPS, data_of
from benchmarks.quality.table import METRICS, RESULTS, write_table
from data import files
from data.cli import tell_errors
from data.console import say
from data.errors import ConfigError
from data.schema import as_table
from trainer.command import STATUSES, quieten
from trainer.export.manifest import package_versions

SPENT = "spent.json"


@click.command()
@click.argument("step", type=click.Choice([*STEPS, "table"]))
@click.option("--seed", default=42, show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE")
@click.option("--name", default="", help="What other settings try.")
@click.option("--out", default="artifacts/quality", show_default=True, type=Path)
@tell_errors(STATUSES)
def main(
    step: str, seed: int, overrides: tuple[str, ...], name: str, out: Path
) -> None:
    """Train and measure a step, or write the table of all results."""
    quieten()
    if step == "table":
        write_table()
        return
    if overrides and not name:
        raise ConfigError(
            f"--set {overrides[0]}: other settings than the step's need a name of "
            'their own in the table. Add --name "what they try", or NAME="..." to make.'
        )
    chosen = STEPS[step]
    experiment = chosen.experiment(out, step, seed, overrides)
    folder = Path(experiment.out)
    before = _spent(folder)
    started = time.perf_counter()
    try:
        found = chosen.measure(experiment)
    finally:
        spent = _add(before, time.perf_counter() - started)
        files.write_json(folder / SPENT, spent)
    record = {
        "step": step,
        "name": name,
        "seed": seed,
        "overrides": list(overrides),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": len(os.sched_getaffinity(0)),
        **spent,
        "data": data_of(experiment),
        "settings": _settings(experiment.config),
        "versions": package_versions(),
        **found,
    }
    _append(record)
    for model, metrics in found["models"].items():
        shown = " ".join(
            f"{metric} {metrics[metric]['mean']:.4f}"
            for metric in METRICS
            if metric in metrics
        )
        say(f"{step}, seed {seed}, {model}: {shown}")
    say(f"{spent['wall_s']:.0f} s, {spent['cpu_s']:.0f} s of CPU; see {RESULTS}")


def _spent(folder: Path) -> dict[str, float]:
    """Return what earlier starts of the same run took."""
    if (folder / SPENT).exists():
        return dict(files.read_json(folder / SPENT))
    folder.mkdir(parents=True, exist_ok=True)
    return {"wall_s": 0.0, "cpu_s": 0.0, "peak_mib": 0.0}


def _add(before: dict[str, float], wall_s: float) -> dict[str, float]:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_s": round(before["wall_s"] + wall_s, 1),
        "cpu_s": round(before["cpu_s"] + own.ru_utime + own.ru_stime, 1),
        "peak_mib": max(before["peak_mib"], own.ru_maxrss // 1024),
    }


def _settings(config: Any) -> dict[str, Any]:
    names = ("text", "retrieval", "ranking", "train")
    return {name: as_table(getattr(config, name)) for name in names}


def _append(record: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.quality")
