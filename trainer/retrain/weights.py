"""Hashes of what fits and versions hold: of the numbers, not of files.

A file of weights also says how each variable was called, and that depends on what else
the process had made before.
"""

import hashlib

import numpy as np
import tensorflow as tf

from data import files

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Sums of metrics, which a fit that was taken up within an epoch has of its rest alone.
_NO_WEIGHTS = ("model/mean_loss", "model/_", _GRAPH)


def weights_hash(checkpoints: str) -> str:
    """Return what changes with any of the best weights of a fit.

    In: a stage's folder of checkpoints.
    """
    return _hash(files.join(checkpoints, "best", "weights"), _NO_WEIGHTS)


def tables_hash(version: str) -> str:
    """Return what changes with any weight or table of a version. In: its folder."""
    return _hash(files.join(version, "variables", "variables"), (_GRAPH,))


def _hash(place: str, without: tuple[str, ...]) -> str:
    reader = tf.train.load_checkpoint(place)
    digest = hashlib.sha256()
    for name in sorted(reader.get_variable_to_shape_map()):
        if not name.startswith(without):
            digest.update(name.encode())
            values = np.asarray(reader.get_tensor(name))
            # The bytes of strings would be places in memory.
            text = repr(values.tolist()) if values.dtype == object else ""
            digest.update(text.encode() or values.tobytes())
    return digest.hexdigest()[:16]
