"""Writes the results of all steps into docs/quality.md, means over seeds."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.steps import STEPS
from data.console import say
from data.errors import DataError

CHECKOUT = Path(__file__).parents[2]
RESULTS = CHECKOUT / "benchmarks" / "quality" / "results.jsonl"
PAGE = CHECKOUT / "docs" / "quality.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
METRICS = ("ndcg@10", "hit_rate@10", "recall@50", "recall@100", "auc")
Record = dict[str, Any]


def write_table() -> None:
    """Replace what stands between the marks of docs/quality.md.

    Raises: DataError when there are no results, or no marks.
    """
    if not RESULTS.exists():
        raise DataError(f"{RESULTS}: no results yet. Run: make bench-quality STEP=...")
    lines = RESULTS.read_text(encoding="utf-8").splitlines()
    text = PAGE.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise DataError(f"{PAGE}: expected the marks {BEGIN} and {END}.")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    table = "\n".join(rows([json.loads(line) for line in lines]))
    PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")
    say(f"{PAGE}: {len(lines)} results.")


def rows(records: list[Record]) -> Iterator[str]:
    """Yield the lines of a Markdown table: a row for each step, name and model."""
    yield "| protocol | model | seeds | " + " | ".join(METRICS) + " | minutes |"
    yield "|---" * (len(METRICS) + 4) + "|"
    groups: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for record in records:  # Of one seed the newest counts.
        groups[record["step"], record["name"]][record["seed"]] = record
    for (step, name), by_seed in groups.items():
        runs = list(by_seed.values())
        says = STEPS[step].says + (f"; {name}" if name else "")
        for model in runs[-1]["models"]:
            found = [run["models"][model] for run in runs if model in run["models"]]
            cells = [_cell(found, metric) for metric in METRICS]
            minutes = np.mean([run["wall_s"] for run in runs]) / 60
            yield (
                f"| {says} | {model} | {len(found)} | {' | '.join(cells)} "
                f"| {minutes:.0f} |"
            )
            says = ""
        for metric, (value, who) in STEPS[step].published.items():
            yield (
                f"| | *{who}* | | "
                + " | ".join(f"*{value:.4f}*" if m == metric else "" for m in METRICS)
                + " | |"
            )


def _cell(found: list[Record], metric: str) -> str:
    """Return the mean over seeds with their range, or one run's interval."""
    if metric not in found[0]:
        return ""
    means = [one[metric]["mean"] for one in found]
    if len(means) == 1:
        low, high = found[0][metric]["low"], found[0][metric]["high"]
        return f"{means[0]:.4f} [{low:.4f}, {high:.4f}]"
    return f"{np.mean(means):.4f} ({min(means):.4f} to {max(means):.4f})"
