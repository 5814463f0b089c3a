"""`python -m benchmarks.retrain`: slices under load, warm and scratch, and kills."""

import json
import shutil
from pathlib import Path
from typing import Any

import click

from benchmarks.retrain.kills import kill_table, kills_markdown
from benchmarks.retrain.replay import replay, replay_markdown
from benchmarks.retrain.slices import slice_by_time
from benchmarks.retrain.starts import (
    SCRATCH,
    WARM,
    compare_starts,
    starts_markdown,
)
from benchmarks.serving.results import conditions
from data.console import say

PARTS = ("replay", "kills")


@click.command()
@click.argument("toml", type=click.Path(path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--first", default=0.6, show_default=True, help="Share trained first.")
@click.option("--slices", default=4, show_default=True)
@click.option("--start", multiple=True, default=(SCRATCH, WARM))
@click.option("--rate", default=20.0, show_default=True, help="Requests a second.")
@click.option("--kills", default=20, show_default=True, help="In each short step.")
@click.option("--long-kills", default=20, show_default=True, help="In each long one.")
@click.option("--seed", default=7, show_default=True)
@click.option("--only", type=click.Choice(PARTS))
@click.option("--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE")
def main(
    toml: Path,
    work: Path,
    first: float,
    slices: int,
    start: tuple[str, ...],
    rate: float,
    kills: int,
    long_kills: int,
    seed: int,
    only: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Write WORK/results.json: decisions, metrics, times, requests, and the kills."""
    shutil.rmtree(work, ignore_errors=True)
    found: dict[str, Any] = {"measured": conditions(), "seed": seed}
    if only != "kills":
        sliced = slice_by_time(toml, work / "data", first, slices)
        for one in start:
            found[one] = replay(sliced, work / one, overrides, start=one, rate=rate)
            _save(work, found)
            rows = [row for one in start for row in found.get(one, ())]
            (work / "replay.md").write_text(replay_markdown(rows))
        if {SCRATCH, WARM} <= set(start):
            found["starts"] = compare_starts(found, seed)
            _save(work, found)
            (work / "starts.md").write_text(starts_markdown(found["starts"]))
    if only != "replay":
        found["kills"] = kill_table(
            work / "kills", kills=kills, long_kills=long_kills, seed=seed
        )
        (work / "kills.md").write_text(kills_markdown(found["kills"], seed))
    _save(work, found)


def _save(work: Path, found: dict[str, Any]) -> None:
    place = work / "results.json"
    place.write_text(json.dumps(found, indent=1) + "\n")
    say(f"{place}")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.retrain")
