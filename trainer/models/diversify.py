"""Takes the best candidates one by one, so that a list is not ten of a kind."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.models.index.base import PADDING_SCORE

LEAST = -1e9  # Below any worth.


@dataclass(frozen=True)
class Diversity:
    """How much a list may repeat itself. `Diversity()` leaves the order as it is.

    `mmr`: from 0, the order of scores, to 1, of difference alone. `cap`: items of one
    category that a list holds before others of it come last; 0 for no cap.
    """

    mmr: float = 0.0
    cap: int = 0

    @property
    def is_off(self) -> bool:
        """Tell whether lists are the order of scores."""
        return not self.mmr and not self.cap


class Diversifier(tf.Module):
    """A diversity with the items' categories; rows in, places out."""

    def __init__(self, diversity: Diversity, categories: np.ndarray) -> None:
        """In: `categories`: int32 (items + 1, v), codes, padded with 0."""
        super().__init__(name="diversifier")
        self.diversity = diversity
        self.categories = tf.Variable(categories, trainable=False, name="categories")

    def __call__(
        self,
        keys: tf.Tensor,
        rows: tf.Tensor,
        vectors: tf.Tensor,
        k: tf.Tensor,
        first: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Choose among rows, int32 (b, c); the rest as in `diversified`."""
        codes = tf.gather(self.categories, rows)
        return diversified(keys, vectors, codes, k, self.diversity, first)


def diversified(
    keys: tf.Tensor,
    vectors: tf.Tensor,
    categories: tf.Tensor,
    k: tf.Tensor,
    diversity: Diversity,
    first: tf.Tensor | None = None,
) -> tf.Tensor:
    """Return the places of the chosen candidates in the order of their choice.

    Each next item is worth `(1 - mmr) * relevance - mmr * similarity`: relevance is
    the key between the lowest, 0, and the highest of its request, 1; similarity the
    largest cosine to an item chosen before. Equal worth goes to the earlier place.
    Source: Carbonell & Goldstein 1998, "The use of MMR, diversity-based reranking".
    In: `keys` float32 (b, c), PADDING_SCORE for what is no candidate; `vectors`
    float32 (b, c, d), of length 1; `categories` int32 (b, c, v), padded with 0; `k`
    int32 scalar; `first` bool (b, c): these go before all others, whatever the cap.
    Out: int32 (b, k) from 1, 0 where candidates end.
    """
    there = keys > PADDING_SCORE
    worth = (1 - diversity.mmr) * _relevance(keys, there)
    number = tf.shape(keys)[1]

    def choose(
        step: tf.Tensor,
        free: tf.Tensor,
        similarity: tf.Tensor,
        met: tf.Tensor,
        chosen: tf.TensorArray,
    ) -> tuple[tf.Tensor, ...]:
        value = worth
        if diversity.mmr:
            value -= diversity.mmr * tf.where(step > 0, similarity, 0.0)
        eligible = free
        if diversity.cap:
            below = free & ~tf.reduce_any(met >= diversity.cap, axis=2)
            some = tf.reduce_any(below, axis=1, keepdims=True)
            eligible = tf.where(some, below, free)
        if first is not None:
            left = free & first
            some = tf.reduce_any(left, axis=1, keepdims=True)
            eligible = tf.where(some, left, eligible)
        value = tf.where(eligible, value, LEAST)
        place = tf.argmax(value, axis=1, output_type=tf.int32)
        found = tf.gather(free, place, batch_dims=1)
        chosen = chosen.write(step, tf.where(found, place + 1, 0))
        own = tf.one_hot(place, number, on_value=True, off_value=False)
        if diversity.mmr:
            own_vector = tf.gather(vectors, place, batch_dims=1)
            cosine = tf.einsum("bcd,bd->bc", vectors, own_vector)
            similarity = tf.maximum(similarity, cosine)
        if diversity.cap:
            own_codes = tf.gather(categories, place, batch_dims=1)[:, None, None, :]
            same = tf.reduce_any(categories[..., None] == own_codes, axis=-1)
            met += tf.cast(same & (categories > 0) & found[:, None, None], tf.int32)
        return step + 1, free & ~own, similarity, met, chosen

    chosen = tf.TensorArray(tf.int32, size=k, element_shape=[None])
    start = (tf.constant(0), there, tf.fill(tf.shape(keys), -1.0))
    *_, chosen = tf.while_loop(
        lambda step, *_: step < k,
        choose,
        (*start, tf.zeros_like(categories), chosen),
        parallel_iterations=1,
    )
    return tf.transpose(chosen.stack())


def _relevance(keys: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """Scale each request's keys to lie between 0 and 1. In, out: float32 (b, c)."""
    highest = tf.reduce_max(keys, axis=1, keepdims=True)
    lowest = tf.reduce_min(tf.where(there, keys, highest), axis=1, keepdims=True)
    span = tf.maximum(highest - lowest, 1e-12)
    return tf.where(there, (keys - lowest) / span, 0.0)
