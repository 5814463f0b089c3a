"""The ways from files to batches for the retrieval model that are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from benchmarks.tfrecords import Batch, Columns, read_columns, stream, write_examples
from data.events import EVENT_COLUMNS, EventLog, row_starts
from data.pipelines import WindowBatches, sequence_batches
from data.prepare.shards import ROW_GROUP_EVENTS
from data.prepared import EVENTS, Prepared
from trainer.config import RetrievalConfig

SEED = 42
LENGTH = RetrievalConfig().history_length
BATCH_SIZE = RetrievalConfig().batch_size

Epochs = Callable[[int], tf.data.Dataset]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way: `write` makes the files, `open` starts from them.

    `write` is None where another way's files are read.
    """

    name: str
    files: Callable[[], list[Path]]
    write: Callable[[], None] | None = None
    open: Callable[[], Epochs]


def event_batches(log: EventLog) -> WindowBatches:
    """Return the batches that the retrieval model is fitted on with its defaults."""
    return sequence_batches(
        log,
        max_length=LENGTH,
        batch_size=BATCH_SIZE,
        seed=SEED,
    )


def all_ways(prepared: Prepared, folder: Path) -> list[Way]:
    """Return the ways; each writes the prepared events into a folder of its own."""
    log = prepared.events
    batches = event_batches(log)
    return [
        _parquet(prepared),
        *_windows(batches, folder / "windows"),
        _events_with_history(log, batches.num_batches, folder / "histories"),
        _plain_events(log, folder / "events"),
    ]


def _parquet(prepared: Prepared) -> Way:
    path = Path(prepared.folder) / f"{EVENTS}-00000-of-00001.parquet"
    columns = _plain_columns(prepared.events)

    def write() -> None:  # As `prepare` does.
        pq.write_table(pa.table(columns), path, row_group_size=ROW_GROUP_EVENTS)

    def open_files() -> Epochs:
        return event_batches(Prepared.load(prepared.folder).events).epoch

    return Way(
        name="Parquet, gathered by index",
        files=lambda: [path],
        write=write,
        open=open_files,
    )


def _windows(batches: WindowBatches, folder: Path) -> list[Way]:
    def columns(count: int) -> Columns:
        return {n: v.numpy() for n, v in batches.gather(tf.range(count)).items()}

    def opener(cached: bool) -> Callable[[], Epochs]:
        def open_files() -> Epochs:
            dataset = stream(folder, columns(1), BATCH_SIZE, cached=cached)
            return lambda number: dataset

        return open_files

    name = "TFRecord, an Example a window"
    return [
        Way(
            name=name,
            files=lambda: list(folder.iterdir()),
            write=lambda: write_examples(folder, columns(batches.num_examples)),
            open=opener(cached=False),
        ),
        Way(
            name=f"{name}, cached in memory",
            files=lambda: list(folder.iterdir()),
            open=opener(cached=True),
        ),
    ]


def _events_with_history(log: EventLog, num_batches: int, folder: Path) -> Way:
    """Return records that stand alone: a target and the history before it.

    A batch has as many targets as one of windows.
    """
    places = np.flatnonzero(log.positive)

    def write() -> None:
        write_examples(folder, _alone(log, places))

    def open_files() -> Epochs:
        sample = _alone(log, places[:1])
        dataset = stream(folder, sample, -(-len(places) // num_batches), finish=_widen)
        return lambda number: dataset

    return Way(
        name="TFRecord, an Example an event with its history",
        files=lambda: list(folder.iterdir()),
        write=write,
        open=open_files,
    )


def _alone(log: EventLog, places: np.ndarray) -> Columns:
    user, before = log.user[places], log.before[places]
    return {
        "user": user,
        "history": log.histories(user, before, LENGTH),
        "target": log.item[places],
        "slot": np.minimum(before, LENGTH),
        "time": log.time[places],
        "weight": log.weight[places],
    }


def _widen(batch: Batch) -> Batch:
    """Give each row its one target in the shape of a window's."""
    names = ("target", "slot", "time", "weight")
    padding = [[0, 0], [0, LENGTH - 1]]
    return batch | {name: tf.pad(batch[name][:, None], padding) for name in names}


def _plain_events(log: EventLog, folder: Path) -> Way:
    """Return the columns of Parquet as records, read into arrays and gathered."""
    columns = _plain_columns(log)
    num_users = log.num_users

    def open_files() -> Epochs:
        values = read_columns(folder, {n: v[:1] for n, v in columns.items()})
        start = row_starts(values["user"], num_users)
        return event_batches(EventLog(**values, context={}, start=start)).epoch

    return Way(
        name="TFRecord, an Example an event, gathered by index",
        files=lambda: list(folder.iterdir()),
        write=lambda: write_examples(folder, columns),
        open=open_files,
    )


def _plain_columns(log: EventLog) -> dict[str, np.ndarray]:
    return {name: getattr(log, name) for name in EVENT_COLUMNS}
