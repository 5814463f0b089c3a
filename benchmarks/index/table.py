"""The table of docs/index.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = Path("docs/index.md")
BEGIN, END = "<!-- make bench-index -->", "<!-- end -->"
TITLES = {
    "brute_force": "brute force",
    "partitioned": "**partitioned**",
    "scann": "ScaNN in the graph",
    "faiss_ivf": "FAISS IVF, outside a graph",
    "faiss_hnsw": "FAISS HNSW, outside a graph",
    "hnswlib": "hnswlib, outside a graph",
}
HEAD = (
    "| items | index | recall | one query, ms (p99) | of brute force | "
    "64 queries, ms (p99) | queries/s | build, s | MB |"
)


def write_table(rows: Sequence[dict[str, Any]]) -> str:
    """Put the table into the page, between its marks, and return it."""
    exact = {row["items"]: row for row in rows if row["name"] == "brute_force"}
    lines = [HEAD, "|---" * 9 + "|"]
    lines += [_line(row, exact.get(row["items"])) for row in rows]
    table = "\n".join(lines)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")
    return table


def _line(row: dict[str, Any], exact: dict[str, Any] | None) -> str:
    single, batched = row["single"], row["batched"]
    ratio = (
        f"{exact['single']['median_ms'] / single['median_ms']:.1f}x" if exact else ""
    )
    rate = 1e3 * batched["batch"] / batched["median_ms"]
    cells = [
        f"{row['items']:,}",
        TITLES[row["name"]],
        f"{row['recall']:.3f}",
        f"{single['median_ms']:.2f} ({single['p99_ms']:.2f})",
        ratio,
        f"{batched['median_ms']:.1f} ({batched['p99_ms']:.1f})",
        f"{rate:,.0f}",
        f"{row['build_s']:.0f}",
        f"{row['bytes'] / 1e6:,.0f}",
    ]
    return "| " + " | ".join(cells) + " |"
