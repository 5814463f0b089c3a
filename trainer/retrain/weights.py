"""Hashes of the weights that a fit left: of the numbers, not of files."""

import hashlib

import tensorflow as tf

from data import files

# Sums of metrics, which a fit that was taken up within an epoch has of its rest alone.
NO_WEIGHTS = ("model/mean_loss", "model/_", "_CHECKPOINTABLE_OBJECT_GRAPH")


def weights_hash(checkpoints: str) -> str:
    """Return what changes with any of the best weights of a fit.

    In: a stage's folder of checkpoints.
    """
    reader = tf.train.load_checkpoint(files.join(checkpoints, "best", "weights"))
    digest = hashlib.sha256()
    for name in sorted(reader.get_variable_to_shape_map()):
        if not name.startswith(NO_WEIGHTS):
            digest.update(name.encode())
            digest.update(reader.get_tensor(name).tobytes())
    return digest.hexdigest()[:16]
