"""Writes the results of all steps into docs/quality.md."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.protocols import QUIET_MONTH
from benchmarks.quality.steps import STEPS
from data.console import say
from data.errors import DataError

CHECKOUT = Path(__file__).parents[2]
RESULTS = CHECKOUT / "benchmarks" / "quality" / "results.jsonl"
PAGE = CHECKOUT / "docs" / "quality.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
METRICS = ("ndcg@10", "hit_rate@10", "recall@50", "recall@100", "auc")
HEAD = 2  # Lines of a table without a row.
Record = dict[str, Any]
Groups = dict[tuple[str, str], list[Record]]


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
    groups = grouped([json.loads(line) for line in lines])
    tables = [[*table(groups)] for table in (levels, differences, ablations, tried)]
    shown = "\n\n".join("\n".join(table) for table in tables if len(table) > HEAD)
    PAGE.write_text(f"{head}{BEGIN}\n{shown}\n{END}{tail}", encoding="utf-8")
    say(f"{PAGE}: {len(lines)} results.")


def grouped(records: Iterable[Record]) -> Groups:
    """Put the runs of a step and name together that have the newest one's settings.

    Of one seed the newest counts.
    """
    runs: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        runs[record["step"], record["name"]].append(record)
    order = list(STEPS)
    found = {}
    for key in sorted(runs, key=lambda key: order.index(key[0])):
        newest = runs[key][-1]
        alike = {r["seed"]: r for r in runs[key] if _are_alike(r, newest)}
        found[key] = list(alike.values())
    return found


def _are_alike(one: Record, other: Record) -> bool:
    """Tell whether runs differ in no setting that both know but the seed."""
    # The fingerprint knows settings by name, so that one of later changes it.
    counts, others = (
        {name: n for name, n in run.get("data", {}).items() if name != "fingerprint"}
        for run in (one, other)
    )
    if counts != others:
        return False
    known, wanted = one.get("settings", {}), other.get("settings", {})
    return all(
        known[table][name] == value
        for table, values in wanted.items()
        for name, value in values.items()
        if name in known.get(table, {}) and (table, name) != ("train", "seed")
    )


def levels(groups: Groups) -> Iterator[str]:
    """Yield a table of what was reached: a row for each step, name and model."""
    yield "| protocol | model | seeds | " + " | ".join(METRICS) + " | minutes |"
    yield "|---" * (len(METRICS) + 4) + "|"
    for (step, name), runs in groups.items():
        if "ablations" in runs[-1] or _is_tried(runs[-1]):
            continue
        says = _says(step, name)
        minutes = f"{np.mean([run['wall_s'] for run in runs]) / 60:.0f}"
        for model in runs[-1]["models"]:
            found = [run["models"][model] for run in runs if model in run["models"]]
            cells = [_level(found, metric) for metric in METRICS]
            shown = " | ".join(cells)
            yield f"| {says} | {model} | {len(found)} | {shown} | {minutes} |"
            says, minutes = "", ""
        for source, values in STEPS[step].published.items():
            cells = [f"*{values[m]:.4f}*" if m in values else "" for m in METRICS]
            yield f"| | *{source}* | | {' | '.join(cells)} | |"


def differences(groups: Groups) -> Iterator[str]:
    """Yield a table of the paired differences that the protocols ask for."""
    yield "| protocol | seed | model | minus | metric | difference | relative |"
    yield "|---" * 7 + "|"
    for (step, name), runs in groups.items():
        for run in runs:
            for one in _wanted(run):
                base = run["models"][one["baseline"]][one["metric"]]["mean"]
                share = f"{one['mean'] / base:+.1%}" if base else "from none"
                yield (
                    f"| {_says(step, name)} | {run['seed']} | {one['model']} "
                    f"| {one['baseline']} | {one['metric']} | {_signed(one)} "
                    f"| {share} |"
                )


def ablations(groups: Groups) -> Iterator[str]:
    """Yield a table of what each part is worth."""
    yield "| part | with it | without | ndcg@10 | recall@100 | on |"
    yield "|---" * 6 + "|"
    for (step, name), runs in groups.items():
        for run in runs:
            for one in run.get("ablations", ()):
                found = one["differences"]
                cells = [_signed(found[m]) for m in ("ndcg@10", "recall@100")]
                yield (
                    f"| {one['part']} | {one['whole']} | {one['without']} "
                    f"| {' | '.join(cells)} | {_says(step, name)}, seed {run['seed']} |"
                )


def tried(groups: Groups) -> Iterator[str]:
    """Yield a table of what validation alone was asked, to choose by."""
    columns = ("ndcg@10", "recall@100", f"ndcg@10 {QUIET_MONTH}")
    yield f"| tried on | settings | seed | queries | {' | '.join(columns)} |"
    yield "|---" * 7 + "|"
    for (step, name), runs in groups.items():
        for run in filter(_is_tried, runs):
            models = run["models"]
            asked = [("retrieval", "ndcg@10"), ("retrieval", "recall@100")]
            asked.append((QUIET_MONTH, "ndcg@10"))
            cells = [_level([models[n]], m) if n in models else "" for n, m in asked]
            yield (
                f"| {STEPS[step].says} | {name or 'as configured'} | {run['seed']} "
                f"| {run['counts']['queries']:,} | {' | '.join(cells)} |"
            )


def _is_tried(run: Record) -> bool:
    return run.get("part") == "validation"


def _wanted(run: Record) -> Iterator[Record]:
    """Yield retrieval against its strongest rival, and the later stage with it."""
    if "ablations" in run:
        return
    for metric in dict.fromkeys(one["metric"] for one in run.get("comparisons", ())):
        rivals = run.get("baselines", ())
        means = {name: run["models"][name][metric]["mean"] for name in rivals}
        strongest = max(means, key=means.__getitem__, default=None)
        for one in run["comparisons"]:
            pair = (one["model"], one["baseline"])
            ours = not {*pair} & {*rivals}
            if one["metric"] == metric and (ours or pair == ("retrieval", strongest)):
                yield one


def _says(step: str, name: str) -> str:
    return STEPS[step].says + (f"; {name}" if name else "")


def _signed(one: Record) -> str:
    return f"{one['mean']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]"


def _level(found: list[Record], metric: str) -> str:
    """Return the mean over seeds with their range, or one run's interval."""
    if metric not in found[0]:
        return ""
    means = [one[metric]["mean"] for one in found]
    if len(means) == 1:
        low, high = found[0][metric]["low"], found[0][metric]["high"]
        return f"{means[0]:.4f} [{low:.4f}, {high:.4f}]"
    return f"{np.mean(means):.4f} ({min(means):.4f} to {max(means):.4f})"
