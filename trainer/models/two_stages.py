"""Retrieve, rank, take the best: the steps of one recommendation."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from trainer.models.boosting import BOOST, at_places, places, with_boosted
from trainer.models.diversify import Diversifier
from trainer.models.index.base import PADDING_SCORE, best
from trainer.models.recommender import RankingGraph, Request, RetrievalGraph


class Candidates(NamedTuple):
    """What goes into the second stage, in the order of rows.

    `rows`: int32 (b, c), 0 where there are fewer; `prior`: float32 (b, c), the first
    stage's scores; `first`: bool (b, c), which go before all others, or None.
    """

    rows: tf.Tensor
    prior: tf.Tensor
    first: tf.Tensor | None


class TwoStages(tf.Module):
    """Both stages, and what makes lists differ."""

    def __init__(
        self,
        retrieval: RetrievalGraph,
        ranking: RankingGraph,
        diversifier: Diversifier | None = None,
    ) -> None:
        super().__init__(name="two_stages")
        self.retrieval, self.ranking = retrieval, ranking
        self.diversifier = diversifier

    def __call__(
        self,
        request: Request,
        k: tf.Tensor,
        context: Mapping[str, tf.Tensor],
        boost: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Retrieve, rank, take the best, or the best that differ.

        In: `k` int32 (b,), or scalar for all; context codes by name; `boost` int32
        (b, m), rows that go before all others where they may be answered at all. Out:
        rows int32 and scores float32 (b, largest k), in the order of scores without a
        diversifier. What lies beyond a request's own k is not to be used.
        """
        queries = self.retrieval.queries(request)
        found = self.candidates(request, queries, k, boost)
        k = widest(k)
        heads = self.ranking.heads(
            request, found.rows, self.retrieval, queries, context
        )
        return self.chosen(request, found, heads, k)

    def candidates(
        self,
        request: Request,
        queries: tf.Tensor,
        k: tf.Tensor,
        boost: tf.Tensor | None = None,
    ) -> Candidates:
        """Return the first stage's best, as many as are ranked or asked for.

        In: `k` int32 (b,) or scalar. Each request has its own number of candidates:
        who else asks for more must not change an answer.
        """
        numbers = tf.maximum(k, self.ranking.config.candidates)
        rows, prior = self.retrieval.candidates(request, queries, widest(numbers))
        own = tf.range(tf.shape(rows)[1]) < tf.reshape(numbers, [-1, 1])
        rows = tf.where(own, rows, 0)
        first = None
        if boost is not None:
            boost = tf.where(self.retrieval.allowed(request, boost), boost, 0)
            none = tf.zeros(tf.shape(boost))
            rows, prior, first = with_boosted(rows, prior, boost, none)
        # In the order of rows, so that equal scores go to the lower one.
        order = tf.argsort(rows, axis=1)
        rows, prior = (tf.gather(x, order, batch_dims=1) for x in (rows, prior))
        if first is not None:
            first = tf.gather(first, order, batch_dims=1)
        return Candidates(rows, prior, first)

    def chosen(
        self,
        request: Request,
        found: Candidates,
        heads: Mapping[str, tf.Tensor],
        k: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take the k best of ranked candidates.

        In: `heads` as RankingGraph.heads; `k` int32 scalar.
        """
        cold = request.cold[:, None]
        key = tf.where(cold, found.prior, heads["order"])
        key = tf.where(found.rows > 0, key, PADDING_SCORE)
        if self.diversifier is not None:
            vectors = self.retrieval.content(found.rows)
            taken = self.diversifier(key, found.rows, vectors, k, found.first)
        else:
            if found.first is not None:
                key += tf.where(found.first, BOOST, 0.0)
            taken, _ = best(places(found.rows), key, k)
        score = tf.where(cold, found.prior, heads[self.ranking.config.order_by])
        return at_places(found.rows, score, taken)


def widest(k: tf.Tensor) -> tf.Tensor:
    """Return the largest k, 1 for none. In: int32 (b,) or scalar. Out: scalar."""
    return tf.reduce_max(tf.concat([tf.reshape(k, [-1]), [1]], axis=0))
