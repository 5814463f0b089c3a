"""Out-of-core engines for the core of `prepare`: `python -m benchmarks.data_engines`.

Each reads a CSV table of strings, numbers the distinct ids, encodes, orders by user,
time and place in the file, and writes Parquet shards of whole users, in a process of
its own. DuckDB and Polars are no dependencies: see docs/data-engine.md for the
environment that --python names.
"""

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.engine_shards import checksum
from benchmarks.measure import Spread
from benchmarks.process_tree import Usage, require_proc, run_measured
from benchmarks.synthetic_tables import standing_tables
from data import files
from data.cli import tell_errors
from data.console import say

ENGINES = ("pyarrow", "duckdb", "polars")
REFERENCE = "pyarrow"
CHECKOUT = Path(__file__).parent.parent
HEADINGS = (
    *("wall s", "CPU s", "CPU over pyarrow's", "peak PSS MB", "anonymous MB"),
    "temporary files MB",
)
WIDTH = 140
MB = 1e6


@click.command()
@click.option("--rows", multiple=True, type=int, default=(5_000_000, 25_000_000))
@click.option("--runs", default=2, show_default=True, help="Of each engine, in turns.")
@click.option("--python", default=sys.executable, help="That has the engines.")
@click.option("--tables", type=click.Path(path_type=Path), help="Where tables stay.")
@click.option("--json", "json_path", help="Also write the figures to this file.")
@tell_errors()
def main(
    rows: tuple[int, ...],
    runs: int,
    python: str,
    tables: Path | None,
    json_path: str | None,
) -> None:
    """Compare the engines and print one table."""
    require_proc()
    measured = {}
    with tempfile.TemporaryDirectory() as scratch:
        for size in rows:
            toml = standing_tables(tables or Path(scratch), size, "csv")
            measured[size] = _measure(toml.parent, runs, python, Path(scratch))
    _print(measured)
    if json_path:
        figures = {
            str(size): {
                name: [asdict(run) for run in runs] for name, runs in of.items()
            }
            for size, of in measured.items()
        }
        files.write_json(json_path, figures)


def _measure(
    folder: Path, runs: int, python: str, scratch: Path
) -> dict[str, list[Usage]]:
    usages: dict[str, list[Usage]] = {name: [] for name in ENGINES}
    sums = set()
    for number in range(runs):
        for turn in range(len(ENGINES)):  # Each run begins with another engine.
            engine = ENGINES[(number + turn) % len(ENGINES)]
            say(f"{folder.name}, run {number + 1} of {runs}: {engine} ...")
            with tempfile.TemporaryDirectory(dir=scratch) as place:
                out, spill = Path(place, "out"), Path(place, "spill")
                out.mkdir()
                spill.mkdir()
                table = str(folder.resolve() / "interactions.csv")
                usage = run_measured(
                    [
                        *(python, "-m", f"benchmarks.engine_{engine}"),
                        *(table, str(out), str(spill)),
                    ],
                    cwd=CHECKOUT,
                    watched=spill,
                )
                sums.add(checksum(out))
            usages[engine].append(usage)
    if len(sums) > 1:
        raise RuntimeError(f"the engines write different shards: {sums}")
    return usages


def _print(measured: dict[int, dict[str, list[Usage]]]) -> None:
    table = Table(
        title="medians (min-max) of the runs",
        caption="ratios are of runs of one round; memory is of the whole process tree",
    )
    table.add_column("rows", justify="right")
    table.add_column("engine")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for size, usages in measured.items():
        for name, runs in usages.items():
            pairs = zip(runs, usages[REFERENCE], strict=True)
            cells = [
                Spread.of([run.wall_s for run in runs]).text(1),
                Spread.of([run.cpu_s for run in runs]).text(1),
                Spread.of([run.cpu_s / base.cpu_s for run, base in pairs]).text(2),
                Spread.of([run.peak_pss / MB for run in runs]).text(),
                Spread.of([run.peak_anonymous / MB for run in runs]).text(),
                Spread.of([run.peak_disk / MB for run in runs]).text(),
            ]
            table.add_row(f"{size:,}", name, *cells)
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    main()
