"""How replicas share a global batch, so that their number leaves no trace.

Every replica is given the whole batch, which is numbers of rows and little else, and
computes the loss of its own examples. The items of the whole batch are encoded once:
each replica takes some, and their vectors are gathered, with gradient. What is drawn at
random is drawn for the whole, and each replica takes what falls to its rows.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

import tensorflow as tf

Draw = Callable[[tf.Tensor], tf.Tensor]
"""From a shape, int32 (dimensions,), to random values of that shape."""


@dataclass(frozen=True)
class Rows:
    """The `count` rows from `first` on, of `total`: int32 scalars."""

    total: tf.Tensor
    first: tf.Tensor
    count: tf.Tensor

    def of(self, values: tf.Tensor) -> tf.Tensor:
        """Return these rows. In: (total, ...). Out: (count, ...)."""
        return values[self.first : self.first + self.count]

    def of_batch(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return these rows of each tensor of a batch."""
        return {name: self.of(values) for name, values in batch.items()}

    def drawn(self, draw: Draw, values: tf.Tensor) -> tf.Tensor:
        """Draw for all rows and return what falls to these.

        In: `values`: (count * m, ...), m places for each of these rows, in order.
        Out: values drawn, of that shape. Rows that are padding after all are given 1.
        """
        shape = tf.shape(values)
        places = shape[0] // tf.maximum(self.count, 1)
        whole = draw(tf.concat([[self.total * places], shape[1:]], axis=0))
        end = self.first + self.count
        padding = tf.maximum(end - self.total, 0) * places
        edges = [[0, padding], *[[0, 0]] * (len(values.shape) - 1)]
        whole = tf.pad(whole, edges, constant_values=tf.ones([], whole.dtype))
        mine = whole[self.first * places : end * places]
        return tf.ensure_shape(mine, [None, *values.shape[1:]])


_ROWS: ContextVar[Rows | None] = ContextVar("rows", default=None)
_SHARE: ContextVar["Share | None"] = ContextVar("share", default=None)


@contextlib.contextmanager
def dividing(rows: Rows | None) -> Iterator[None]:
    """Say what rows are computed here; each replica has a thread of its own."""
    token = _ROWS.set(rows)
    try:
        yield
    finally:
        _ROWS.reset(token)


def rows_here() -> Rows | None:
    """Return what rows are computed here, None if all are."""
    return _ROWS.get()


@dataclass(frozen=True)
class Share:
    """One of several parts of a batch: `number` of them, `place` int32 scalar, from 0.

    `meets`: all are computed at once, by replicas that reach each other meanwhile.
    """

    number: int
    place: tf.Tensor
    meets: bool = True

    @classmethod
    def here(cls) -> "Share | None":
        """Return which part is computed here, None if it is the whole."""
        given = _SHARE.get()  # No walrus: autograph reads this.
        if given is not None:
            return given
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return None
        return cls(context.num_replicas_in_sync, context.replica_id_in_sync_group)

    def examples(self, total: tf.Tensor) -> Rows:
        """Divide so many examples; shares differ by one at most, some may be empty."""
        first = total * self.place // self.number
        return Rows(total, first, total * (self.place + 1) // self.number - first)

    def summed(self, value: tf.Tensor) -> tf.Tensor:
        """Return the sum over all replicas."""
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


@contextlib.contextmanager
def taking(share: Share) -> Iterator[None]:
    """Say which part is computed here, where TensorFlow knows of no replicas."""
    token = _SHARE.set(share)
    try:
        yield
    finally:
        _SHARE.reset(token)


def encode_together(
    rows: tf.Tensor, encode: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Encode rows, by all replicas together where there are several that meet.

    Those that do not meet encode all of them each, to the same vectors.
    In: int32 (n,), the same everywhere. Out: (n, width), the same everywhere.
    """
    share = Share.here()
    if share is None or not share.meets:
        with dividing(None):
            return encode(rows)
    total = tf.size(rows)
    count = (total + share.number - 1) // share.number  # Gathered parts are as long.
    mine = Rows(total, share.place * count, count)
    padded = tf.pad(rows, [[0, count * share.number - total]])
    with dividing(mine):
        vectors = encode(mine.of(padded))
    context = tf.distribute.get_replica_context()
    # TensorFlow gathers no bfloat16.
    gathered = context.all_gather(tf.cast(vectors, tf.float32), axis=0)
    gathered = tf.cast(gathered, vectors.dtype)
    return tf.ensure_shape(gathered, [None, vectors.shape[-1]])[:total]
