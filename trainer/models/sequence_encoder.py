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
        states = self._begin(vectors)
        if training:
            states = self.step.dropout(states, self.rate, self.name)
        if self.means:
            events = tf.range(1, tf.shape(states)[1] + 1)
            states = tf.cumsum(states, axis=1)
            states /= tf.cast(events, states.dtype)[:, None]
        for block in self.blocks:
            states = block(states, training=training)
        return self.norm(states)

    def at(self, vectors: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """Encode histories for one place each: what `call` has there, for less.

        In: `vectors` as in `call`; `place` int32 (b,). Out: float32 (b, dim), the
        state after so many events.
        """
        states = self._begin(vectors)
        if self.means:
            events = place[:, None] + 1
            read = tf.range(tf.shape(states)[1]) < events  # (b, length + 1)
            states = tf.where(read[..., None], states, 0)
            state = tf.reduce_sum(states, axis=1) / tf.cast(events, states.dtype)
        else:
            for block in self.blocks[:-1]:
                states = block(states)
            state = self.blocks[-1].at(states, place)
        return self.norm(state[:, None])[:, 0]  # Built for three dimensions.

    def _begin(self, vectors: tf.Tensor) -> tf.Tensor:
        start = tf.tile(self.start, [tf.shape(vectors)[0], 1, 1])
        return tf.concat([tf.cast(start, vectors.dtype), vectors], axis=1)


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
        shape = tf.shape(x)
        # Dense layers on (n, dim): on three dimensions each would be a tensordot.
        x = tf.reshape(x, [-1, self.heads * self.head_dim])
        query, key, value = self._project(self.norm_attention(x), shape)
        places = tf.range(shape[1])[None]
        x = self._add(x, self._attend(query, key, value, places), training)
        return tf.reshape(x, shape)

    def at(self, x: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """Return one place's state. In: (b, t, dim), int32 (b,). Out: (b, dim)."""
        shape = tf.shape(x)
        states = tf.reshape(x, [-1, self.heads * self.head_dim])
        query, key, value = self._project(self.norm_attention(states), shape)
        places = place[:, None]
        query = tf.gather(query, places, axis=2, batch_dims=1)
        here = tf.gather(x, place, axis=1, batch_dims=1)
        return self._add(here, self._attend(query, key, value, places), False)

    def _add(self, x: tf.Tensor, mixed: tf.Tensor, training: bool) -> tf.Tensor:
        """Add what was attended to and what the feed-forward layer makes of it."""
        found = self.project_out(mixed)
        if self.gated:
            found *= self.gate_attention(x)
        x += self._drop(found, training, "attention")
        found = self._feed(self.norm_feed(x))
        if self.gated:
            found *= self.gate_feed(x)
        return x + self._drop(found, training, "feed")

    def _feed(self, x: tf.Tensor) -> tf.Tensor:
        hidden = self.expand(x)
        if self.gated:
            gate, value = tf.split(hidden, 2, axis=-1)
            hidden = tf.nn.silu(gate) * value
        return self.contract(hidden)

    def _project(self, x: tf.Tensor, shape: tf.Tensor) -> list[tf.Tensor]:
        """Return query, key and value. Out: float32 (b, heads, t, dim / heads) each."""
        parts = tf.reshape(
            self.project_in(x), [shape[0], shape[1], 3, self.heads, self.head_dim]
        )
        return tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))

    def _attend(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, places: tf.Tensor
    ) -> tf.Tensor:
        """Mix the values that each query's place sees. Out: float32 (b * q, dim)."""
        scores = tf.matmul(query * self.head_dim**-0.5, key, transpose_b=True)
        mask = self._mask(places, tf.shape(key)[2])
        weights = tf.nn.softmax(scores + tf.cast(mask, scores.dtype))
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        return tf.reshape(mixed, [-1, self.heads * self.head_dim])

    def _mask(self, places: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """Return the bias of each distance. Out: float32 (b or 1, heads, q, t)."""
        distance = places[..., None] - tf.range(time)  # (b or 1, q, t), past positive.
        bias = tf.gather(self.bias, tf.maximum(distance, 0), axis=1)
        bias = tf.where(distance >= 0, bias, -1e9)
        return tf.transpose(bias, [1, 0, 2, 3])

    def _drop(self, x: tf.Tensor, training: bool, part: str) -> tf.Tensor:
        return self.step.dropout(x, self.rate, f"{self.name}/{part}") if training else x
