"""What every index does: the best items of a query, leaving some out."""

import abc
from typing import ClassVar

import tensorflow as tf

PADDING_SCORE = -1e30  # Infinities are not JSON.


class Index(tf.Module, abc.ABC):
    """Searches item vectors by dot product, inside a graph.

    Rows count from 1; row 0 stands for "no item", and so pads an answer that is
    shorter than asked, with PADDING_SCORE.
    """

    kind: ClassVar[str]
    ops_beyond_stock: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the best servable items that are not excluded.

        In: `queries` float32 (b, dim); `k` int32 scalar; `excluded` int32 (b, e),
        rows, padded with 0. Out: rows int32 (b, k) and scores float32 (b, k), best
        first, equal scores in the order of rows, no row twice.
        """


def exclusion_mask(excluded: tf.Tensor, num_rows: int) -> tf.Tensor:
    """Mark excluded rows. In: int32 (b, e), padded with 0. Out: bool (b, num_rows).

    Row 0 is always marked.
    """
    batch = tf.shape(excluded)[0]
    excluded = tf.concat([excluded, tf.zeros([batch, 1], excluded.dtype)], axis=1)
    query = tf.repeat(tf.range(batch)[:, None], tf.shape(excluded)[1], axis=1)
    places = tf.reshape(tf.stack([query, excluded], axis=-1), [-1, 2])
    marks = tf.ones([tf.shape(places)[0]], tf.int32)
    return tf.scatter_nd(places, marks, [batch, num_rows]) > 0


def best(
    rows: tf.Tensor, scores: tf.Tensor, k: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Take the k best of candidates; where there are fewer, pad.

    In: rows int32 and scores float32 (b, c), PADDING_SCORE for what is left out,
    equal scores in the order wanted. Out: int32 and float32 (b, k).
    """
    missing = tf.maximum(k - tf.shape(scores)[1], 0)
    edges = [[0, 0], [0, missing]]
    scores = tf.pad(scores, edges, constant_values=PADDING_SCORE)
    rows = tf.pad(rows, edges)
    scores, places = tf.math.top_k(scores, k)
    rows = tf.gather(rows, places, batch_dims=1)
    return tf.where(scores > PADDING_SCORE, rows, 0), scores
