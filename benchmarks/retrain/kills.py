"""Kills the job at moments that a seed draws, and compares what comes of it.

On planted data as small as the job takes, in forks of a process that has imported
TensorFlow: what a step takes is then its own work.
"""

import random
import shutil
from pathlib import Path
from typing import Any

from benchmarks.retrain.forks import Forks, Ran
from benchmarks.retrain.jobs import half_written, jobs, outputs
from benchmarks.retrain.tiny import tiny
from data import files
from data.console import say
from trainer.retrain.steps import NAMES

LONG = ("train", "evaluate", "publish")  # Minutes of a machine for each kill.
LEAST_S = 0.005
TRIES = 5
SHOWN = 12
PRELOAD = ("tensorflow", "trainer.__main__")


def kill_table(
    work: Path,
    *,
    kills: int,
    long_kills: int,
    seed: int,
    preload: tuple[str, ...] = PRELOAD,
) -> list[dict[str, Any]]:
    """Kill the job of a second slice in each of its steps, from where that one begins.

    In: `kills`, `long_kills`: how often in each step, and in each of `LONG`. Out: a row
        a kill: the step, the milliseconds into it, the hash of what it made when it was
        taken up, that of an undisturbed run, whether they are equal, and what a server
        could have seen half-written.
    Raises: RuntimeError: a job that nobody disturbs does not end.
    """
    shutil.rmtree(work, ignore_errors=True)
    data, whole, place = tiny(work / "data"), work / "whole", work / "killed"
    with Forks.open(work / "log", *preload) as forks:

        def run(out: Path, number: int, step: str, **kill: Any) -> Ran:
            words = ["retrain", data.toml, "--out", out, "--new", data.slices[number]]
            words += ["--step", step] if step else []
            return forks.run(words, step, **kill)

        def run_whole(number: int, step: str) -> float:
            ran = run(whole, number, step)
            if ran.status != 0:
                raise RuntimeError(f"The undisturbed job did not end: {forks.log}")
            return ran.into_s or 0.0

        run_whole(0, "")
        seconds = {}
        for step in NAMES:
            shutil.copytree(whole, _before(work, step))
            seconds[step] = run_whole(1, step)
        expected = outputs(jobs(whole)[-1])
        say(f"Seed {seed}")
        draw, rows = random.Random(seed), []
        for step in NAMES:
            for _ in range(long_kills if step in LONG else kills):
                after = draw.uniform(0, max(seconds[step], LEAST_S))
                for _ in range(TRIES):
                    shutil.rmtree(place, ignore_errors=True)
                    shutil.copytree(_before(work, step), place)
                    killed = run(place, 1, step, kill_after_s=after)
                    if killed.status is None:
                        break
                    after /= 2  # It had ended before.
                half = half_written(place)
                again = run(place, 1, step)
                found = outputs(jobs(place)[-1]).get(step)
                rows.append(
                    {
                        "step": step,
                        "ms": round(1e3 * (killed.into_s or 0), 1),
                        "killed": killed.status is None,
                        "status": again.status,
                        "hash": _digest(found),
                        "undisturbed": _digest(expected[step]),
                        "equal": found == expected[step],
                        "half_written": half + half_written(place),
                    }
                )
                told = "equal" if rows[-1]["equal"] else "not equal"
                say(f"{step} killed after {rows[-1]['ms']:.1f} ms: {told}")
    return rows


def _digest(outputs: dict[str, str] | None) -> str:
    """Return a hash of all hashes of what a step made, "" where it made nothing."""
    return files.fingerprint(outputs)[:SHOWN] if outputs else ""


def _before(work: Path, step: str) -> Path:
    return work / "before" / step


def kills_markdown(rows: list[dict[str, Any]], seed: int) -> str:
    """Return the kills as a table of Markdown: a row a kill."""
    lines = [
        f"Seed {seed}.",
        "",
        "| step | ms into it | outputs | undisturbed | equal | half-written, visible |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        equal = "yes" if row["equal"] else "**no**"
        equal = equal if row["killed"] else f"{equal}, it had ended"
        seen = ", ".join(row["half_written"]) or "nothing"
        cells = (f"{row['ms']:,.1f}", row["hash"], row["undisturbed"], equal, seen)
        lines.append(f"| {' | '.join((row['step'], *cells))} |")
    return "\n".join([*lines, ""])
