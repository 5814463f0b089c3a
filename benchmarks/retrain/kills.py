"""Kills the job at moments that a seed draws, and compares what comes of it.

On planted data as small as the job takes, in forks of a process that has imported
TensorFlow: what a step takes is then its own work.
"""

import random
import shutil
from pathlib import Path
from typing import Any

from benchmarks.retrain.forks import Forks
from benchmarks.retrain.jobs import half_written, jobs, outputs, report
from benchmarks.retrain.tiny import tiny
from data.console import say
from trainer.retrain.steps import NAMES

LONG = ("train", "evaluate", "publish")  # Minutes of a machine for each kill.
LEAST_S = 0.005
PRELOAD = ("tensorflow", "trainer.__main__")


def kill_table(
    work: Path,
    *,
    kills: int,
    long_kills: int,
    seed: int,
    preload: tuple[str, ...] = PRELOAD,
) -> list[dict[str, Any]]:
    """Kill the job of a second slice in each of its steps, from the same beginning.

    In: `kills`, `long_kills`: how often in each step, and in each of `LONG`. Out: a row
        a kill: the step, the milliseconds into it, whether the outputs' hashes are
        those of an undisturbed run, and what a server could have seen half-written.
    """
    shutil.rmtree(work, ignore_errors=True)
    data, first, whole = tiny(work / "data"), work / "first", work / "undisturbed"
    rows = []
    with Forks.open(work / "log", *preload) as forks:

        def run(out: Path, number: int, **kill: Any) -> Any:
            new = data.slices[number]
            words = ["retrain", data.toml, "--out", out, "--new", new]
            return forks.run(words, **kill)

        for out, number in ((first, 0), (whole, 1)):
            if out == whole:
                shutil.copytree(first, whole)
            if run(out, number).status != 0:
                raise RuntimeError(f"The undisturbed job did not publish: {forks.log}")
        expected = outputs(jobs(whole)[-1])
        steps = {s["step"]: s["seconds"] for s in report(jobs(whole)[-1])["steps"]}
        draw, place = random.Random(seed), work / "killed"
        say(f"Seed {seed}")
        for step in [
            s for s in NAMES for _ in range(long_kills if s in LONG else kills)
        ]:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(first, place)
            after = draw.uniform(0, max(steps[step], LEAST_S))
            killed = run(place, 1, step=step, kill_after_s=after)
            half = half_written(place)
            again = run(place, 1)
            found = outputs(jobs(place)[-1])
            rows.append(
                {
                    "step": step,
                    "ms": round(1e3 * (killed.into_s or 0), 1),
                    "killed": killed.status is None,
                    "status": again.status,
                    "equal": found == expected,
                    "differ": [s for s in expected if found.get(s) != expected[s]],
                    "half_written": half,
                }
            )
            told = "equal" if rows[-1]["equal"] else f"not equal: {rows[-1]['differ']}"
            say(f"{step} killed after {rows[-1]['ms']:.1f} ms: {told}")
    return rows


def kills_markdown(rows: list[dict[str, Any]], seed: int) -> str:
    """Return the kills as a table of Markdown: a row a kill."""
    lines = [
        f"Seed {seed}.",
        "",
        "| step | ms into it | ended as if undisturbed | half-written, visible |",
        "|---|---|---|---|",
    ]
    for row in rows:
        equal = "yes" if row["equal"] else f"no: {', '.join(row['differ'])}"
        seen = ", ".join(row["half_written"]) or "nothing"
        lines.append(f"| {row['step']} | {row['ms']:,.1f} | {equal} | {seen} |")
    return "\n".join([*lines, ""])
