"""Input pipelines: prepared events in, batches of tensors out.

The order of an epoch comes from (seed, epoch) alone, so that a run that resumes
sees the batches that it would have seen. A batch is gathered from arrays by index;
no Python runs per example.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data.events import EventLog


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Stretches of users' events to train on, each (w,) int64, places in the log.

    The model reads the `length` events from `start` on and answers for those from
    `first_target` on: every event is a target once, and all but a user's first have
    at least half a window before them.
    """

    start: np.ndarray
    length: np.ndarray
    first_target: np.ndarray

    def __len__(self) -> int:
        return len(self.start)


def plan_windows(log: EventLog, max_length: int) -> Windows:
    """Cover every user's events with windows that overlap by half."""
    stride = max(max_length // 2, 1)
    counts = log.user_counts()
    extra = np.ceil(np.maximum(counts - max_length, 0) / stride).astype(np.int64)
    per_user = np.where(counts > 0, 1 + extra, 0)
    users = np.repeat(np.arange(len(counts)), per_user)
    number = np.arange(len(users)) - np.repeat(np.cumsum(per_user) - per_user, per_user)
    start = log.start[users] + number * stride
    length = np.minimum(max_length, log.start[users + 1] - start)
    skipped = np.where(number > 0, max_length - stride, 0)
    return Windows(start=start, length=length, first_target=start + skipped)


def sequence_batches(
    log: EventLog, windows: Windows, *, max_length: int, batch_size: int, seed: int
) -> "EpochBatches":
    """Make batches in which every event of a window asks for itself.

    Out: a source of epochs; each batch has `user` int32 (b,), `history` int32
    (b, max_length), padded with 0 at the end, and for each place of the history a
    target: `target` int32, 0 where none (not positive, padding, or another window's);
    `slot` int32, how many events of the window are strictly earlier; `time` int64, of
    the event, Unix seconds; `weight` float32.
    """
    columns = {
        name: tf.constant(getattr(log, name))
        for name in ("user", "item", "time", "positive", "weight", "before")
    }
    user_start = tf.constant(log.start)
    plan = [
        tf.constant(a) for a in (windows.start, windows.length, windows.first_target)
    ]

    def gather(index: tf.Tensor) -> dict[str, tf.Tensor]:
        start, length, first = (tf.gather(column, index)[:, None] for column in plan)
        place = start + tf.range(max_length, dtype=tf.int64)
        valid = place < start + length
        place = tf.minimum(place, len(log) - 1)
        batch = {name: tf.gather(column, place) for name, column in columns.items()}
        user = tf.gather(columns["user"], start[:, 0])
        offset = tf.cast(start - tf.gather(user_start, user)[:, None], tf.int32)
        slot = tf.maximum(batch["before"] - offset, 0)
        is_target = valid & batch["positive"] & (place >= first)
        return {
            "user": user,
            "history": tf.where(valid, batch["item"], 0),
            "target": tf.where(is_target, batch["item"], 0),
            "slot": slot,
            "time": batch["time"],
            "weight": tf.where(is_target, batch["weight"], 0.0),
        }

    return EpochBatches(len(windows), batch_size, seed, gather)


def array_batches(
    columns: Mapping[str, np.ndarray], *, batch_size: int, seed: int
) -> "EpochBatches":
    """Make batches of rows of arrays that have one first dimension.

    Out: a source of epochs; each batch has the columns under their names.
    """
    tensors = {name: tf.constant(values) for name, values in columns.items()}
    num_rows = len(next(iter(columns.values())))

    def gather(index: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: tf.gather(values, index) for name, values in tensors.items()}

    return EpochBatches(num_rows, batch_size, seed, gather)


@dataclass(frozen=True)
class EpochBatches:
    """A source of epochs: `epoch(n)` is the dataset of epoch n, always the same."""

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
        options = tf.data.Options()
        options.autotune.enabled = False  # Releasing a tuned iterator may wait seconds.
        batches = dataset.map(self.gather, num_parallel_calls=2).prefetch(2)
        return batches.with_options(options)
