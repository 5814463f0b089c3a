"""Prepared data in, model versions out.

TensorFlow Recommenders refuses Keras 3, so the choice of Keras is made here, before
anything of the package can import TensorFlow.
"""

import os
import sys
from shutil import which

from data.errors import ConfigError

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Without a GPU every start says that there is none, as an error of level 2.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if which("nvidia-smi") else "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"
# TensorFlow takes oneDNN by itself on newer Intel processors alone; with AVX2 its
# matrix products are faster than Eigen's too, by a quarter of a training step.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def require_legacy_keras() -> None:
    """Raise ConfigError if `tf.keras` is Keras 3 in this process.

    That is so when TensorFlow was imported before this package without
    TF_USE_LEGACY_KERAS=1 in the environment.
    """
    if "tensorflow" not in sys.modules:
        return
    import tensorflow as tf

    module = tf.keras.layers.Layer.__module__
    if not module.startswith("tf_keras"):
        raise ConfigError(
            f"tf.keras is Keras 3 in this process (it comes from {module}), expected "
            "tf-keras, which TensorFlow Recommenders needs. Set TF_USE_LEGACY_KERAS=1 "
            "before the first import of tensorflow, or import trainer first."
        )


require_legacy_keras()
