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
        query, key, value = self._heads(candidates, history)
        # A place with nothing in it: a candidate like no event attends to that.
        empty = [[0, 0], [0, 0], [1, 0], [0, 0]]
        logits = tf.matmul(query, tf.pad(key, empty), transpose_b=True)
        bias = tf.gather(self.bias, _bucket(recency(rows)))  # (b, l, h)
        bias = tf.where(rows[..., None] > 0, bias, MASKED)
        bias = tf.pad(tf.transpose(bias, [0, 2, 1]), [[0, 0], [0, 0], [1, 0]])
        weights = tf.nn.softmax(logits + bias[:, :, None])  # (b, h, c, 1 + l)
        heads = tf.matmul(weights, tf.pad(value, empty))
        joined, asked = (self._joined(x) for x in (heads, query))
        heard = tf.transpose(1.0 - weights[..., 0], [0, 2, 1])
        return tf.concat([joined, joined * asked, heard], -1)

    def _heads(
        self, candidates: tf.Tensor, history: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return query, key and value. Out: float32 (b, h, c or l, dim / h)."""
        asked, given = flat(candidates), flat(history)
        layers = (
            (self.query, asked, candidates),
            (self.key, given, history),
            (self.value, given, history),
        )
        width = self.dim // self.heads
        query, key, value = (
            tf.transpose(
                tf.reshape(
                    layer(x), [*tf.unstack(tf.shape(of))[:2], self.heads, width]
                ),
                [0, 2, 1, 3],
            )
            for layer, x, of in layers
        )
        return query, key * width**-0.5, value

    def _joined(self, heads: tf.Tensor) -> tf.Tensor:
        """Put heads side by side. In: (b, h, c, dim / h). Out: (b, c, dim)."""
        shape = [tf.shape(heads)[0], tf.shape(heads)[2], self.dim]
        return tf.reshape(tf.transpose(heads, [0, 2, 1, 3]), shape)


def flat(x: tf.Tensor) -> tf.Tensor:
    """Join all dimensions but the last: a Dense layer of more is a tensordot.

    That is a dozen ops in place of one. In: (..., dim). Out: (n, dim).
    """
    return tf.reshape(x, [-1, x.shape[-1]])


def recency(history: tf.Tensor) -> tf.Tensor:
    """Count the newer events of each event. In: int32 (b, l). Out: float32 (b, l)."""
    there = tf.cast(history > 0, tf.float32)
    return tf.cumsum(there, axis=1, exclusive=True, reverse=True)


def _bucket(newer: tf.Tensor) -> tf.Tensor:
    """Put counts into buckets that double. In: float32 (...). Out: int32 (...)."""
    place = tf.math.log(newer + 1.0) / tf.math.log(2.0)
    return tf.minimum(tf.cast(place, tf.int32), NUM_BUCKETS - 1)
