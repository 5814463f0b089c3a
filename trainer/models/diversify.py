"""Takes the best candidates one by one, so that a list is not ten of a kind."""

from dataclasses import dataclass
from typing import Any

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

    def step(
        number: tf.Tensor, chosen: tf.TensorArray, *so_far: tf.Tensor
    ) -> tuple[Any, ...]:
        free, similarity, met = so_far
        value = worth
        if diversity.mmr:
            value -= diversity.mmr * tf.where(number > 0, similarity, 0.0)
        value = tf.where(_eligible(free, met, diversity.cap, first), value, LEAST)
        place = tf.argmax(value, axis=1, output_type=tf.int32)
        found = tf.gather(free, place, batch_dims=1)
        chosen = chosen.write(number, tf.where(found, place + 1, 0))
        if diversity.mmr:
            similarity = tf.maximum(similarity, _cosines(vectors, place))
        if diversity.cap:
            met += _shared(categories, place) * tf.cast(found, tf.int32)[:, None, None]
        own = tf.one_hot(place, tf.shape(keys)[1], on_value=True, off_value=False)
        return number + 1, chosen, free & ~own, similarity, met

    chosen = tf.TensorArray(tf.int32, size=k, element_shape=[None])
    start = (there, tf.fill(tf.shape(keys), -1.0), tf.zeros_like(categories))
    _, chosen, *_ = tf.while_loop(
        lambda number, *_: number < k,
        step,
        (tf.constant(0), chosen, *start),
        parallel_iterations=1,
    )
    return tf.transpose(chosen.stack())


def _eligible(
    free: tf.Tensor, met: tf.Tensor, cap: int, first: tf.Tensor | None
) -> tf.Tensor:
    """Tell which candidates may be next: those of a lower rank wait for the others.

    In: `free` bool (b, c); `met` int32 (b, c, v), how often each of a candidate's
    categories was chosen; `first` bool (b, c). Out: bool (b, c).
    """
    eligible = free
    if cap:
        eligible = _or_else(free & ~tf.reduce_any(met >= cap, axis=2), free)
    if first is not None:
        eligible = _or_else(free & first, eligible)
    return eligible


def _or_else(wanted: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Return what is wanted of each request, or the others if that is nothing."""
    return tf.where(tf.reduce_any(wanted, axis=1, keepdims=True), wanted, others)


def _cosines(vectors: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Compare candidates with the one at a place. Out: float32 (b, c)."""
    own = tf.gather(vectors, place, batch_dims=1)
    return tf.einsum("bcd,bd->bc", vectors, own)


def _shared(categories: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Mark the categories that the one at a place has, too. Out: int32 (b, c, v)."""
    own = tf.gather(categories, place, batch_dims=1)[:, None, None, :]
    same = tf.reduce_any(categories[..., None] == own, axis=-1)
    return tf.cast(same & (categories > 0), tf.int32)


def _relevance(keys: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """Scale each request's keys to lie between 0 and 1. In, out: float32 (b, c)."""
    highest = tf.reduce_max(keys, axis=1, keepdims=True)
    lowest = tf.reduce_min(tf.where(there, keys, highest), axis=1, keepdims=True)
    span = tf.maximum(highest - lowest, 1e-12)
    return tf.where(there, (keys - lowest) / span, 0.0)
