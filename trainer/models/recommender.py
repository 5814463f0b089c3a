"""The served graph: from ids of users and items to the best items, in one call."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.affinity import Affinity, affinities
from trainer.models.diversify import Diversifier
from trainer.models.index.base import PADDING_SCORE, Index, best, is_excluded
from trainer.models.index.prior import Prior
from trainer.models.ranking import RankingModel
from trainer.models.retrieval import RetrievalModel
from trainer.models.state import UserState, fit_width
from trainer.standing import reference_rows, standings


@dataclass(frozen=True)
class Request:
    """Requests inside the graph; see `trainer.ranking_inputs.Requests`.

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
        index_vectors: np.ndarray,
        index: Index,
        prior: Prior,
        users: UserState,
        servable: np.ndarray,
        end_time: int,
    ) -> None:
        super().__init__(name="retrieval_graph")
        self.servable = tf.Variable(servable, trainable=False, name="servable")
        self.query_tower = model.query_tower
        self._queries = model.queries
        self.vectors = tf.Variable(vectors, trainable=False, name="item_vectors")
        # A brute-force index has the same table: one variable for both.
        shared = getattr(index, "vectors", None)
        self.index_vectors = (
            tf.Variable(index_vectors, trainable=False) if shared is None else shared
        )
        self.index, self.prior, self.users = index, prior, users
        self.end_time = end_time

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
            # A client that sends a history has just seen its newest event.
            last_time = tf.where(given, time, last_time)
        cold = tf.reduce_all(tf.equal(known, 0), axis=1) & tf.equal(user, 0)
        joined = tf.concat(excluded, axis=1)
        return Request(user, known, time, last_time, joined, cold)

    def queries(self, request: Request) -> tf.Tensor:
        """Return query vectors, whose products with the index's are the scores."""
        return self._queries(
            self.vectors,
            request.user,
            request.history,
            request.time,
            request.last_time,
        )

    def candidates(
        self, request: Request, queries: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the k best items. Out: rows int32 and scores float32 (b, k)."""
        rows, scores = self.index.search(queries, k, request.excluded)
        prior_rows, prior_scores = self.prior.search(queries, k, request.excluded)
        cold = request.cold[:, None]
        rows = tf.where(cold, prior_rows, rows)
        return rows, tf.where(cold, prior_scores, scores)

    def as_queries(self, vectors: tf.Tensor) -> tf.Tensor:
        """Turn item vectors into queries by content: no trend, length 1.

        In: float32 (n, dim). Out: float32 (n, index width).
        """
        units = tf.math.l2_normalize(vectors, axis=-1)
        missing = self.index_vectors.shape[1] - vectors.shape[1]
        return tf.pad(units, [[0, 0], [0, missing]])

    def content(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the items' vectors of length 1, without the trend, (..., dim)."""
        return self._indexed(rows)[..., : self.vectors.shape[1]]

    def _indexed(self, rows: tf.Tensor) -> tf.Tensor:
        # A gather from the variable itself would make every later read of it whole,
        # as in an exact search over the same table, a copy.
        return tf.gather(tf.convert_to_tensor(self.index_vectors), rows)

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
        cosines, _ = self.scores(self.queries(request), boost)
        joined, scores, first = _with_boosted(
            self, request, rows, scores, boost, cosines
        )
        key = tf.where(first, scores + BOOST, scores)
        key = tf.where(joined > 0, key, PADDING_SCORE)
        places, _ = best(_places(joined), key, k)
        chosen = (places > 0) & (
            tf.gather(joined, tf.maximum(places - 1, 0), batch_dims=1) > 0
        )
        places = tf.maximum(places - 1, 0)
        found = tf.where(chosen, tf.gather(joined, places, batch_dims=1), 0)
        values = tf.gather(scores, places, batch_dims=1)
        return found, tf.where(chosen, values, PADDING_SCORE)

    def scores(
        self, queries: tf.Tensor, rows: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the scores of rows, and what they are without the trend.

        In: `queries` float32 (b, index width), `rows` int32 (b, c), or (1, c) for
        all queries alike. Out: float32 (b, c) each.
        """
        dim = self.vectors.shape[1]
        vectors = self._indexed(rows)
        product = "bd,cd->bc" if rows.shape[0] == 1 else "bd,bcd->bc"
        vectors = vectors[0] if rows.shape[0] == 1 else vectors
        cosine = tf.einsum(product, queries[:, :dim], vectors[..., :dim])
        trend = tf.einsum(product, queries[:, dim:], vectors[..., dim:])
        return cosine + trend, cosine


class RankingGraph(tf.Module):
    """The ranking model over tables made at export; rows in, scores out."""

    def __init__(
        self,
        *,
        model: RankingModel,
        parts: np.ndarray,
        item_statistics: np.ndarray,
        user_statistics: np.ndarray,
        affinity: Affinity,
        profiles: np.ndarray,
        servable: np.ndarray,
        calibration: tuple[float, float],
    ) -> None:
        super().__init__(name="ranking_graph")
        self.given = tf.Variable(affinity.given, trainable=False, name="given")
        self.asked = tf.Variable(affinity.asked, trainable=False, name="asked")
        self.profiles = tf.Variable(profiles, trainable=False, name="profiles")
        references = reference_rows(servable)
        self.references = tf.Variable(references, trainable=False, name="references")
        self.num_servable = int(servable.sum())
        self.model, self.calibration = model, calibration
        self.parts = tf.Variable(parts, trainable=False, name="item_parts")
        self.item_statistics = tf.Variable(item_statistics, trainable=False)
        self.user_statistics = tf.Variable(user_statistics, trainable=False)

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
        score, cosine = retrieval.scores(queries, rows)
        reference, _ = retrieval.scores(queries, self.references[None])
        inputs = {
            "history": request.history,
            "time": request.time,
            "last_time": request.last_time,
            "user_statistics": tf.gather(self.user_statistics, request.user),
            "item_statistics": tf.gather(self.item_statistics, rows),
            "standing": standings(score, cosine, reference, self.num_servable),
            "affinity": affinities(
                tf.gather(self.profiles, request.user),
                tf.gather(self.given, request.history),
                tf.gather(self.asked, rows),
                tf.gather(self.asked, self.references),
            ),
            **{f"context.{name}": codes for name, codes in context.items()},
        }
        candidates = tf.gather(self.parts, rows)
        history = tf.gather(self.parts, request.history)
        user = self.model.user(request.user)
        outputs = self.model.score(inputs, user, candidates, history)
        order = outputs[self.model.config.order_by]
        slope, offset = self.calibration
        like = tf.sigmoid(slope * outputs["like"] + offset)
        return {**outputs, "like": like, "order": order}


def two_stages(
    retrieval: RetrievalGraph,
    ranking: RankingGraph,
    request: Request,
    k: tf.Tensor,
    num_candidates: int,
    context: Mapping[str, tf.Tensor],
    boost: tf.Tensor | None = None,
    diversifier: Diversifier | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Retrieve, rank, take the best, or the best that differ.

    In: `k` int32 scalar; `boost` int32 (b, m), rows that go before all others where
    they may be answered at all. Out: rows int32 and scores float32 (b, k), in the
    order of scores without a `diversifier`.
    """
    queries = retrieval.queries(request)
    number = tf.maximum(k, num_candidates)
    rows, prior = retrieval.candidates(request, queries, number)
    boosted = None
    if boost is not None:
        rows, prior, boosted = _with_boosted(
            retrieval, request, rows, prior, boost, tf.zeros(tf.shape(boost))
        )
    # In the order of rows, so that equal scores go to the lower one.
    order = tf.argsort(rows, axis=1)
    rows, prior = (tf.gather(x, order, batch_dims=1) for x in (rows, prior))
    heads = ranking.heads(request, rows, retrieval, queries, context)
    cold = request.cold[:, None]
    key = tf.where(cold, prior, heads["order"])
    name = ranking.model.config.order_by
    score = tf.where(cold, prior, heads[name])
    first = None if boosted is None else tf.gather(boosted, order, batch_dims=1)
    key = tf.where(rows > 0, key, PADDING_SCORE)
    if diversifier is not None:
        vectors = retrieval.content(rows)
        places = diversifier(key, rows, vectors, k, first)
    else:
        if first is not None:
            key += tf.where(first, BOOST, 0.0)
        places, _ = best(_places(rows), key, k)
    chosen = places > 0
    places = tf.maximum(places - 1, 0)
    rows = tf.where(chosen, tf.gather(rows, places, batch_dims=1), 0)
    scores = tf.gather(score, places, batch_dims=1)
    return rows, tf.where(chosen, scores, PADDING_SCORE)


BOOST = 1e4  # Far above any logit.


def _places(rows: tf.Tensor) -> tf.Tensor:
    width = tf.range(1, tf.shape(rows)[1] + 1)
    return tf.broadcast_to(width, tf.shape(rows))


def _with_boosted(
    retrieval: RetrievalGraph,
    request: Request,
    rows: tf.Tensor,
    prior: tf.Tensor,
    boost: tf.Tensor,
    boost_scores: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Put boosted rows first among the candidates, each once."""
    allowed = retrieval.allowed(request, boost)
    boost = tf.where(allowed & ~_repeats(boost), boost, 0)
    again = tf.reduce_any(tf.equal(rows[:, :, None], boost[:, None, :]), axis=-1)
    rows = tf.where(again, 0, rows)
    joined = tf.concat([boost, rows], axis=1)
    scores = tf.concat([boost_scores, prior], axis=1)
    first = tf.concat([boost > 0, tf.zeros(tf.shape(rows), tf.bool)], axis=1)
    return joined, scores, first


def _repeats(rows: tf.Tensor) -> tf.Tensor:
    same = tf.equal(rows[:, :, None], rows[:, None, :])
    earlier = tf.linalg.band_part(tf.cast(same, tf.int32), -1, 0)
    return tf.reduce_sum(earlier, axis=-1) > 1
