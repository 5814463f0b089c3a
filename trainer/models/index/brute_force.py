"""The exact index: every item is scored."""

import numpy as np
import tensorflow as tf

from trainer.models.index.base import PADDING_SCORE, Index, best, exclusion_mask


class BruteForce(Index):
    """Scores the whole catalogue; exact, stock ops, for small catalogues."""

    kind = "brute_force"

    def __init__(self, vectors: np.ndarray, servable: np.ndarray) -> None:
        """In: `vectors` float32 (items + 1, dim); `servable` bool (items + 1,)."""
        super().__init__(name="brute_force")
        self.vectors = tf.Variable(vectors, trainable=False, name="item_vectors")
        self.hidden = tf.Variable(~servable, trainable=False, name="hidden")

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Search exactly; see Index."""
        scores = tf.matmul(queries, self.vectors, transpose_b=True)
        num_rows = self.vectors.shape[0]
        out = exclusion_mask(excluded, num_rows) | self.hidden
        scores = tf.where(out, PADDING_SCORE, scores)
        rows = tf.repeat(tf.range(num_rows)[None], tf.shape(queries)[0], axis=0)
        return best(rows, scores, k)
