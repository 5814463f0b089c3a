"""What a search has scored, and the best of it."""

from typing import NamedTuple

import tensorflow as tf

from trainer.models.index.base import PADDING_SCORE, in_order, top_places


class Looked(NamedTuple):
    """What was scored for some queries.

    `scores`: (b, n), PADDING_SCORE for what is left out; `firsts`: (b, p) the place in
    the table where each partition begins; `ends`: (b, p) where its scores end in n;
    `met`: (m,) the query and the score of each excluded row that was met.
    """

    scores: tf.Tensor
    firsts: tf.Tensor
    ends: tf.Tensor
    met: tuple[tf.Tensor, tf.Tensor]


def take(
    looked: Looked, rows: tf.Tensor, k: tf.Tensor, beyond: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Take the k best of what was scored, and tell how deep that had to reach.

    In: `rows` int32 (places,), which row stands at a place of the table, 0 at the
    last. Out: rows and scores (b, k), and int32 (b,): k, and as many more as there
    were better ones among the excluded; `beyond` if k were not found.
    """
    count = tf.shape(looked.scores)[1]
    width = tf.minimum(k + 1, count)
    values, at = top_places(looked.scores, width)
    last = values[:, tf.minimum(k, width) - 1]

    def among_all() -> tuple[tf.Tensor, tf.Tensor]:
        # Equal scores on both sides of the end: the lower rows are wanted.
        everywhere = tf.broadcast_to(tf.range(count), tf.shape(looked.scores))
        return in_order(_rows_at(looked, rows, everywhere), looked.scores, k)

    def by_row() -> tuple[tf.Tensor, tf.Tensor]:
        return in_order(_rows_at(looked, rows, at), values, k)

    def plainly() -> tuple[tf.Tensor, tf.Tensor]:
        return _rows_at(looked, rows, at[:, :k]), values[:, :k]

    equal = tf.equal(values[:, 1:], values[:, :-1])
    ties = tf.reduce_any(equal) | (width <= k)
    beyond_end = equal[:, -1:] & (last[:, None] > PADDING_SCORE)
    many = (width > k) & tf.reduce_any(beyond_end)
    branch = tf.cast(ties, tf.int32) + tf.cast(many, tf.int32)
    found, scores = tf.switch_case(branch, [plainly, by_row, among_all])
    missing = (last <= PADDING_SCORE) | (width < k)
    return found, scores, tf.where(missing, beyond, k + _better(looked, last))


def _better(looked: Looked, last: tf.Tensor) -> tf.Tensor:
    """Count the excluded rows that score as much as the last. Out: int32 (b,)."""
    query, hidden = looked.met
    better = tf.cast(hidden >= tf.gather(last, query), tf.int32)
    return tf.math.unsorted_segment_sum(better, query, tf.shape(last)[0])


def _rows_at(looked: Looked, rows: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Return the rows whose scores stand at some places. In, out: int32 (b, m)."""
    slot = tf.searchsorted(looked.ends, at, side="right")
    # What fills up the scores behind the last partition is no row.
    inside = slot < tf.shape(looked.ends)[1]
    slot = tf.where(inside, slot, 0)
    back = tf.gather(looked.ends, slot, batch_dims=1) - at
    sizes = looked.ends[:, 1:] - looked.ends[:, :-1]
    begins = looked.firsts + tf.concat([looked.ends[:, :1], sizes], axis=1)
    place = tf.gather(begins, slot, batch_dims=1) - back
    return tf.gather(rows, tf.where(inside, place, tf.size(rows) - 1))
