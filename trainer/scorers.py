"""Scores of the whole catalogue for evaluation queries, by each of our models."""

import copy

import numpy as np
import tensorflow as tf

from data.events import EventLog
from data.prepared import Prepared
from data.queries import Queries
from trainer.models.ranking import RankingModel
from trainer.models.retrieval import RetrievalModel, unit_rows
from trainer.models.trend import Trend
from trainer.ranking_inputs import RankingInputs, Requests


class RetrievalScorer:
    """Scores by the retrieval model: the dot product of its two towers."""

    def __init__(
        self,
        model: RetrievalModel,
        prepared: Prepared,
        log: EventLog,
        *,
        now: int | None = None,
    ) -> None:
        """In: `now`: the moment whose trend counts, as in an index exported then.

        Without it every request reads the trend of its own week.
        """
        self.model, self.log, self.now = model, log, now
        self.vectors = model.item_vectors(prepared.num_items)
        self.length = model.config.history_length
        self._table = tf.constant(self.vectors)
        self._units = unit_rows(self.vectors)
        self._trend = Trend(prepared, log)

    def at(self, now: int | None) -> "RetrievalScorer":
        """Return a scorer of the same model with the trend of another moment."""
        other = copy.copy(self)
        other.now = now
        return other

    def embed(self, requests: Requests) -> np.ndarray:
        """Return query vectors. Out: float32 (b, dim + trend width)."""
        values = (requests.user, requests.history, requests.time, requests.last_time)
        vectors = self.model.encode_queries(self._table, *map(tf.constant, values))
        return vectors.numpy()  # type: ignore[no-any-return]

    def scores(self, requests: Requests) -> np.ndarray:
        """Return the score of every item. Out: float32 (b, items + 1)."""
        queries = self.embed(requests)
        dim = self.vectors.shape[1]
        scores = queries[:, :dim] @ self._units.T
        gains = queries[:, dim:]
        if gains.shape[1] == 0:
            return scores
        moments = self.model.grid.moment(requests.time)
        if self.now is not None:
            moments = np.full(len(moments), self.now)
        for moment in np.unique(moments):
            rows = moments == moment
            scores[rows] += gains[rows] @ self._trend.at(int(moment)).T
        return scores

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, items + 1)."""
        return self.scores(self.requests(queries, rows))

    def requests(self, queries: Queries, rows: np.ndarray) -> Requests:
        """Return the requests of the queries at these places."""
        users, counts = queries.users[rows], queries.counts[rows]
        return Requests.of(self.log, users, counts, queries.times[rows], self.length)


class TwoStageScorer:
    """Retrieval, then ranking of its first candidates.

    Candidates score by the ranking model; all other items come after them, in
    retrieval's order. What a user has seen is no candidate.
    """

    def __init__(
        self,
        retrieval: RetrievalScorer,
        model: RankingModel,
        prepared: Prepared,
        log: EventLog,
    ) -> None:
        self.retrieval, self.model = retrieval, model
        self.inputs = RankingInputs.of(prepared, log)
        self._parts = tf.constant(model.item_parts(prepared.num_items))

    def at(self, now: int | None) -> "TwoStageScorer":
        """Return a scorer of the same models with the trend of another moment."""
        other = copy.copy(self)
        other.retrieval = self.retrieval.at(now)
        return other

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, items + 1)."""
        requests = self.retrieval.requests(queries, rows)
        scores = self.retrieval.scores(requests)
        masked = np.where(self.inputs.prepared.servable, scores, -np.inf)
        for row, place in enumerate(rows):
            masked[row, queries.seen[place]] = -np.inf
        return self.rerank(requests, scores, masked)

    def rerank(
        self, requests: Requests, scores: np.ndarray, masked: np.ndarray
    ) -> np.ndarray:
        """Put the first candidates in the ranking model's order.

        In: `scores`, and `masked`, -inf where no candidate: float32 (b, items + 1).
        """
        item = first_items(masked, self.model.config.candidates)
        ranked = self.rank(requests, item, np.take_along_axis(scores, item, axis=1))
        result = scores + BELOW_CANDIDATES
        there = np.isfinite(np.take_along_axis(masked, item, axis=1))
        values = np.where(there, ranked, np.take_along_axis(result, item, axis=1))
        np.put_along_axis(result, item, values, axis=1)
        return result

    def rank(
        self, requests: Requests, item: np.ndarray, retrieval_score: np.ndarray
    ) -> np.ndarray:
        """Score candidates by the configured head. In: int32, float32 (b, c)."""
        outputs = self.outputs(requests, item, retrieval_score)
        return outputs[self.model.config.order_by]

    def outputs(
        self, requests: Requests, item: np.ndarray, retrieval_score: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return all heads of candidates, float32 (b, c)."""
        columns = self.inputs.columns(requests, item.astype(np.int32))
        columns |= {"item": item.astype(np.int32), "retrieval_score": retrieval_score}
        for feature in self.inputs.prepared.features.context:
            shape = (len(item), 2) if feature.kind == "numeric" else (len(item),)
            dtype = np.float32 if feature.kind == "numeric" else np.int32
            # What the context of an evaluation query would be is not known.
            columns[f"context.{feature.name}"] = np.zeros(shape, dtype)
        tensors = {name: tf.constant(values) for name, values in columns.items()}
        outputs = self.model.rank_rows(tensors, self._parts)
        return {name: values.numpy() for name, values in outputs.items()}


# Logits of candidates lie above it, cosines of the rest below.
BELOW_CANDIDATES = np.float32(-100)


def first_items(scores: np.ndarray, number: int) -> np.ndarray:
    """Return the best items in order, ties to the lower row. Out: int32 (b, number)."""
    number = min(number, scores.shape[1])
    top = np.argpartition(-scores, number - 1, axis=1)[:, :number]
    top.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1).astype(np.int32)
