"""Slices through the job while a server with load runs; warm starts beside scratch."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.retrain.jobs import jobs, report, run, settings
from benchmarks.retrain.slices import Sliced
from benchmarks.retrain.starts import evaluated
from benchmarks.serving.exports import Models
from benchmarks.serving.generator import start_load
from benchmarks.serving.outcome import summary
from benchmarks.serving.plan import Plan
from benchmarks.serving.server import Server, serving
from data.console import say
from trainer.export.publish import SERVABLES

WITHIN_S = 7_200.0
REFUSED = 3
STEPS = ("train", "evaluate", "publish")  # What takes the time.
BITE_S = 20.0  # A load is bounded; one follows the other while the job runs.


def replay(
    sliced: Sliced, out: Path, overrides: Sequence[str], *, start: str, rate: float
) -> list[dict[str, Any]]:
    """Train on the first part, then feed the slices; serve all the while.

    In: `start`: "warm" or "scratch"; `rate`: requests a second. Out: a row a slice:
        the decision, the figures, the seconds, and what became of the requests.
    """
    words = settings([*overrides, f'retrain.start="{start}"'])
    first = run("train", sliced.toml, "--out", out, *words, within_s=WITHIN_S)
    if first.status != 0:
        raise RuntimeError(f"The first part did not train:\n{first.said[-2000:]}")
    rows: list[dict[str, Any]] = []
    refused: list[Path] = []
    folder = out / "models"
    models = Models(
        folder=folder, names=SERVABLES, config=folder / "models.scann.config"
    )
    flag = "--allow_version_labels_for_unavailable_models=true"
    with serving(models, flag) as server:
        for number, new in enumerate(sliced.slices, 1):
            with load(server, models, rate) as outcomes:
                files = [w for one in (*refused, new) for w in ("--new", one)]
                done = run(
                    *("retrain", sliced.toml, "--out", out, *files),
                    *("--server", server.grpc, *words),
                    within_s=WITHIN_S,
                )
                served = server.versions("recommender")
            row = told(out, done.status) | {
                "slice": number,
                "start": start,
                "seconds": done.seconds,
                "status": done.status,
                "served": {str(v): state for v, state in served.items()},
                "requests": sum(one["requests"] for one in outcomes),
                "failed": sum(one["requests"] - one["ok"] for one in outcomes),
                "p99_ms": [one["latency_ms"].get("p99") for one in outcomes],
            }
            rows.append(row)
            # What was refused comes again beside the next slice.
            refused = [*refused, new] if done.status == REFUSED else []
            say(f"{start}, slice {number}: {row['verdict']}: {row['reason']}")
    return rows


def told(out: Path, status: int) -> dict[str, Any]:
    """Return what the newest job of a folder decided."""
    job = jobs(out)[-1]
    found = report(job)
    judged = [one for one in found["steps"] if "reason" in one]
    verdict = {0: "published", REFUSED: "refused"}.get(
        status, f"failed, status {status}"
    )
    return {
        "verdict": verdict,
        "reason": judged[-1]["reason"] if judged else "",
        "steps": {one["step"]: one["seconds"] for one in found["steps"]},
        **{
            name: found.get(name)
            for name in ("metric", "users", "candidate", "champion", "difference")
        },
        "version": found.get("version"),
        "run": evaluated(out, job),
    }


@contextmanager
def load(server: Server, models: Models, rate: float) -> Iterator[list[dict[str, Any]]]:
    """Ask a server until the block ends. Out: filled with a summary each BITE_S."""
    outcomes: list[dict[str, Any]] = []
    ended = threading.Event()
    deadline = time.monotonic() + WITHIN_S

    def ask() -> None:
        while not ended.is_set() and time.monotonic() < deadline:
            plan = Plan(clients=8, seconds=BITE_S, rate=rate, seed=len(outcomes))
            generator = start_load("grpc", server.grpc, models.ids(), plan)
            outcomes.append(summary(generator.outcome()))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield outcomes
    finally:
        ended.set()
        asking.join()


def replay_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return slices as a table of Markdown: what was decided, why, and who noticed."""
    lines = [
        "| start | slice | decided | candidate | champion | difference | seconds "
        "(train, evaluate, publish) | requests | failed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        candidate, champion, gain = (
            row[name] or {} for name in ("candidate", "champion", "difference")
        )
        steps = [f"{row['steps'].get(s, 0):.0f}" for s in STEPS]
        between = f" [{gain['low']:+.3f}, {gain['high']:+.3f}]" if gain else ""
        cells = (
            *(row["start"], row["slice"], row["verdict"]),
            *(_mean(candidate), _mean(champion)),
            f"{gain.get('mean', 0):+.3f}{between}",
            f"{row['seconds']:.0f} ({', '.join(steps)})",
            *(f"{row['requests']:,}", row["failed"]),
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, ""])


def _mean(figure: dict[str, float]) -> str:
    return f"{figure['mean']:.3f}" if figure else ""
