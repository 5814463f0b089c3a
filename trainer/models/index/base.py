"""What every index does: the best items of a query, leaving some out."""

import abc
from typing import Any, ClassVar

import tensorflow as tf

from trainer.models.traced import Traced

PADDING_SCORE = -1e30  # Infinities are not JSON.
# Stock top_k goes through a row one number at a time; the greatest of each block are
# found by vector instructions. 64 queries of 300,000 items: 78 ms in place of 150.
BLOCK = 128


class Index(tf.Module, abc.ABC):
    """Searches item vectors by dot product, inside a graph.

    Rows count from 1; row 0 stands for "no item", and so pads an answer that is
    shorter than asked, with PADDING_SCORE.
    """

    kind: ClassVar[str]
    ops_beyond_stock: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.traced = Traced(
            self.search,
            tf.TensorSpec([None, None], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
        )

    @abc.abstractmethod
    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the best servable items that are not excluded.

        In: `queries` float32 (b, dim); `k` int32 scalar, from 1 up; `excluded` int32
        (b, e), rows, padded with 0. Out: rows int32 (b, k) and scores float32 (b, k),
        best first, equal scores in the order of rows, no row twice. An exclusion
        never shortens an answer: only where fewer than k items are servable and not
        excluded is it padded.
        """

    def settings(self) -> dict[str, Any]:
        """Return what the index was tuned to, for a manifest: plain numbers."""
        return {}


def is_excluded(rows: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
    """Tell which rows are among the excluded ones, or 0.

    Costs what both lists hold and nothing for the catalogue, as a mask would. In:
    int32 (b, n) and (b, e). Out: bool (b, n).
    """
    wanted = tf.sort(tf.pad(excluded, [[0, 0], [0, 1]]), axis=1)
    place = tf.searchsorted(wanted, rows)
    place = tf.minimum(place, tf.shape(wanted)[1] - 1)
    return tf.equal(tf.gather(wanted, place, batch_dims=1), rows)


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


def in_order(
    rows: tf.Tensor, scores: tf.Tensor, k: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Take the k best of candidates that stand in any order, as `best` does.

    In: rows int32 and scores float32 (b, c). Equal scores go to the lower row.
    """
    order = tf.argsort(rows, axis=1)
    rows = tf.gather(rows, order, batch_dims=1)
    return best(rows, tf.gather(scores, order, batch_dims=1), k)


def top_places(scores: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the greatest of very many scores, and where they stand.

    The k blocks with the greatest maxima hold the k best, ties included, since a
    block that is left out has k before it that each hold something better or, equal,
    more to the front. In: float32 (b, n), n a multiple of BLOCK; `k` at most n. Out:
    float32 and int32 (b, k), equal scores in the order of places.
    """
    blocks = tf.shape(scores)[1] // BLOCK

    def directly() -> tuple[tf.Tensor, tf.Tensor]:
        found, places = tf.math.top_k(scores, k)
        return found, places

    def by_blocks() -> tuple[tf.Tensor, tf.Tensor]:
        parts = tf.reshape(scores, [-1, blocks, BLOCK])
        _, chosen = tf.math.top_k(tf.reduce_max(parts, axis=2), k)
        chosen = tf.sort(chosen, axis=1)
        some = tf.gather(parts, chosen, batch_dims=1)
        found, places = tf.math.top_k(tf.reshape(some, [-1, k * BLOCK]), k)
        block = tf.gather(chosen, places // BLOCK, batch_dims=1)
        return found, block * BLOCK + places % BLOCK

    return tf.cond(4 * k > blocks, directly, by_blocks)
