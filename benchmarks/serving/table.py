"""The tables of docs/serving-speed.md."""

from pathlib import Path
from typing import Any

from benchmarks.serving import cost, swap
from benchmarks.serving.abuse_table import abuse_lines
from benchmarks.serving.cells import (
    HEAD_MS,
    Row,
    errors,
    measured_line,
    table,
    times,
    unknown,
    verdict,
)

_WAYS = {
    "in_process": "in process, one caller",
    "in_process_2": "in process, two callers",
    "grpc": "gRPC",
    "rest": "REST",
}
_PICTURES = {
    "sweep": "Throughput and latencies over clients and rates",
    "swap": "Latency of each request while versions are swapped",
    "abuse": "Memory and open files under abuse",
}
_NAMES = {
    "cpu_ratio": "server's CPU time a request / in process",
    "throughput_ratio": "gRPC's requests a second / in process",
    "rest_ratio": "REST's requests a second / gRPC's",
    "added_ms": "one unbatched gRPC call adds to one in process, ms, median",
}


def write_page(page: Path, parts: dict[str, Any]) -> None:
    """Put the tables into a page, between their marks; no page, nothing to do."""
    if not page.exists():
        return
    text = page.read_text(encoding="utf-8")
    for part, figures in parts.items():
        begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            _, _, after = rest.partition(end)
            lines = part_lines(part, figures) + _picture(page, part)
            text = f"{before}{begin}\n{lines}\n{end}{after}"
    page.write_text(text, encoding="utf-8")


def picture_of(page: Path, part: str) -> Path:
    """Return where the picture of a part lies: beside the page."""
    return page.with_name(f"{page.stem}-{part}.png")


def _picture(page: Path, part: str) -> str:
    path = picture_of(page, part)
    return f"\n\n![{_PICTURES[part]}]({path.name})" if path.exists() else ""


def part_lines(part: str, figures: dict[str, Any]) -> str:
    """Return the tables of a part with a line that says when it was measured."""
    tables = {"sweep": _sweep, "cost": _cost, "swap": _swap, "abuse": abuse_lines}
    return "\n".join([*tables[part](figures), "", measured_line(figures["measured"])])


def load_lines(found: dict[str, Any]) -> str:
    """Return what one load was answered with."""
    head = ("requests", "ok", "errors", "a second", *HEAD_MS, "generator's CPU, ms")
    row = (
        found["requests"],
        found["ok"],
        errors(found["errors"]),
        f"{found['per_s']:,.0f}",
        *times(found["latency_ms"]),
        f"{found['generator_cpu_ms']:.2f}",
    )
    return "\n".join(table(head, [row]))


def _cost(figures: dict[str, Any]) -> list[str]:
    head = (
        "",
        "requests a batch (padded)",
        "CPU, ms a request",
        "requests a second",
        "generator's CPU, ms",
        "p50, ms",
        "p99, ms",
        "errors",
    )
    rows: list[Row] = [
        (
            _WAYS[name],
            f"{way['batch']:.1f} ({way['padded']:.1f})",
            f"{way['cpu_ms']:.3f}",
            f"{way['per_s']:,.0f}",
            f"{way['generator_cpu_ms']:.3f}" if way["generator_cpu_ms"] else "",
            f"{way['latency_ms']['p50']:.2f}",
            f"{way['latency_ms']['p99']:.2f}",
            way["errors"],
        )
        for name, way in figures["ways"].items()
    ]
    verdicts: list[Row] = []
    for name, (sense, limit) in cost.WANTED.items():
        value = figures["found"][name]
        met = value >= limit if sense == "at least" else value <= limit
        verdicts.append(
            (_NAMES[name], f"{value:.2f}", f"{sense} {limit:g}", verdict(met))
        )
    asked = ("", "found", "wanted", "")
    lines = [*table(head, rows), "", *table(asked, verdicts), *unknown(figures)]
    if not figures["batches_told"]:
        lines += [
            "",
            "The server told of no batches, so the model was called with one user a "
            "call: this is no comparison of batching.",
        ]
    return lines


def _swap(figures: dict[str, Any]) -> list[str]:
    head = ("requests", "number", *HEAD_MS, "p99 / steady's", "wanted", "")
    titles = {
        "steady": "steady",
        "around": f"{swap.AROUND_S:g} s around each take-over",
        "while_loading": "from publication to after the take-over",
    }
    rows, late = [], figures["too_late"]
    for name, title in titles.items():
        group = figures[name]
        ratio = group.get("p99_ratio")
        row = [title, group["requests"], *times(group["latency_ms"])]
        if ratio is None:
            rows.append([*row, "", "", ""])
        else:
            wanted = f"at most {swap.WANTED:g}"
            rows.append(
                [
                    *row,
                    f"{ratio:.2f}",
                    wanted,
                    verdict(ratio <= swap.WANTED and not late),
                ]
            )
    took = ", ".join(
        f"{one['took_s']:.1f} s" + ("" if one["complete"] else " (**not taken over**)")
        for one in figures["swaps"]
    )
    everything, stolen = figures["all"], figures.get("stolen")
    failed = everything["requests"] - everything["ok"]
    return [
        *table(head, rows),
        "",
        f"{figures['rate']:,.0f} requests a second, half of "
        f"{figures['capacity_per_s']:,.0f}; {', '.join(figures['servables'])} taken "
        f"over in {took}. Failed requests: {failed} of {everything['requests']:,} "
        f"({errors(everything['errors'])}): {verdict(not failed)}.",
        *([_stolen(stolen)] if stolen else []),
        *(
            [f"**{late} take-overs came after the load: use more --seconds.**"]
            * bool(late)
        ),
    ]


def _stolen(stolen: dict[str, float]) -> str:
    return (
        f"The host withheld {stolen['share']:.1%} of the CPU time, "
        f"{stolen['worst_s']:.2f} s of it in the second from "
        f"{stolen['worst_at']:.0f} s on."
    )


def _sweep(figures: dict[str, Any]) -> list[str]:
    head = (
        "",
        "clients",
        "due a second",
        "answered a second",
        *HEAD_MS,
        "server's CPU, ms",
        "generator's CPU, ms",
        "errors",
    )
    rows: list[Row] = [
        (
            f"{row['protocol']}, {'closed' if row['rate'] is None else 'open'}",
            row["clients"],
            "" if row["rate"] is None else f"{row['rate']:,.0f}",
            f"{row['per_s']:,.0f}",
            *times(row["latency_ms"]),
            f"{row['server_cpu_ms']:.2f}",
            f"{row['generator_cpu_ms']:.2f}",
            errors(row["errors"]),
        )
        for row in figures["rows"]
    ]
    return [*table(head, rows), *unknown(figures)]
