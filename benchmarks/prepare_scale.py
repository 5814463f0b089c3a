"""What large tables take: `make bench-data` or `python -m benchmarks.prepare_scale`.

Measures `python -m data prepare` on generated tables, then the input pipelines on
what it wrote, each in processes of their own, all of whose memory is counted.
"""

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.process_tree import Usage, require_proc, run_measured
from benchmarks.synthetic_tables import Format, standing_tables
from data import files
from data.cli import tell_errors
from data.console import say

# What `benchmarks.pipeline_rate` knows.
PIPELINES = {
    "in memory": "batches, in memory",
    "streamed": "batches, streamed",
    "plain": "plain: StringLookup",
}
CHECKOUT = Path(__file__).parent.parent
WIDTH = 140
MB = 1e6
HEADINGS = (
    *("rows", "start s", "wall s", "CPU s", "thousand/s", "peak PSS MB"),
    *("anonymous MB", "disk MB"),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one process and its children took for some rows or examples.

    `start_s`: until a pipeline's first batch, before `wall_s` and `cpu_s` begin.
    """

    name: str
    rows: int
    amount: int
    start_s: float = 0.0
    wall_s: float
    cpu_s: float
    usage: Usage

    def cells(self) -> list[str]:
        """Return the cells of the table under HEADINGS."""
        return [
            f"{self.rows:,}",
            f"{self.start_s:.1f}" if self.start_s else "",
            f"{self.wall_s:.1f}",
            f"{self.cpu_s:.1f}",
            f"{self.amount / self.wall_s / 1e3:,.0f}",
            f"{self.usage.peak_pss / MB:,.0f}",
            f"{self.usage.peak_anonymous / MB:,.0f}",
            f"{self.usage.peak_disk / MB:,.0f}",
        ]


@click.command()
@click.option("--rows", default=25_000_000, show_default=True)
@click.option("--double", is_flag=True, help="Prepare twice as many rows too.")
@click.option("--runs", default=1, show_default=True, help="Of each, in turns.")
@click.option("--tables", type=click.Path(path_type=Path), help="Where tables stay.")
@click.option("--json", "json_path", help="Also write the figures to this file.")
@tell_errors()
def main(
    rows: int, double: bool, runs: int, tables: Path | None, json_path: str | None
) -> None:
    """Measure preparation and input pipelines at scale and print one table."""
    require_proc()
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = tables or Path(scratch)
        formats: tuple[Format, ...] = ("parquet", "csv")
        tomls = {name: standing_tables(place, rows, name) for name in formats}
        work = Path(scratch, "work")
        for _ in range(runs):
            for table_format, toml in tomls.items():
                measured.append(_prepare(toml, table_format, rows, work))
            # The last prepared set stands while the pipelines read it.
            for way, name in PIPELINES.items():
                measured.append(_read(way, name, tomls["csv"], rows, work))
            if double:
                toml = standing_tables(place, 2 * rows, "csv")
                measured.append(_prepare(toml, "csv", 2 * rows, work))
    _print(measured)
    if json_path:
        files.write_json(json_path, [asdict(row) for row in measured])


def _prepared_name(table_format: Format) -> str:
    return f"prepare, {table_format}"


def _prepare(toml: Path, table_format: Format, rows: int, work: Path) -> Measured:
    """Prepare anew; what stood in the folder from other rows is replaced."""
    say(f"Preparing {rows:,} rows of {table_format} ...")
    files.remove_folder(work)
    files.make_folder(work)
    usage = run_measured(
        [
            *(sys.executable, "-m", "data", "prepare", str(toml.resolve())),
            *("--out", str(work / "prepared")),
        ],
        env={"TMPDIR": str(work)},
        cwd=CHECKOUT,
        watched=work,
    )
    return Measured(
        name=_prepared_name(table_format),
        rows=rows,
        amount=rows,
        wall_s=usage.wall_s,
        cpu_s=usage.cpu_s,
        usage=usage,
    )


def _read(way: str, name: str, toml: Path, rows: int, work: Path) -> Measured:
    say(f"Reading {rows:,} rows: {name} ...")
    figures = work / "figures.json"
    usage = run_measured(
        [
            *(sys.executable, "-m", "benchmarks.pipeline_rate", way),
            *(str(work / "prepared"), str(toml.resolve().parent / "interactions.csv")),
            str(figures),
        ],
        cwd=CHECKOUT,
    )
    read: dict[str, Any] = files.read_json(figures)
    return Measured(
        name=name,
        rows=rows,
        amount=read["examples"],
        start_s=read["open_s"],
        wall_s=read["wall_s"],
        cpu_s=read["cpu_s"],
        usage=usage,
    )


def _print(measured: list[Measured]) -> None:
    table = Table(
        caption="thousand/s: rows prepared, examples read; memory: of all processes"
    )
    table.add_column("what", min_width=20)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for row in measured:
        table.add_row(row.name, *row.cells())
    Console(width=WIDTH).print(table)
    memory: dict[int, int] = {}
    for row in measured:
        if row.name == _prepared_name("csv"):
            memory[row.rows] = max(row.usage.peak_pss, memory.get(row.rows, 0))
    for rows, peak in memory.items():
        if double := memory.get(2 * rows):
            say(
                "Preparing twice as many rows, of twice as many users, takes "
                f"{double / peak:.2f} times the memory."
            )


if __name__ == "__main__":
    main()
