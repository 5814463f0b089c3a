"""A causal Transformer over what a user did, one state after each event."""

import tensorflow as tf

from trainer.models.seeded import Step


class SequenceEncoder(tf.keras.layers.Layer):
    """Pre-norm Transformer blocks with learned relative positions.

    Relative positions make a history read from its start (training on every place)
    and the newest events alone (serving) look the same.

    Source: Kang & McAuley 2018, SASRec, for the task; Raffel et al. 2020, T5,
    section 2.1, for the relative bias (ours has one value a distance).
    """

    def __init__(
        self, *, dim: int, blocks: int, heads: int, length: int, rate: float, step: Step
    ) -> None:
        super().__init__(name="sequence_encoder")
        self.length, self.rate, self.step = length, rate, step
        self.blocks = [
            Block(dim, heads, length + 1, rate, step, name=f"block_{i}")
            for i in range(blocks)
        ]
        self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.start = self.add_weight(name="start", shape=[1, 1, dim])

    def call(self, vectors: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode histories.

        In: float32 (b, length, dim), oldest first, padding at the end. Out: float32
        (b, length + 1, dim): the state after 0, 1, ... events.
        """
        start = tf.tile(self.start, [tf.shape(vectors)[0], 1, 1])
        states = tf.concat([tf.cast(start, vectors.dtype), vectors], axis=1)
        if training:
            states = self.step.dropout(states, self.rate, self.name)
        for block in self.blocks:
            states = block(states, training=training)
        return self.norm(states)


class Block(tf.keras.layers.Layer):
    """Causal self-attention and a feed-forward layer, each normed before and added."""

    def __init__(
        self, dim: int, heads: int, length: int, rate: float, step: Step, *, name: str
    ) -> None:
        super().__init__(name=name)
        self.heads, self.head_dim, self.rate, self.step = (
            heads,
            dim // heads,
            rate,
            step,
        )
        self.norm_attention = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.norm_feed = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.project_in = tf.keras.layers.Dense(3 * dim, use_bias=False)
        self.project_out = tf.keras.layers.Dense(dim)
        self.expand = tf.keras.layers.Dense(2 * dim, activation="gelu")
        self.contract = tf.keras.layers.Dense(dim)
        self.bias = self.add_weight(
            name="relative_bias", shape=[heads, length], initializer="zeros"
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """In, out: float32 (b, t, dim); place i sees places 0 to i."""
        x += self._drop(self._attend(self.norm_attention(x)), training, "attention")
        feed = self.contract(self.expand(self.norm_feed(x)))
        return x + self._drop(feed, training, "feed")

    def _attend(self, x: tf.Tensor) -> tf.Tensor:
        batch, time = tf.shape(x)[0], tf.shape(x)[1]
        parts = tf.reshape(
            self.project_in(x), [batch, time, 3, self.heads, self.head_dim]
        )
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query, key, transpose_b=True) * self.head_dim**-0.5
        weights = tf.nn.softmax(scores + tf.cast(self._mask(time), scores.dtype))
        width = self.heads * self.head_dim
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        return self.project_out(tf.reshape(mixed, [batch, time, width]))

    def _mask(self, time: tf.Tensor) -> tf.Tensor:
        distance = tf.range(time)[:, None] - tf.range(time)  # (t, t), past positive.
        bias = tf.gather(self.bias, tf.maximum(distance, 0), axis=1)
        return tf.where(distance >= 0, bias, -1e9)  # (heads, t, t)

    def _drop(self, x: tf.Tensor, training: bool, part: str) -> tf.Tensor:
        return self.step.dropout(x, self.rate, f"{self.name}/{part}") if training else x
