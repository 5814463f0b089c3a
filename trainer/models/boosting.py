"""Items that an application wants first: put among the candidates, each once."""

import tensorflow as tf

from trainer.models.index.base import PADDING_SCORE, is_excluded

BOOST = 1e4  # Far above any logit.


def with_boosted(
    rows: tf.Tensor, scores: tf.Tensor, boost: tf.Tensor, boost_scores: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Put boosted rows before others.

    In: rows int32 and scores float32 (b, c); the same of `boost` (b, m), where 0 is
    ignored. Out: rows, each once, and scores (b, m + c), and which are boosted.
    """
    boost = tf.where(_repeats(boost), 0, boost)
    rows = tf.where(is_excluded(rows, boost), 0, rows)
    first = tf.concat([boost > 0, tf.zeros(tf.shape(rows), tf.bool)], axis=1)
    joined = tf.concat([boost, rows], axis=1)
    return joined, tf.concat([boost_scores, scores], axis=1), first


def _repeats(rows: tf.Tensor) -> tf.Tensor:
    """Tell which rows stand further in front, too. In: int32 (b, m)."""
    order = tf.argsort(rows, axis=1, stable=True)
    found = tf.gather(rows, order, batch_dims=1)
    again = tf.pad(tf.equal(found[:, 1:], found[:, :-1]), [[0, 0], [1, 0]])
    again = again[:, : tf.shape(rows)[1]]  # Of no rows, one was padded.
    return tf.gather(again, tf.argsort(order, axis=1), batch_dims=1)


def places(rows: tf.Tensor) -> tf.Tensor:
    """Number candidates from 1. In, out: int32 (b, c)."""
    width = tf.range(1, tf.shape(rows)[1] + 1)
    return tf.broadcast_to(width, tf.shape(rows))


def at_places(
    rows: tf.Tensor, scores: tf.Tensor, taken: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what stands at places from 1, padding for 0. In, out: (b, c), (b, k)."""
    at = tf.maximum(taken - 1, 0)
    rows = tf.where(taken > 0, tf.gather(rows, at, batch_dims=1), 0)
    scores = tf.gather(scores, at, batch_dims=1)
    return rows, tf.where(rows > 0, scores, PADDING_SCORE)
