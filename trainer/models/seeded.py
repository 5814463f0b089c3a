"""Randomness that depends on (seed, step) alone, so that a resumed run is the same.

A stateful generator would stand elsewhere after a restart; here the draws of step n
are the same whenever step n is taken.
"""

import zlib

import tensorflow as tf

from trainer.models.share import rows_here


class Step(tf.Module):
    """Counts training steps; every random draw of a model takes its seed from it."""

    def __init__(self, seed: int, *, value: tf.Variable | None = None) -> None:
        super().__init__(name="step")
        self.seed = seed
        self.value = value if value is not None else _count()

    def of_member(self, number: int) -> "Step":
        """Return what counts the same steps and draws otherwise; itself for 0."""
        if number == 0:
            return self
        salt = zlib.crc32(f"{self.seed}/member/{number}".encode())
        return Step(salt, value=self.value)

    def draw_seed(self, name: str) -> tf.Tensor:
        """Return the seed of a draw at this step. Out: int64 (2,)."""
        salt = zlib.crc32(f"{self.seed}/{name}".encode())
        return tf.stack([tf.constant(salt, tf.int64), self.value.read_value()])

    def dropout(self, x: tf.Tensor, rate: float, name: str) -> tf.Tensor:
        """Set a share of the values to 0 and scale up the rest."""
        if rate == 0:
            return x
        rows, seed = rows_here(), self.draw_seed(name)
        if rows is None:
            return tf.nn.experimental.stateless_dropout(x, rate, seed)

        def uniform(shape: tf.Tensor) -> tf.Tensor:
            return tf.random.stateless_uniform(shape, seed, dtype=x.dtype)

        kept = rows.drawn(uniform, x) >= tf.cast(rate, x.dtype)
        return tf.where(kept, x * tf.cast(1 / (1 - rate), x.dtype), 0)

    def drop_ids(self, slots: tf.Tensor, rate: float, name: str) -> tf.Tensor:
        """Replace a share of the ids by 0, the unknown id. In, out: int32 (...)."""
        if rate == 0:
            return slots
        return tf.where(self.uniform(slots, name) < rate, 0, slots)

    def uniform(self, like: tf.Tensor, name: str) -> tf.Tensor:
        """Draw from 0 to 1 for each value of a tensor. Out: float32 (...)."""
        rows, seed = rows_here(), self.draw_seed(name)

        def draw(shape: tf.Tensor) -> tf.Tensor:
            return tf.random.stateless_uniform(shape, seed)

        return draw(tf.shape(like)) if rows is None else rows.drawn(draw, like)


def _count() -> tf.Variable:
    return tf.Variable(
        0,
        dtype=tf.int64,
        trainable=False,
        name="step",
        # All replicas count alike.
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
