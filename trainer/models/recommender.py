"""The served graph: from ids of users and items to the best items, in one call."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.config import TableDtype
from trainer.inputs.affinity import Affinity, affinities
from trainer.inputs.standing import NUM_STANDINGS, reference_rows, standings
from trainer.models.boosting import BOOST, at_places, places, with_boosted
from trainer.models.index.base import PADDING_SCORE, Index, best, is_excluded
from trainer.models.index.prior import Prior
from trainer.models.members import unit
from trainer.models.ranking import RankingModel
from trainer.models.retrieval import RetrievalModel
from trainer.models.state import UserState, fit_width
from trainer.models.stored import Stored
from trainer.models.traced import Traced


@dataclass(frozen=True)
class Request:
    """Requests inside the graph; see `trainer.inputs.requests.Requests`.

    `excluded`: int32 (b, e), rows that must not be answered, padded with 0. `cold`:
    bool (b,), nothing is known of who asks.
    """

    user: tf.Tensor
    history: tf.Tensor
    time: tf.Tensor
    last_time: tf.Tensor
    excluded: tf.Tensor
    cold: tf.Tensor


class RetrievalGraph(tf.Module):
    """The query tower and an index; rows in, rows out."""

    def __init__(
        self,
        *,
        model: RetrievalModel,
        vectors: np.ndarray,
        user_vectors: np.ndarray,
        index_vectors: np.ndarray,
        index: Index,
        prior: Prior,
        users: UserState,
        servable: np.ndarray,
        end_time: int,
        dtype: TableDtype = "float32",
    ) -> None:
        super().__init__(name="retrieval_graph")
        self.servable = tf.Variable(servable, trainable=False, name="servable")
        # Not the whole tower: its tables of users are in `user_vectors`.
        self.layers = model.query_tower.calling_layers()
        self.members = model.config.members
        self.user_vectors = Stored(user_vectors, dtype, name="users")
        self.vectors = Stored(vectors, dtype, name="item_vectors")
        self._queries = Traced(
            model.queries_of,
            tf.TensorSpec([None, users.limits.history, self.vectors.width]),
            tf.TensorSpec([None, self.user_vectors.width]),
            tf.TensorSpec([None, users.limits.history], tf.int32),
            *[tf.TensorSpec([None], tf.int64)] * 2,
        )
        # A brute-force index has the same table: one variable for both.
        shared = getattr(index, "vectors", None)
        self.index_vectors = shared or Stored(index_vectors, dtype, name="indexed")
        self.index, self.prior, self.users = index, prior, users
        self.end_time = end_time
        width = self.index_vectors.width
        self._candidates = Traced(
            self._found,
            tf.TensorSpec([None, width]),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None], tf.bool),
        )

    def request(
        self,
        user: tf.Tensor,
        history: tf.Tensor | None = None,
        exclude: tf.Tensor | None = None,
        time: tf.Tensor | None = None,
    ) -> Request:
        """Complete a request with what was known at export.

        In: `user` int32 (b,); `history`, `exclude` int32 (b, n), rows, 0 ignored; a
        history of zeros means the one known at export; `time` int64 (b,), Unix
        seconds, 0 the end of the data.
        """
        batch = tf.shape(user)[0]
        known = self.users.rows_of_history(user)
        last_time = tf.gather(self.users.last_time, user)
        now = tf.fill([batch], tf.constant(self.end_time, tf.int64))
        time = now if time is None else tf.where(time > 0, time, now)
        excluded = [self.users.seen(user)]
        if exclude is not None:
            excluded.append(exclude)
        if history is not None:
            excluded.append(history)
            given = tf.reduce_any(history > 0, axis=1)
            width = self.users.limits.history
            known = tf.where(given[:, None], fit_width(history, width), known)
            known = tf.ensure_shape(known, [None, width])
            # A client that sends a history has just seen its newest event.
            last_time = tf.where(given, time, last_time)
        cold = tf.reduce_all(tf.equal(known, 0), axis=1) & tf.equal(user, 0)
        joined = tf.concat(excluded, axis=1)
        return Request(user, known, time, last_time, joined, cold)

    def queries(self, request: Request) -> tf.Tensor:
        """Return query vectors, whose products with the index's are the scores."""
        return self._queries(
            self.vectors(request.history),
            self.user_vectors(request.user),
            request.history,
            request.time,
            request.last_time,
        )

    def candidates(
        self, request: Request, queries: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the k best items. Out: rows int32 and scores float32 (b, k)."""
        return self._candidates(queries, k, request.excluded, request.cold)

    def _found(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor, is_cold: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rows, scores = self.index.traced(queries, k, excluded)

        def with_prior() -> tuple[tf.Tensor, tf.Tensor]:
            cold = is_cold[:, None]
            first, values = self.prior.search(queries, k, excluded)
            return tf.where(cold, first, rows), tf.where(cold, values, scores)

        any_cold = tf.reduce_any(is_cold)
        return tf.cond(any_cold, with_prior, lambda: (rows, scores))

    def as_queries(self, vectors: tf.Tensor) -> tf.Tensor:
        """Turn item vectors into queries by content: no trend, length 1.

        In: float32 (n, dim). Out: float32 (n, index width).
        """
        units = unit(vectors, self.members)
        missing = self.index_vectors.width - self.vectors.width
        return tf.pad(units, [[0, 0], [0, missing]])

    def content(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the items' vectors of length 1, without the trend, (..., dim)."""
        return self.index_vectors(rows)[..., : self.vectors.width]

    def allowed(self, request: Request, rows: tf.Tensor) -> tf.Tensor:
        """Tell which rows may be answered. In: int32 (b, m). Out: bool (b, m)."""
        return tf.gather(self.servable, rows) & ~is_excluded(rows, request.excluded)

    def boosted(
        self,
        request: Request,
        rows: tf.Tensor,
        scores: tf.Tensor,
        boost: tf.Tensor,
        k: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Put boosted rows before the first stage's answer, by their own scores."""
        boost = tf.where(self.allowed(request, boost), boost, 0)
        own, _ = self.scores(self.queries(request), boost)
        rows, scores, first = with_boosted(rows, scores, boost, own)
        key = tf.where(first, scores + BOOST, scores)
        key = tf.where(rows > 0, key, PADDING_SCORE)
        taken, _ = best(places(rows), key, k)
        return at_places(rows, scores, taken)

    def scores(
        self, queries: tf.Tensor, rows: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the scores of rows, and what they are without the trend.

        In: `queries` float32 (b, index width), `rows` int32 (b, c). Out: float32
        (b, c) each.
        """
        dim, width = self.vectors.width, self.index_vectors.width
        content = tf.pad(queries[:, :dim], [[0, 0], [0, width - dim]])
        both = tf.stack([queries, content], axis=2)
        found = tf.matmul(self.index_vectors(rows), both)
        return found[..., 0], found[..., 1]


class RankingGraph(tf.Module):
    """The ranking model over tables made at export; rows in, scores out."""

    def __init__(
        self,
        *,
        model: RankingModel,
        parts: np.ndarray,
        users: np.ndarray,
        item_statistics: np.ndarray,
        user_statistics: np.ndarray,
        affinity: Affinity,
        profiles: np.ndarray,
        index_vectors: np.ndarray,
        servable: np.ndarray,
        calibration: tuple[float, float],
        dtype: TableDtype = "float32",
    ) -> None:
        """In: `parts`, `users`: the items and users as the model encodes them."""
        super().__init__(name="ranking_graph")
        self.given = Stored(affinity.given, dtype, name="given")
        self.asked = Stored(affinity.asked, dtype, name="asked")
        self.profiles = Stored(profiles, dtype, name="profiles")
        # What a request's scores are compared with stands together: 512 rows out of
        # a million are as many waits for memory.
        rows = reference_rows(servable)
        self.references = Stored(index_vectors[rows], name="references")
        self.asked_references = Stored(affinity.asked[rows], name="asked_references")
        self.num_servable = int(servable.sum())
        self.config, self.calibration = model.config, calibration
        # Not the model: its tables of ids and texts are in `parts` and `users`.
        self.layers, self._score = model.scoring_layers(), model.score
        self.parts = Stored(parts, dtype, name="item_parts")
        self.users = Stored(users, dtype, name="users")
        self.item_statistics = Stored(item_statistics, name="item_statistics")
        self.user_statistics = Stored(user_statistics, name="user_statistics")
        self._scored: Traced | None = None

    def heads(
        self,
        request: Request,
        rows: tf.Tensor,
        retrieval: RetrievalGraph,
        queries: tf.Tensor,
        context: Mapping[str, tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Return `like`, a probability, maybe `rating`, and `order`, to order by.

        In: rows int32 (b, c); `retrieval` and the request's `queries`, whose scores
        ranking starts from; context codes by name. Out: float32 (b, c).
        """
        inputs = self.inputs(request, rows, retrieval, queries, context)
        return self.heads_of(*inputs)

    def inputs(
        self,
        request: Request,
        rows: tf.Tensor,
        retrieval: RetrievalGraph,
        queries: tf.Tensor,
        context: Mapping[str, tf.Tensor],
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor]:
        """Look up what ranking reads. In: as `heads`. Out: what `heads_of` takes."""
        score, cosine = retrieval.scores(queries, rows)
        reference = tf.matmul(queries, self.references.whole(), transpose_b=True)
        found = {
            "history": request.history,
            "time": request.time,
            "last_time": request.last_time,
            "user_statistics": self.user_statistics(request.user),
            "item_statistics": self.item_statistics(rows),
            "standing": standings(score, cosine, reference, self.num_servable),
            "affinity": affinities(
                self.profiles(request.user),
                self.given(request.history),
                self.asked(rows),
                self.asked_references.whole(),
            ),
            **{f"context.{name}": codes for name, codes in context.items()},
        }
        user, candidates = self.users(request.user), self.parts(rows)
        return found, user, candidates, self.parts(request.history)

    def heads_of(
        self,
        inputs: Mapping[str, tf.Tensor],
        user: tf.Tensor,
        candidates: tf.Tensor,
        history: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Score what was looked up. In: as RankingModel.score. Out: as `heads`."""
        if self._scored is None:
            self._scored = self._traced_score(inputs)
        outputs = self._scored(inputs, user, candidates, history)
        order = outputs[self.config.order_by]
        slope, offset = self.calibration
        like = tf.sigmoid(slope * outputs["like"] + offset)
        return {**outputs, "like": like, "order": order}

    def _traced_score(self, inputs: Mapping[str, tf.Tensor]) -> Traced:
        """Trace the model for any number of requests and candidates."""
        parts = tf.TensorSpec([None, None, self.parts.width])
        shapes = {
            "history": [None, None],
            "user_statistics": [None, self.user_statistics.width],
            "item_statistics": [None, None, self.item_statistics.width],
            "standing": [None, None, NUM_STANDINGS],
            "affinity": [None, None],
        }
        specs = {
            name: tf.TensorSpec(shapes.get(name, [None, *value.shape[1:]]), value.dtype)
            for name, value in inputs.items()
        }
        user = tf.TensorSpec([None, self.users.width])
        return Traced(self._score, specs, user, parts, parts)
