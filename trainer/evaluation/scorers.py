"""Scores of the whole catalogue for evaluation queries, by each of our models."""

import copy

import numpy as np
import tensorflow as tf

from data.events import EventLog
from data.prepared import Prepared
from data.queries import Queries
from trainer.inputs.requests import RankingInputs, Requests
from trainer.models.ranking import RankingModel
from trainer.models.retrieval import RetrievalModel
from trainer.models.trend import Trend


class RetrievalScorer:
    """Scores by the retrieval model: the dot product of its two towers."""

    def __init__(
        self,
        model: RetrievalModel,
        prepared: Prepared,
        log: EventLog,
        *,
        counted: EventLog | None = None,
        now: int | None = None,
    ) -> None:
        """Score with the histories of a log.

        In: `counted`: the events that items' statistics count, if not all of `log`.
        `now`: the moment whose trend counts, as in an index exported then; without it
        every request reads the trend of its own week.
        """
        self.model, self.log, self.now = model, log, now
        self.vectors = model.item_vectors(prepared.num_items)
        self.length = model.config.history_length
        self._table = tf.constant(self.vectors)
        self._units = model.units(self.vectors)
        self._trend = Trend(prepared, log if counted is None else counted)

    def at(self, now: int | None) -> "RetrievalScorer":
        """Return a scorer of the same model with the trend of another moment."""
        other = copy.copy(self)
        other.now = now
        return other

    def counting(self, prepared: Prepared, counted: EventLog) -> "RetrievalScorer":
        """Return a scorer of the same model with the trend of other events."""
        other = copy.copy(self)
        other._trend = Trend(prepared, counted)
        return other

    def embed(self, requests: Requests) -> np.ndarray:
        """Return query vectors. Out: float32 (b, dim + trend width)."""
        values = (requests.user, requests.history, requests.time, requests.last_time)
        vectors = self.model.encode_queries(self._table, *map(tf.constant, values))
        return vectors.numpy()  # type: ignore[no-any-return]

    def scores(self, requests: Requests) -> np.ndarray:
        """Return the score of every item. Out: float32 (b, items + 1)."""
        return self.both(requests)[0]

    def both(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores, and what they are without the trend, as `scores`."""
        queries = self.embed(requests)
        dim = self.vectors.shape[1]
        cosines = queries[:, :dim] @ self._units.T
        gains = queries[:, dim:]
        if gains.shape[1] == 0:
            return cosines, cosines
        scores = cosines.copy()
        moments = self.model.grid.moment(requests.time)
        if self.now is not None:
            moments = np.full(len(moments), self.now)
        for moment in np.unique(moments):
            rows = moments == moment
            scores[rows] += gains[rows] @ self._trend.at(int(moment)).T
        return scores, cosines

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
        inputs: RankingInputs,
    ) -> None:
        self.retrieval, self.model, self.inputs = retrieval, model, inputs
        self._parts = tf.constant(model.item_parts(inputs.prepared.num_items))

    def at(self, now: int | None) -> "TwoStageScorer":
        """Return a scorer of the same models with the trend of another moment."""
        other = copy.copy(self)
        other.retrieval = self.retrieval.at(now)
        return other

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, items + 1)."""
        item, there, scores, outputs = self.candidates(queries, rows)
        result = scores + BELOW_CANDIDATES
        ranked = outputs[self.model.config.order_by]
        values = np.where(there, ranked, np.take_along_axis(result, item, axis=1))
        np.put_along_axis(result, item, values, axis=1)
        return result

    def candidates(
        self, queries: Queries, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Retrieve what is unseen, and rank it.

        Out: `item` int32 (b, c), which of them are `there`, bool (b, c), retrieval's
        scores of all items float32 (b, items + 1), and all heads, float32 (b, c).
        """
        requests = self.retrieval.requests(queries, rows)
        scores, cosines = self.retrieval.both(requests)
        masked = np.where(self.inputs.prepared.servable, scores, -np.inf)
        for row, place in enumerate(rows):
            masked[row, queries.seen[place]] = -np.inf
        item = first_items(masked, self.model.config.candidates)
        there = np.isfinite(np.take_along_axis(masked, item, axis=1))
        return item, there, scores, self.outputs(requests, item, scores, cosines)

    def outputs(
        self,
        requests: Requests,
        item: np.ndarray,
        scores: np.ndarray,
        cosines: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Return all heads of candidates, float32 (b, c).

        In: `item` int32 (b, c); `scores`, `cosines` as `RetrievalScorer.both`.
        """
        columns = self.inputs.columns(requests, item, scores, cosines)
        # What the context of an evaluation query would be is not known.
        columns |= {"item": item, **self.inputs.no_context(len(item))}
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
