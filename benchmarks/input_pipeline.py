"""Parquet gathered by index beside TFRecord: `python -m benchmarks.input_pipeline`.

Measures the way from files on disk (in the system's page cache) to ready batches of
the tensors that the retrieval model takes, in one process, the ways in turns. An
example is a target: an event that the model is asked for.
"""

import functools
import gc
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Cost, Spread, cost_of
from benchmarks.synthetic import Sizes, prepare_synthetic
from benchmarks.training_step import StepTimes, step_times
from benchmarks.ways import Epochs, Way, all_ways
from data import files
from data.console import OUTPUT, say
from data.prepared import Prepared

MB = 1e6
PAIRS = 20
WIDTH = 140  # Of a log; a terminal has its own.
HEADINGS = (
    *("MB", "gzip MB", "write s"),
    *("first epoch k/s", "batches/s", "CPU s"),
    *("later epochs k/s", "batches/s", "CPU s"),
)
TURN_S = 5.0  # The quick ways are measured more often: they are more easily disturbed.
CHECK_PRIME = 65_521


@dataclass(kw_only=True)
class Measured:
    """What was measured of one way; an epoch's cost is of the whole epoch."""

    name: str
    disk_bytes: int
    gzip_bytes: int
    write: Cost | None
    examples: int
    batches: int
    checksum: int
    tensors: dict[str, str]
    first: list[Cost] = field(default_factory=list)
    later: list[Cost] = field(default_factory=list)


def _per_s(amount: float, costs: Sequence[Cost]) -> Spread:
    return Spread.of([amount / cost.wall_s for cost in costs])


@click.command()
@click.option("--events", default=Sizes.events, show_default=True)
@click.option("--runs", default=5, show_default=True, help="Of each way, in turns.")
@click.option("--json", "json_path", help="Also write the figures to this file.")
def main(events: int, runs: int, json_path: str | None) -> None:
    """Compare the input pipelines and print one table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared = prepare_synthetic(folder, Sizes(events=events))
        ways = all_ways(prepared, folder)
        measured = [_write_and_check(way) for way in ways]
        _require_same_targets(measured)
        for number in range(runs):
            say(f"Run {number + 1} of {runs} ...")
            for turn in range(len(ways)):  # Each run begins with another way.
                place = (number + turn) % len(ways)
                _run(ways[place], measured[place])
        say("Training steps ...")
        steps = step_times(prepared, 2 * runs, PAIRS)
        _print(prepared, measured, steps)
    if json_path:
        files.write_json(json_path, _figures(events, measured, steps))


def _write_and_check(way: Way) -> Measured:
    """Write a way's files and read them once, untimed, to see that all are there."""
    say(f"{way.name} ...")
    written = cost_of(way.write)[1] if way.write else None
    examples = batches = checksum = 0
    for batch in way.open()(0):
        there = batch["target"] > 0
        batches += 1
        examples += int(tf.math.count_nonzero(there))
        asked = tf.cast(batch["target"], tf.int64) * (batch["time"] % CHECK_PRIME)
        checksum += int(tf.reduce_sum(tf.where(there, asked, 0)))
    contents = [path.read_bytes() for path in way.files()]
    return Measured(
        name=way.name,
        disk_bytes=sum(map(len, contents)),
        gzip_bytes=sum(len(zlib.compress(content)) for content in contents),
        write=written,
        examples=examples,
        batches=batches,
        checksum=checksum,
        tensors={name: batch[name].dtype.name for name in sorted(batch)},
    )


def _require_same_targets(measured: list[Measured]) -> None:
    contents = {(m.examples, m.checksum, str(m.tensors)) for m in measured}
    if len(contents) > 1:
        raise RuntimeError(f"the ways deliver different batches: {contents}")


def _run(way: Way, row: Measured) -> None:
    """Open a way and read two epochs, again and again until enough time is spent."""
    spent_s = 0.0
    while spent_s < TURN_S:
        gc.collect()
        (epochs, _), first = cost_of(functools.partial(_first_epoch, way))
        _, later = cost_of(functools.partial(_exhausted, epochs, 1))
        row.first.append(first)
        row.later.append(later)
        spent_s += first.wall_s + later.wall_s


def _first_epoch(way: Way) -> tuple[Epochs, Iterator[Any]]:
    epochs = way.open()
    return epochs, _exhausted(epochs, 0)


def _exhausted(epochs: Epochs, number: int) -> Iterator[Any]:
    """Read an epoch. Out: its iterator, so that its end is not in the caller's clock.

    An iterator that tf.data tunes may wait for a sleeping thread when it is released.
    """
    iterator = iter(epochs(number))
    for _ in iterator:
        pass
    return iterator


def _print(prepared: Prepared, measured: list[Measured], steps: StepTimes) -> None:
    counts = prepared.manifest["counts"]
    table = Table(
        title=f"{counts['events']:,} events, {measured[0].examples:,} of them targets, "
        f"{counts['users']:,} users, {counts['items']:,} items; medians (min-max)",
        caption="k/s: thousand targets a second; first: from opening the files on",
    )
    table.add_column("input pipeline", min_width=24)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for row in measured:
        table.add_row(row.name, *_cells(row))
    width = OUTPUT.width if OUTPUT.is_terminal else WIDTH
    Console(width=width).print(table)
    say(
        f"Training step: fed {steps.fed_ms.text(1)} ms, on cached batches "
        f"{steps.cached_ms.text(1)} ms. Ratio {steps.ratio.text(3)} over {steps.pairs} "
        f"pairs, of CPU time {steps.cpu_ratio:.3f}; the rule: below 1.05."
    )
    say(
        f"An epoch's first batch comes after {steps.epoch_wait_ms.text()} ms; with "
        f"that wait the ratio over {steps.steps_per_epoch} steps is "
        f"{steps.ratio_with_wait:.3f}."
    )


def _cells(row: Measured) -> list[str]:
    thousands = row.examples / 1e3
    cells = [f"{row.disk_bytes / MB:.1f}", f"{row.gzip_bytes / MB:.1f}"]
    cells.append(f"{row.write.wall_s:.1f}" if row.write else "as above")
    for costs in (row.first, row.later):
        cells.append(_per_s(thousands, costs).text())
        cells.append(f"{_per_s(row.batches, costs).median:,.0f}")
        cells.append(f"{Spread.of([cost.cpu_s for cost in costs]).median:.1f}")
    return cells


def _figures(
    events: int, measured: list[Measured], steps: StepTimes
) -> dict[str, object]:
    return {
        "events": events,
        "ways": [asdict(row) for row in measured],
        "step": asdict(steps) | {"ratio_with_wait": steps.ratio_with_wait},
    }


if __name__ == "__main__":
    main()
