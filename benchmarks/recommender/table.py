"""The tables of docs/recommender.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = Path("docs/recommender.md")
BEGIN, END = "<!-- make bench-recommender -->", "<!-- end -->"
HEAD = (
    "| items | threads | index | MB | one user, ms (p99) | target | "
    "with history and exclusions, ms (p99) | empty call, ms (p99) | load |"
)


def write_tables(rows: Sequence[dict[str, Any]]) -> str:
    """Put the tables into the page, between their marks, and return them."""
    tables = "\n".join([HEAD, "|---" * 9 + "|", *map(_line, rows), "", *_stages(rows)])
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")
    return tables


def _line(row: dict[str, Any]) -> str:
    target, median = row["target_ms"], row["default"]["median_ms"]
    verdict = "" if target is None else "met" if median < target else "**missed**"
    cells = [
        f"{row['items']:,}",
        _threads(row),
        "partitioned" if "probes" in row["index"] else "brute force",
        f"{row['bytes'] / 1e6:,.0f}",
        _time(row["default"]),
        "" if target is None else f"{target:g}: {verdict}",
        _time(row["with_history"]),
        _time(row["empty"]),
        f"{row['load']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _threads(row: dict[str, Any]) -> str:
    return str(row["threads"] or "TensorFlow's choice")


def _time(found: dict[str, float]) -> str:
    return f"{found['median_ms']:.2f} ({found['p99_ms']:.2f})"


def _stages(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = list(rows[0]["stages_ms"]) if rows else []
    heads = [f"{row['items']:,}; threads: {_threads(row)}" for row in rows]
    lines = ["| stage, ms | " + " | ".join(heads) + " |"]
    lines.append("|---" * (len(rows) + 1) + "|")
    for name in names:
        cells = [f"{row['stages_ms'][name]:.2f}" for row in rows]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    sums = [f"{sum(row['stages_ms'].values()):.2f}" for row in rows]
    return [*lines, "| sum | " + " | ".join(sums) + " |"]
