"""The ScaNN index, where its op is present, through TFRS's layer."""

import contextlib
import os
import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from data.errors import ConfigError
from trainer.models.index.base import PADDING_SCORE, Index, best, exclusion_mask

# Under this size ScaNN's recall falls and exact search is faster (ML-100K's 1,682
# random vectors: recall 0.53 at the layer's defaults).
EXACT_BELOW = 20_000
OPS = ("Scann>ScannCreateSearcher", "Scann>ScannSearchBatched", "Scann>ScannToTensors")


def is_available() -> bool:
    """Tell whether ScaNN can be imported on this platform."""
    try:
        import scann  # noqa: F401
    except ImportError:
        return False
    return True


class Scann(Index):
    """Approximate search by ScaNN, tuned to the catalogue's size.

    Source: Guo et al. 2020, "Accelerating large-scale inference with anisotropic
    vector quantization". Leaves about the square root of the items; an eighth of
    them searched; what is found scored again exactly.
    """

    kind = "scann"
    ops_beyond_stock = OPS

    def __init__(self, vectors: np.ndarray, servable: np.ndarray) -> None:
        """In: `vectors` float32 (items + 1, dim); `servable` bool (items + 1,)."""
        super().__init__(name="scann")
        if not is_available():
            raise ConfigError(
                '[export] retrieval_index = "scann": ScaNN has no wheel for this '
                'platform. Set retrieval_index = "brute_force".'
            )
        rows = np.flatnonzero(servable).astype(np.int32)
        self.num_rows = len(servable)
        self.num_indexed = len(rows)
        exact = len(rows) < EXACT_BELOW
        leaves = 1 if exact else int(np.sqrt(len(rows)))
        searched = 1 if exact else max(leaves // 8, 10)
        self.layer = tfrs.layers.factorized_top_k.ScaNN(
            k=min(100, len(rows)),
            num_leaves=max(leaves, 1),
            num_leaves_to_search=searched,
            # Everything in the leaves searched is scored again: small catalogues are
            # then searched exactly, large ones at ScaNN's own recall.
            num_reordering_candidates=len(rows) if exact else 2_000,
        )
        with _quiet_library():
            self.layer.index(tf.constant(vectors[rows]), tf.constant(rows))

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Search deeper by the longest list of exclusions, then leave them out."""
        counts = tf.reduce_sum(tf.cast(excluded > 0, tf.int32), axis=1)
        longest = tf.reduce_max(tf.concat([counts, [0]], axis=0))
        deep = tf.minimum(k + longest, self.num_indexed)
        scores, rows = self.layer(queries, k=deep)
        rows, scores = _in_order(rows, tf.cast(scores, tf.float32))
        out = tf.gather(exclusion_mask(excluded, self.num_rows), rows, batch_dims=1)
        # ScaNN fills up a short answer with numbers that are none.
        out |= tf.math.is_nan(scores)
        return best(rows, tf.where(out, PADDING_SCORE, scores), k)


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Keep what ScaNN's C++ code logs of its progress off the screen."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _in_order(rows: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    order = tf.argsort(rows, axis=1, stable=True)
    return tf.gather(rows, order, batch_dims=1), tf.gather(scores, order, batch_dims=1)
