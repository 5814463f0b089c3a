"""Batches of windows read from the shards on disk, a few shards in memory at a time.

Shards are put together into pools, always the same ones; an epoch takes the pools in
its own order and each pool's windows in theirs. While the model trains on one pool,
the next is read.
"""

import functools
import operator
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from data import files
from data.events import EventLog, Stretch, count_before, row_starts, untied
from data.pipelines import (
    EVENT_TENSORS,
    Batch,
    Windows,
    gather_windows,
    num_windows,
    plan_windows,
    untuned,
)

POOL_EVENTS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class StreamedBatches:
    """A source of epochs over shards; its windows are those of `sequence_batches`.

    All are padded to one length.

    `pools`: the shards of each pool. `windows`: how many windows each pool holds.
    """

    pools: tuple[tuple[str, ...], ...]
    windows: tuple[int, ...]
    stretch: Stretch
    max_length: int
    batch_size: int
    seed: int
    is_untied: bool = False

    @property
    def num_batches(self) -> int:
        """Return the number of batches of an epoch; none reaches over two pools."""
        return sum(-(-count // self.batch_size) for count in self.windows)

    def epoch(self, number: int) -> tf.data.Dataset:
        """Return the batches of an epoch in its own order."""
        order = np.random.default_rng((self.seed, number)).permutation(len(self.pools))

        def pools() -> Iterator[tuple[Batch, Batch, np.ndarray]]:
            for pool in order:
                rng = np.random.default_rng((self.seed, number, int(pool)))
                yield self._read(int(pool), rng)

        dataset = tf.data.Dataset.from_generator(pools, output_signature=_POOL)
        batches = dataset.prefetch(1).flat_map(self._batches_of).prefetch(2)
        return batches.with_options(untuned())

    def _batches_of(
        self, events: Batch, windows: Batch, order: tf.Tensor
    ) -> tf.data.Dataset:
        def gather(index: tf.Tensor) -> Batch:
            return gather_windows(events, windows, index, self.max_length)

        rows = tf.data.Dataset.from_tensor_slices(order).batch(self.batch_size)
        return rows.map(gather, num_parallel_calls=2)

    def _read(
        self, pool: int, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
        log = _read_log(self.pools[pool], self.stretch, self.is_untied)
        windows = plan_windows(log, self.max_length)
        events = {name: getattr(log, name) for name in EVENT_TENSORS}
        return events, _arrays(windows), rng.permutation(len(windows))

    def sample(self) -> Batch:
        """Return a batch of one example, to build a model with."""
        return self._sample

    @cached_property
    def _sample(self) -> Batch:
        events, windows, order = self._read(0, np.random.default_rng(0))
        held = {name: tf.constant(values) for name, values in events.items()}
        plan = {name: tf.constant(values) for name, values in windows.items()}
        return gather_windows(held, plan, tf.constant(order[:1]), self.max_length)


def _arrays(windows: Windows) -> dict[str, np.ndarray]:
    names = ("start", "length", "first_target", "skipped")
    return {name: getattr(windows, name) for name in names}


_INTS = tf.TensorSpec([None], tf.int64)
_POOL = (
    {
        "user": tf.TensorSpec([None], tf.int32),
        "item": tf.TensorSpec([None], tf.int32),
        "time": _INTS,
        "positive": tf.TensorSpec([None], tf.bool),
        "weight": tf.TensorSpec([None], tf.float32),
        "before": tf.TensorSpec([None], tf.int32),
    },
    {"start": _INTS, "length": _INTS, "first_target": _INTS, "skipped": _INTS},
    _INTS,
)


def streamed_batches(
    shards: list[str],
    stretch: Stretch,
    *,
    max_length: int,
    batch_size: int,
    seed: int,
    is_untied: bool = False,
) -> StreamedBatches:
    """Make batches from shards, without holding their events.

    In: `shards`: Parquet files of whole users, as `prepare` writes them; `is_untied`:
    as of `Prepared`.
    """
    count = functools.partial(_count, stretch=stretch, max_length=max_length)
    with ThreadPoolExecutor() as threads:
        counts = list(threads.map(count, shards))
    order = np.random.default_rng(seed).permutation(len(shards))
    pools: list[list[str]] = []
    windows: list[int] = []
    held = POOL_EVENTS
    for shard in order:
        events, number = counts[shard]
        if number == 0:
            continue
        if held + events > POOL_EVENTS:
            pools.append([])
            windows.append(0)
            held = 0
        pools[-1].append(shards[shard])
        windows[-1] += number
        held += events
    return StreamedBatches(
        pools=tuple(map(tuple, pools)),
        windows=tuple(windows),
        stretch=stretch,
        max_length=max_length,
        batch_size=batch_size,
        seed=seed,
        is_untied=is_untied,
    )


def _count(path: str, stretch: Stretch, max_length: int) -> tuple[int, int]:
    """Return how many events and windows of a shard are trained on."""
    user = _read_columns(path, ["user"], stretch)["user"].to_numpy()
    counts = np.unique(user, return_counts=True)[1]
    return len(user), int(num_windows(counts, max_length).sum())


def _read_columns(path: str, columns: list[str], stretch: Stretch) -> pa.Table:
    with files.open_file(path) as file:
        return pq.read_table(file, columns=columns, filters=_condition(stretch))


def _condition(stretch: Stretch) -> pc.Expression | None:
    conditions = []
    if stretch.part is not None:
        conditions.append(pc.field("part") <= stretch.part)
    if stretch.end is not None:
        conditions.append(pc.field("time") < stretch.end)
    if stretch.likes_alone:
        conditions.append(pc.field("positive"))
    return functools.reduce(operator.and_, conditions) if conditions else None


def _read_log(paths: tuple[str, ...], stretch: Stretch, is_untied: bool) -> EventLog:
    """Read the events of some shards; `before` counts among them."""
    names = ["user", "item", "time", "positive", "weight", "label", "part"]
    with ThreadPoolExecutor() as threads:
        read = threads.map(lambda path: _read_columns(path, names, stretch), paths)
        table = pa.concat_tables(read)
    columns = {name: table[name].to_numpy() for name in names}
    # Shards of a pool may lie anywhere, so users are numbered within it.
    distinct, local = np.unique(columns["user"], return_inverse=True)
    order = np.argsort(local, kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    if is_untied:
        columns["time"] = untied(columns["user"], columns["time"])
    return EventLog(
        **columns,
        before=count_before(columns["user"], columns["time"]),
        start=row_starts(local[order] + 1, len(distinct)),
    )
