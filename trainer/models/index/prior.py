"""The answer to who is unknown: the most popular items, the same for everyone."""

import numpy as np
import tensorflow as tf

from trainer.models.index.base import PADDING_SCORE, Index, best, is_excluded


class Prior(Index):
    """Ranks by a fixed score of each item, whatever the query."""

    kind = "prior"

    def __init__(self, prior: np.ndarray, servable: np.ndarray) -> None:
        """In: `prior` float32 (items + 1,); `servable` bool (items + 1,)."""
        super().__init__(name="prior")
        rows = np.flatnonzero(servable).astype(np.int32)
        rows = rows[np.argsort(-prior[rows], kind="stable")]
        self.num_indexed = len(rows)
        self.rows = tf.Variable(rows, trainable=False, name="rows")
        self.scores = tf.Variable(prior[rows], trainable=False, name="scores")

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the first items of the fixed order that are not excluded."""
        counts = tf.reduce_sum(tf.cast(excluded > 0, tf.int32), axis=1)
        longest = tf.reduce_max(tf.concat([counts, [0]], axis=0))
        deep = tf.minimum(k + longest, self.num_indexed)
        shape = [tf.shape(queries)[0], deep]
        rows = tf.broadcast_to(self.rows[:deep], shape)
        scores = tf.broadcast_to(self.scores[:deep], shape)
        out = is_excluded(rows, excluded)
        return best(rows, tf.where(out, PADDING_SCORE, scores), k)
