"""The exact index: every item is scored."""

import numpy as np
import tensorflow as tf

from trainer.config import TableDtype
from trainer.models.index.base import BLOCK, PADDING_SCORE, Index, top_places
from trainer.models.stored import Stored


class BruteForce(Index):
    """Scores the whole catalogue; exact, stock ops, for small catalogues.

    `vectors`, a table, may be shared with whoever wants an item's vector; behind the
    last row stand zeros, which fill the last block.
    """

    kind = "brute_force"

    def __init__(
        self,
        vectors: np.ndarray,
        servable: np.ndarray,
        dtype: TableDtype = "float32",
    ) -> None:
        """In: `vectors` float32 (items + 1, dim); `servable` bool (items + 1,).

        Stored as float16, the whole table is made wider in each search.
        """
        super().__init__(name="brute_force")
        self.num_rows = len(vectors)
        missing = -len(vectors) % BLOCK
        vectors = np.pad(vectors, [(0, missing), (0, 0)])
        self.vectors = Stored(vectors, dtype, name="item_vectors")
        hidden = np.r_[~servable, np.ones(missing, bool)]
        bias = np.where(hidden, PADDING_SCORE, 0).astype(np.float32)
        self.bias = tf.Variable(bias, trainable=False, name="hidden")

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Search exactly; see Index."""
        scores = tf.matmul(queries, self.vectors.whole(), transpose_b=True)
        # Float32 rounds the sum of both to PADDING_SCORE exactly.
        scores = left_out(scores + self.bias, excluded)
        width = tf.minimum(k, self.bias.shape[0])
        scores, rows = top_places(scores, width)
        rows = tf.where(scores > PADDING_SCORE, rows, 0)
        edges = [[0, 0], [0, k - width]]
        scores = tf.pad(scores, edges, constant_values=PADDING_SCORE)
        return tf.pad(rows, edges), scores


def left_out(scores: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Write PADDING_SCORE at some places. In: float32 (b, n); int32 (b, e)."""
    query = tf.broadcast_to(tf.range(tf.shape(places)[0])[:, None], tf.shape(places))
    at = tf.stack([query, places], axis=-1)
    none = tf.fill(tf.shape(places), PADDING_SCORE)
    return tf.tensor_scatter_nd_update(scores, at, none)
