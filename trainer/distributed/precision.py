"""In what numbers a model is fitted; whatever it is, variables are float32."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from trainer.config import Precision


@contextlib.contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Give layers made here a policy, those of Keras 2 and of Keras 3 alike.

    The text tower is of Keras 3, all else of Keras 2, and each looks at its own.
    """
    if precision == "float32":
        yield
        return
    import keras

    mixed, plain = tf.keras.mixed_precision, keras.config.dtype_policy()
    before = mixed.global_policy()
    mixed.set_global_policy(precision)
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        mixed.set_global_policy(before)
        keras.config.set_dtype_policy(plain)
