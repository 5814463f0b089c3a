"""Warm starts beside fits from scratch: the same slice, the seconds and the metric."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.evaluation.bootstrap import Interval, bootstrap
from trainer.evaluation.comparison import EvaluatedRun, read_run
from trainer.evaluation.metrics import accuracy

METRIC, MODEL = "ndcg@10", "two_stage"
SCRATCH, WARM = "scratch", "warm"
ALL = "all"


def evaluated(out: Path, job: Path) -> str:
    """Return the folder of the run that a job evaluated, "" if it came to none."""
    manifest = job / "train" / "manifest.json"
    if not manifest.exists():
        return ""
    run = json.loads(manifest.read_text())["runs"]["evaluation"]
    return str(out / "runs" / run)


def compare_starts(
    rows: Mapping[str, Sequence[dict[str, Any]]], seed: int
) -> list[dict[str, Any]]:
    """Compare the fits of a slice that began with earlier weights and that did not.

    In: `rows`: by start, a replay's row a slice. Out: a row a slice that both fitted on
        the same data, where a refusal of the one has not left it behind: seconds of the
        step `train`, the metric of both candidates, and its difference by query with
        a 95 % interval; then one of them together, whose users are drawn slice by
        slice.
    """
    found: list[dict[str, Any]] = []
    differences: list[np.ndarray] = []
    users: list[np.ndarray] = []
    for scratch, warm in zip(rows[SCRATCH], rows[WARM], strict=True):
        if not (scratch["run"] and warm["run"]):
            continue
        runs = [read_run(one["run"]) for one in (scratch, warm)]
        if runs[0].fingerprint != runs[1].fingerprint:
            continue
        values = [per_query(run) for run in runs]
        headline = runs[0].answers[runs[0].found["headline_items"]]
        differences.append(values[1] - values[0])
        users.append(np.char.add(f"{len(users)} ", headline.asked.users.astype(str)))
        found.append(
            {
                "slice": scratch["slice"],
                "seconds": [one["steps"]["train"] for one in (scratch, warm)],
                "metric": [float(each.mean()) for each in values],
                "users": len(np.unique(headline.asked.users)),
                "difference": _interval(differences[-1:], users[-1:], seed).to_json(),
            }
        )
    if len(found) > 1:
        together = [len(each) for each in differences]
        found.append(
            {
                "slice": ALL,
                "seconds": np.sum([r["seconds"] for r in found], 0).tolist(),
                "metric": np.average(
                    [r["metric"] for r in found], 0, weights=together
                ).tolist(),
                "users": sum(r["users"] for r in found),
                "difference": _interval(differences, users, seed).to_json(),
            }
        )
    return found


def per_query(run: EvaluatedRun) -> np.ndarray:
    """Return what each query of a run's headline got. Out: float64 (q,)."""
    ranks = run.answers[run.found["headline_items"]].ranks[MODEL]
    return accuracy(ranks, [int(METRIC.split("@")[1])])[METRIC]


def _interval(
    differences: list[np.ndarray], users: list[np.ndarray], seed: int
) -> Interval:
    values, whose = np.concatenate(differences), np.concatenate(users)
    return bootstrap({METRIC: values}, whose, seed=seed)[METRIC]


def starts_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the comparison as a table of Markdown."""
    lines = [
        "| slice | fitted in, s: scratch | warm | times faster | NDCG@10 of two "
        "stages: scratch | warm | warm - scratch | users |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        (slow, fast), (before, after) = row["seconds"], row["metric"]
        gain = row["difference"]
        between = f"{gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"
        cells = (
            *(row["slice"], f"{slow:.0f}", f"{fast:.0f}", f"{slow / fast:.1f}"),
            *(f"{before:.3f}", f"{after:.3f}", between, row["users"]),
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, ""])
