"""Attention of each candidate over what the user did."""

import tensorflow as tf

NUM_BUCKETS = 8
MASKED = -1e9


class TargetAttention(tf.keras.layers.Layer):
    """Sums up a history for each candidate: what is like it counts most.

    Source: Zhou et al. 2018, "Deep interest network for click-through rate
    prediction", section 4.3. Their small network for every pair is a scaled dot
    product here (Vaswani et al. 2017), and how long ago an event was is a bias of its
    own: an export serves hundreds of candidates at once.
    """

    def __init__(self, dim: int, heads: int, *, name: str = "target_attention") -> None:
        super().__init__(name=name)
        self.dim, self.heads = dim, heads
        self.query = tf.keras.layers.Dense(dim, name="query")
        self.key = tf.keras.layers.Dense(dim, name="key")
        self.value = tf.keras.layers.Dense(dim, name="value")

    def build(self, _: tf.TensorShape) -> None:
        """Create the bias of recency."""
        self.bias = self.add_weight(
            name="recency_bias", shape=(NUM_BUCKETS, self.heads), initializer="zeros"
        )

    def call(
        self, candidates: tf.Tensor, history: tf.Tensor, rows: tf.Tensor
    ) -> tf.Tensor:
        """Attend.

        In: `candidates` float32 (b, c, p), `history` float32 (b, l, p), `rows` int32
        (b, l), the history's, oldest first, 0 is padding. Out: float32 (b, c,
        2 * dim + heads): the sum, its product with the candidate's query, and how
        much attention the history got at all, 0 without one.
        """
        query, key, value = (
            tf.reshape(x, [tf.shape(x)[0], -1, self.heads, self.dim // self.heads])
            for x in (self.query(candidates), self.key(history), self.value(history))
        )
        logits = tf.einsum("bchd,blhd->bchl", query, key)
        logits *= (self.dim // self.heads) ** -0.5
        bias = tf.gather(self.bias, _bucket(recency(rows)))  # (b, l, h)
        logits += tf.transpose(bias, [0, 2, 1])[:, None]
        logits = tf.where(rows[:, None, None] > 0, logits, MASKED)
        # A place with nothing in it: a candidate like no event attends to that.
        weights = tf.nn.softmax(tf.pad(logits, [[0, 0], [0, 0], [0, 0], [1, 0]]))
        weights = weights[..., 1:]
        heads = tf.einsum("bchl,blhd->bchd", weights, value)
        flat = tf.concat([tf.shape(heads)[:2], [self.dim]], 0)
        joined, asked = tf.reshape(heads, flat), tf.reshape(query, flat)
        return tf.concat([joined, joined * asked, tf.reduce_sum(weights, -1)], -1)


def recency(history: tf.Tensor) -> tf.Tensor:
    """Count the newer events of each event. In: int32 (b, l). Out: float32 (b, l)."""
    there = tf.cast(history > 0, tf.float32)
    return tf.cumsum(there, axis=1, exclusive=True, reverse=True)


def _bucket(newer: tf.Tensor) -> tf.Tensor:
    """Put counts into buckets that double. In: float32 (...). Out: int32 (...)."""
    place = tf.math.log(newer + 1.0) / tf.math.log(2.0)
    return tf.minimum(tf.cast(place, tf.int32), NUM_BUCKETS - 1)
