"""Input pipelines: prepared events in, batches of tensors out.

The order of an epoch comes from (seed, epoch) alone, so that a run that resumes
sees the batches that it would have seen. A batch is gathered from arrays by index;
no Python runs per example. Events that fit are held in memory; `data.streaming`
reads more than that from disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from data.events import EventLog

Batch = dict[str, tf.Tensor]
EVENT_TENSORS = ("user", "item", "time", "positive", "weight", "before")


class Batches(Protocol):
    """A source of epochs, the same at each call."""

    @property
    def num_batches(self) -> int:
        """Return the number of batches of an epoch."""
        ...

    def epoch(self, number: int) -> tf.data.Dataset:
        """Return the batches of an epoch in its own order."""
        ...

    def sample(self) -> Batch:
        """Return a batch of one example, to build a model with."""
        ...


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Stretches of users' events to train on, each (w,) int64, places in the log.

    The model reads the `length` events from `start` on and answers for those from
    `first_target` on: every event is a target once, and all but a user's first have
    at least half a window before them. `skipped`: the user's events before `start`.
    """

    start: np.ndarray
    length: np.ndarray
    first_target: np.ndarray
    skipped: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def tensors(self) -> Batch:
        """Return the windows as tensors, by name."""
        names = ("start", "length", "first_target", "skipped")
        return {name: tf.constant(getattr(self, name)) for name in names}


def plan_windows(log: EventLog, max_length: int) -> Windows:
    """Cover every user's events with windows that overlap by half."""
    stride = max(max_length // 2, 1)
    counts = log.user_counts()
    per_user = num_windows(counts, max_length)
    users = np.repeat(np.arange(len(counts)), per_user)
    number = np.arange(len(users)) - np.repeat(np.cumsum(per_user) - per_user, per_user)
    skipped = number * stride
    start = log.start[users] + skipped
    length = np.minimum(max_length, log.start[users + 1] - start)
    asked_before = np.where(number > 0, max_length - stride, 0)
    return Windows(
        start=start,
        length=length,
        first_target=start + asked_before,
        skipped=skipped,
    )


def num_windows(counts: np.ndarray, max_length: int) -> np.ndarray:
    """Return how many windows cover so many events of a user. In, out: int64 (n,)."""
    stride = max(max_length // 2, 1)
    extra = np.ceil(np.maximum(counts - max_length, 0) / stride).astype(np.int64)
    return np.where(counts > 0, 1 + extra, 0)


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Which windows share a batch: those of about one length, to pad little.

    `width`: int64 (w,), the length to which each window is padded. `sizes`, `widths`:
    int64 (n,), of each batch when windows stand from the widest to the narrowest; a
    batch of narrow windows has more of them, so that each has about as many events.
    """

    width: np.ndarray
    sizes: np.ndarray
    widths: np.ndarray

    @classmethod
    def of(cls, length: np.ndarray, max_length: int, batch_size: int) -> "BatchPlan":
        """Plan batches of as many events as `batch_size` full windows have.

        In: `length`: int64 (w,), at most `max_length`.
        """
        grid = [max_length]
        while grid[-1] > NARROWEST:
            grid.append(max(int(grid[-1] * NARROWER), NARROWEST))
        steps = np.array(grid[::-1])
        width = steps[np.searchsorted(steps, length)]
        falling = np.sort(width)[::-1]
        sizes, widths, done = [], [], 0
        while done < len(falling):
            widths.append(int(falling[done]))
            size = batch_size * max_length // widths[-1]
            sizes.append(min(size, len(falling) - done))
            done += sizes[-1]
        return cls(
            width=width,
            sizes=np.array(sizes, np.int64),
            widths=np.array(widths, np.int64),
        )

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Shuffle windows among those of their width. Out: int64 (w,), widest first."""
        shuffled = rng.permutation(len(self.width))
        return shuffled[np.argsort(-self.width[shuffled], kind="stable")]


NARROWER, NARROWEST = 0.85, 8


def gather_windows(
    events: Mapping[str, tf.Tensor],
    windows: Mapping[str, tf.Tensor],
    index: tf.Tensor,
    max_length: int | tf.Tensor,
) -> Batch:
    """Gather the windows at an index, int64 (b,), from the events they lie in.

    In: `max_length`: an int or an int64 scalar, no less than the windows' lengths.
    Out: as the batches of `sequence_batches`.
    """
    start, length, first, skipped = (
        tf.gather(windows[name], index)[:, None]
        for name in ("start", "length", "first_target", "skipped")
    )
    place = start + tf.range(tf.cast(max_length, tf.int64))
    valid = place < start + length
    place = tf.minimum(place, tf.size(events["item"], tf.int64) - 1)
    names = [name for name in events if name != "user"]
    batch = {name: tf.gather(events[name], place) for name in names}
    is_target = valid & batch["positive"] & (place >= first)
    slot = tf.maximum(batch["before"] - tf.cast(skipped, tf.int32), 0)
    return {
        "user": tf.gather(events["user"], start[:, 0]),
        "history": tf.where(valid, batch["item"], 0),
        "target": tf.where(is_target, batch["item"], 0),
        "slot": tf.where(valid, slot, 0),
        "time": tf.where(valid, batch["time"], 0),
        "weight": tf.where(is_target, batch["weight"], 0.0),
    }


def sequence_batches(
    log: EventLog, *, max_length: int, batch_size: int, seed: int
) -> "WindowBatches":
    """Make batches of windows in which every event asks for itself.

    Out: a source of epochs; each batch has `user` int32 (b,), `history` int32
    (b, t), padded with 0 at the end, and for each place of the history a target:
    `target` int32, 0 where none (not positive, padding, or another window's); `slot`
    int32, how many events of the window are strictly earlier; `time` int64, of the
    event, Unix seconds; `weight` float32. Windows of a batch are about as long: t is
    at most `max_length`, and b * t about `batch_size * max_length`.
    """
    windows = plan_windows(log, max_length)
    with tf.device("/cpu:0"):
        events = {name: tf.constant(getattr(log, name)) for name in EVENT_TENSORS}
        tensors = windows.tensors()

    # Traced once, not for every epoch's dataset.
    @tf.function(input_signature=[_INDEX, _WIDTH], autograph=False)
    def padded(index: tf.Tensor, width: tf.Tensor) -> Batch:
        return gather_windows(events, tensors, index, width)

    plan = BatchPlan.of(windows.length, max_length, batch_size)
    return WindowBatches(plan, max_length, seed, padded)


@dataclass(frozen=True)
class WindowBatches:
    """Epochs of windows in memory: `epoch(n)` is always the same."""

    plan: BatchPlan
    max_length: int
    seed: int
    padded: "tf.types.experimental.PolymorphicFunction"

    @property
    def num_batches(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self.plan.sizes)

    @property
    def num_examples(self) -> int:
        """Return the number of windows."""
        return len(self.plan.width)

    def gather(self, index: tf.Tensor) -> Batch:
        """Return the windows at an index, int64 (b,), as long as the longest may be."""
        batch: Batch = self.padded(index, tf.constant(self.max_length, tf.int64))
        return batch

    def epoch(self, number: int) -> tf.data.Dataset:
        """Return the batches of an epoch in its own order."""
        rng = np.random.default_rng((self.seed, number))
        windows = tf.RaggedTensor.from_row_lengths(
            self.plan.order(rng), self.plan.sizes
        )
        batch = rng.permutation(self.num_batches)
        rows = (tf.gather(windows, batch), self.plan.widths[batch])
        dataset = tf.data.Dataset.from_tensor_slices(rows)
        batches = dataset.map(self.padded, num_parallel_calls=2).prefetch(2)
        return batches.with_options(untuned())

    def sample(self) -> Batch:
        """Return a batch of one example, to build a model with."""
        return self.gather(tf.constant([0], tf.int64))


def array_batches(
    columns: Mapping[str, np.ndarray], *, batch_size: int, seed: int
) -> "EpochBatches":
    """Make batches of rows of arrays that have one first dimension.

    Out: a source of epochs; each batch has the columns under their names.
    """
    with tf.device("/cpu:0"):
        tensors = {name: tf.constant(values) for name, values in columns.items()}
    num_rows = len(next(iter(columns.values())))

    @tf.function(input_signature=[_INDEX], autograph=False)
    def gather(index: tf.Tensor) -> Batch:
        return {name: tf.gather(values, index) for name, values in tensors.items()}

    return EpochBatches(num_rows, batch_size, seed, gather)


_INDEX = tf.TensorSpec([None], tf.int64)
_WIDTH = tf.TensorSpec([], tf.int64)


@dataclass(frozen=True)
class EpochBatches:
    """Epochs of examples in memory: `epoch(n)` is always the same."""

    num_examples: int
    batch_size: int
    seed: int
    gather: "tf.types.experimental.PolymorphicFunction"

    @property
    def num_batches(self) -> int:
        """Return the number of batches of an epoch."""
        return -(-self.num_examples // self.batch_size)

    def epoch(self, number: int) -> tf.data.Dataset:
        """Return the batches of an epoch in its own order."""
        order = np.random.default_rng((self.seed, number)).permutation(
            self.num_examples
        )
        dataset = tf.data.Dataset.from_tensor_slices(order).batch(self.batch_size)
        batches = dataset.map(self.gather, num_parallel_calls=2).prefetch(2)
        return batches.with_options(untuned())

    def sample(self) -> Batch:
        """Return a batch of one example, to build a model with."""
        batch: Batch = self.gather(tf.constant([0], tf.int64))
        return batch


def untuned() -> tf.data.Options:
    """Return options without tuning: releasing a tuned iterator may wait seconds."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
