"""Tables of numbers in a servable, in half the bytes if that is wanted."""

import numpy as np
import tensorflow as tf

from trainer.config import TableDtype

# Small numbers lose digits under 6e-5 and vanish under 6e-8: far below this.
LARGEST_IN_HALF = 2.0**12


class Stored(tf.Module):
    """A table of float32 numbers: rows in, float32 out, whatever it is stored as.

    In half precision numbers are scaled by a power of 2, such that the largest of the
    table is about LARGEST_IN_HALF: none overflows, whatever their unit.
    """

    def __init__(
        self, values: np.ndarray, dtype: TableDtype = "float32", *, name: str
    ) -> None:
        super().__init__(name=name)
        self.factor = 1.0
        if dtype != "float32":
            largest = max(float(np.abs(values).max(initial=0)), 1e-30)
            scale = 2.0 ** np.floor(np.log2(LARGEST_IN_HALF / largest))
            values, self.factor = values * np.float32(scale), float(1 / scale)
        self.values = tf.Variable(values.astype(dtype), trainable=False, name=name)
        self.width = int(values.shape[-1])

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Look rows up. In: int32 (...). Out: float32 (..., width)."""
        # A gather from the variable itself would make every later read of it whole,
        # as in an exact search over the same table, a copy.
        return self._widened(tf.gather(tf.convert_to_tensor(self.values), rows))

    def whole(self) -> tf.Tensor:
        """Return the table, float32: without a copy if it is stored so."""
        return self._widened(tf.convert_to_tensor(self.values))

    def _widened(self, values: tf.Tensor) -> tf.Tensor:
        if self.values.dtype == tf.float32:
            return values
        return tf.cast(values, tf.float32) * self.factor
