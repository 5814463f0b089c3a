"""What a user did, encoded in order: one state after each event."""

import tensorflow as tf

from trainer.config import Encoder
from trainer.models.seeded import Step


class SequenceEncoder(tf.keras.layers.Layer):
    """Pre-norm Transformer blocks with learned relative positions, or a plain mean.

    Relative positions make a history read from its start (training on every place)
    and the newest events alone (serving) look the same.

    Source: Kang & McAuley 2018, SASRec, for the task; Raffel et al. 2020, T5,
    section 2.1, for the relative bias (ours has one value a distance).
    """

    def __init__(
        self,
        *,
        dim: int,
        blocks: int,
        heads: int,
        length: int,
        rate: float,
        step: Step,
        block: Encoder,
    ) -> None:
        super().__init__(name="sequence_encoder")
        self.length, self.rate, self.step = length, rate, step
        self.means = block == "mean"
        gated = block == "gated"
        self.blocks = [
            Block(dim, heads, length + 1, rate, step, gated=gated, name=f"block_{i}")
            for i in range(0 if self.means else blocks)
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
        if self.means:
            events = tf.range(1, tf.shape(states)[1] + 1)
            states = tf.cumsum(states, axis=1)
            states /= tf.cast(events, states.dtype)[:, None]
        for block in self.blocks:
            states = block(states, training=training)
        return self.norm(states)


class Block(tf.keras.layers.Layer):
    """Causal self-attention and a feed-forward layer, each normed before and added.

    A gated one weighs what it adds by what is there already, and its feed-forward
    layer is a product of two.
    Source: Shazeer 2020, "GLU variants improve Transformer"; Borisyuk et al. 2024,
    "LiGR", for the gates.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        length: int,
        rate: float,
        step: Step,
        *,
        gated: bool,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.heads, self.head_dim, self.rate, self.step = (
            heads,
            dim // heads,
            rate,
            step,
        )
        self.gated = gated
        self.norm_attention = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.norm_feed = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.project_in = tf.keras.layers.Dense(3 * dim, use_bias=False)
        self.project_out = tf.keras.layers.Dense(dim)
        width = 4 if gated else 2
        self.expand = tf.keras.layers.Dense(width * dim, None if gated else "gelu")
        self.contract = tf.keras.layers.Dense(dim)
        if gated:
            self.gate_attention = tf.keras.layers.Dense(dim, "sigmoid")
            self.gate_feed = tf.keras.layers.Dense(dim, "sigmoid")
        self.bias = self.add_weight(
            name="relative_bias", shape=[heads, length], initializer="zeros"
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """In, out: float32 (b, t, dim); place i sees places 0 to i."""
        # Dense layers on (n, dim): on three dimensions each would be a tensordot.
        shape = tf.shape(x)
        x = tf.reshape(x, [-1, self.heads * self.head_dim])
        found = self._attend(self.norm_attention(x), shape)
        if self.gated:
            found *= self.gate_attention(x)
        x += self._drop(found, training, "attention")
        found = self._feed(self.norm_feed(x))
        if self.gated:
            found *= self.gate_feed(x)
        return tf.reshape(x + self._drop(found, training, "feed"), shape)

    def _feed(self, x: tf.Tensor) -> tf.Tensor:
        hidden = self.expand(x)
        if self.gated:
            gate, value = tf.split(hidden, 2, axis=-1)
            hidden = tf.nn.silu(gate) * value
        return self.contract(hidden)

    def _attend(self, x: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        time = shape[1]
        parts = tf.reshape(
            self.project_in(x), [shape[0], time, 3, self.heads, self.head_dim]
        )
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query * self.head_dim**-0.5, key, transpose_b=True)
        weights = tf.nn.softmax(scores + tf.cast(self._mask(time), scores.dtype))
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        return self.project_out(tf.reshape(mixed, [-1, self.heads * self.head_dim]))

    def _mask(self, time: tf.Tensor) -> tf.Tensor:
        distance = tf.range(time)[:, None] - tf.range(time)  # (t, t), past positive.
        bias = tf.gather(self.bias, tf.maximum(distance, 0), axis=1)
        return tf.where(distance >= 0, bias, -1e9)  # (heads, t, t)

    def _drop(self, x: tf.Tensor, training: bool, part: str) -> tf.Tensor:
        return self.step.dropout(x, self.rate, f"{self.name}/{part}") if training else x
