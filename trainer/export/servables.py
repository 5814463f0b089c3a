"""The servables and their signatures: strings in, strings and scores out.

Every input has the batch dimension. "" is padding wherever it stands. Unknown users
and items are no error.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from data.features import FeatureSet, resources_of
from trainer.config import ExportConfig
from trainer.models.content import ContentGraph
from trainer.models.diversify import Diversifier
from trainer.models.index.base import PADDING_SCORE
from trainer.models.recommender import RankingGraph, Request, RetrievalGraph
from trainer.models.state import Catalogue
from trainer.models.two_stages import TwoStages, widest

Call = Callable[..., dict[str, tf.Tensor]]
Signatures = dict[str, tuple[Call, list[tf.TensorSpec]]]
Answer = tuple[tf.Tensor, tf.Tensor]
Checks = list[tuple[tf.Tensor, str]]
"""What must hold, and what is said if it does not."""


def _ids(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None], tf.string, name)


def _lists(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None, None], tf.string, name)


def _numbers(name: str, dtype: Any) -> tf.TensorSpec:
    return tf.TensorSpec([None], dtype, name)


class Servable(tf.Module):
    """Signatures, each a call and what it takes."""

    def declared(self) -> Signatures:
        """Return calls and their inputs by signature name."""
        raise NotImplementedError  # abstract

    def tables(self) -> dict[str, tf.Variable]:
        """Return, by the name under which it is saved, what others read back."""
        return {}

    def traced(self, name: str) -> Any:
        """Return a signature's concrete function."""
        return _function(*self.declared()[name])

    def signatures(self) -> dict[str, Any]:
        """Return the concrete functions by signature name."""
        return {name: self.traced(name) for name in self.declared()}


class ListServable(Servable):
    """Signatures that answer with lists of items; `_answer` says how they are made."""

    def __init__(
        self,
        *,
        retrieval: RetrievalGraph,
        catalogue: Catalogue,
        content: ContentGraph,
        features: FeatureSet,
        config: ExportConfig,
    ) -> None:
        super().__init__()
        self.retrieval, self.catalogue, self.config = retrieval, catalogue, config
        self.content = content
        self.context = {f.name: f for f in features.context}
        self._encode_context = {n: f.in_graph(tf) for n, f in self.context.items()}
        self._context_tables = _resources(self._encode_context)

    def _answer(
        self,
        request: Request,
        k: tf.Tensor,
        context: Mapping[str, tf.Tensor],
        boost: tf.Tensor | None = None,
    ) -> Answer:
        raise NotImplementedError  # abstract

    def declared(self) -> Signatures:
        """Return the signatures that answer with lists."""
        context = [f.graph_input(tf) for f in self.context.values()]
        history = [_ids("user_id"), _lists("history"), _lists("exclude")]
        history.append(_numbers("k", tf.int32))
        lists = [_lists("boost"), _lists("bury")]
        time = _numbers("time", tf.int64)
        with_context = [*history, time, *lists, *context]
        search = {"search": (self._search, [_ids("text")])}
        return {
            **(search if self.content.reads_text else {}),
            "serving_default": (self._default, [_ids("user_id")]),
            "with_history": (self._with_history, history),
            "with_context": (self._with_context, with_context),
            "similar_items": (self._similar_items, [_ids("item_id")]),
        }

    def _default(self, user_id: tf.Tensor) -> dict[str, tf.Tensor]:
        request = self.retrieval.request(self.retrieval.users.lookup(user_id))
        answer = self._answer(
            request, tf.constant(self.config.k), self.unknown_context(user_id)
        )
        return self._named(answer)

    def _with_history(
        self, user_id: tf.Tensor, history: tf.Tensor, exclude: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        user_id, history, exclude, k = gated(
            user_id, self._allowed_k(k), history=history, exclude=exclude, k=k
        )
        request = self.retrieval.request(
            self.retrieval.users.lookup(user_id),
            self.catalogue.lookup(history),
            self.catalogue.lookup(exclude),
        )
        answer = self._answer(request, k, self.unknown_context(user_id))
        return self._named(answer, k)

    def _with_context(
        self,
        user_id: tf.Tensor,
        history: tf.Tensor,
        exclude: tf.Tensor,
        k: tf.Tensor,
        time: tf.Tensor,
        boost: tf.Tensor,
        bury: tf.Tensor,
        **context: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        lists = {"history": history, "exclude": exclude, "boost": boost, "bury": bury}
        more = {"k": k, "time": time, **lists, **context}
        user_id, *passed = gated(user_id, self._allowed_k(k), **more)
        more = dict(zip(more, passed, strict=True))
        lists, context = ({n: more[n] for n in names} for names in (lists, context))
        rows = {name: self.catalogue.lookup(values) for name, values in lists.items()}
        request = self.retrieval.request(
            self.retrieval.users.lookup(user_id),
            rows["history"],
            tf.concat([rows["exclude"], rows["bury"]], axis=1),
            more["time"],
        )
        codes = {n: self._encode_context[n](values) for n, values in context.items()}
        answer = self._answer(request, more["k"], codes, rows["boost"])
        return self._named(answer, more["k"])

    def _similar_items(self, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = self.catalogue.lookup(item_id)
        vectors = self.retrieval.vectors(rows)
        queries = self.retrieval.as_queries(vectors)
        k = tf.constant(self.config.k)
        found, scores = self.retrieval.index.traced(queries, k, rows[:, None])
        known = rows[:, None] > 0
        found = tf.where(known, found, 0)
        return self._named((found, tf.where(known, scores, PADDING_SCORE)))

    def _search(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        queries = self.retrieval.as_queries(self.content.of_text(text))
        none = tf.zeros([tf.shape(text)[0], 0], tf.int32)
        k = tf.constant(self.config.k)
        found, scores = self.retrieval.index.traced(queries, k, none)
        says = tf.strings.length(tf.strings.strip(text))[:, None] > 0
        found = tf.where(says, found, 0)
        return self._named((found, tf.where(says, scores, PADDING_SCORE)))

    def unknown_context(self, user_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the codes of context that is not known."""
        batch = tf.shape(user_id)[0]
        return {
            name: tf.zeros([batch, 2])
            if f.kind == "numeric"
            else tf.zeros([batch], tf.int32)
            for name, f in self.context.items()
        }

    def _allowed_k(self, k: tf.Tensor) -> Checks:
        limit = self.config.max_k
        message = f"k: expected from 1 to {limit} (max_k in manifest.json)."
        return [(tf.reduce_all((k >= 1) & (k <= limit)), message)]

    def _named(
        self, answer: Answer, k: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        rows, scores = answer
        if k is not None:
            wanted = tf.range(tf.shape(rows)[1]) < k[:, None]
            rows = tf.where(wanted, rows, 0)
            scores = tf.where(wanted, scores, PADDING_SCORE)
        return {"item_id": self.catalogue.names(rows), "score": scores}


class RetrievalServable(ListServable):
    """`retrieval`: the first stage alone, and embeddings of users, items and texts."""

    def _answer(
        self,
        request: Request,
        k: tf.Tensor,
        context: Mapping[str, tf.Tensor],
        boost: tf.Tensor | None = None,
    ) -> Answer:
        queries = self.retrieval.queries(request)
        k = widest(k)
        rows, scores = self.retrieval.candidates(request, queries, k)
        if boost is None:
            return rows, scores
        return self.retrieval.boosted(request, rows, scores, boost, k)

    def declared(self) -> Signatures:
        """Return the list signatures and those that embed."""
        inputs = self.content.inputs()
        text = {"embed_text": (self._embed_text, [_ids("text")])}
        return {
            **super().declared(),
            "embed_user": (self._embed_user, [_ids("user_id")]),
            **(text if self.content.reads_text else {}),
            **({"embed_item": (self._embed_item, inputs)} if inputs else {}),
        }

    def _embed_user(self, user_id: tf.Tensor) -> dict[str, tf.Tensor]:
        request = self.retrieval.request(self.retrieval.users.lookup(user_id))
        return {"embedding": self.retrieval.queries(request)}

    def _embed_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": self.retrieval.as_queries(self.content.of_text(text))}

    def _embed_item(self, **raw: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": self.retrieval.as_queries(self.content.of_columns(raw))}


class RecommenderServable(ListServable):
    """`recommender`: retrieval, exclusion, ranking and titles in one call."""

    def __init__(
        self, *, ranking: RankingGraph, diversifier: Diversifier | None, **parts: Any
    ) -> None:
        super().__init__(**parts)
        self.two_stages = TwoStages(self.retrieval, ranking, diversifier)

    def _answer(
        self,
        request: Request,
        k: tf.Tensor,
        context: Mapping[str, tf.Tensor],
        boost: tf.Tensor | None = None,
    ) -> Answer:
        return self.two_stages(request, k, context, boost)

    def declared(self) -> Signatures:
        """Return the list signatures and `describe`."""
        describe = (self._describe, [_lists("item_id")])
        return {**super().declared(), "describe": describe}

    def tables(self) -> dict[str, tf.Variable]:
        """Return what it knows of items and users, for `trainer.skew.served`."""
        ranking, users = self.two_stages.ranking, self.retrieval.users
        return {
            "item_parts": ranking.parts.values,
            "user_parts": ranking.users.values,
            "item_statistics": ranking.item_statistics.values,
            "user_statistics": ranking.user_statistics.values,
            "history_bounds": users.history.bounds,
            "history_values": users.history.values,
            "last_time": users.last_time,
        }

    def _describe(self, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.catalogue.describe(item_id)


class RankingServable(Servable):
    """`ranking`: scores of given items for a user."""

    def __init__(
        self,
        *,
        retrieval: RetrievalGraph,
        ranking: RankingGraph,
        catalogue: Catalogue,
        features: FeatureSet,
    ) -> None:
        super().__init__(name="ranking")
        self.retrieval, self.ranking, self.catalogue = retrieval, ranking, catalogue
        self.context = features.context

    def declared(self) -> Signatures:
        """Return the signatures that score."""
        inputs = [_ids("user_id"), _lists("item_id")]
        with_history = [*inputs, _lists("history")]
        return {
            "serving_default": (self._default, inputs),
            "with_history": (self._with_history, with_history),
        }

    def _default(self, user_id: tf.Tensor, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        user_id, item_id = gated(user_id, [], item_id=item_id)
        user = self.retrieval.users.lookup(user_id)
        return self._score(self.retrieval.request(user), item_id)

    def _with_history(
        self, user_id: tf.Tensor, item_id: tf.Tensor, history: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        user_id, item_id, history = gated(user_id, [], item_id=item_id, history=history)
        user = self.retrieval.users.lookup(user_id)
        rows = self.catalogue.lookup(history)
        return self._score(self.retrieval.request(user, rows), item_id)

    def _score(self, request: Request, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = self.catalogue.lookup(item_id)
        queries = self.retrieval.queries(request)
        batch = tf.shape(item_id)[0]
        context = {
            f.name: tf.zeros([batch, 2])
            if f.kind == "numeric"
            else tf.zeros([batch], tf.int32)
            for f in self.context
        }
        heads = self.ranking.heads(request, rows, self.retrieval, queries, context)
        score = heads[self.ranking.config.order_by]
        known = rows > 0
        heads = {n: tf.where(known, v, 0.0) for n, v in heads.items() if n != "order"}
        return {**heads, "score": tf.where(known, score, PADDING_SCORE)}


def _resources(encoders: Mapping[str, Any]) -> list[Any]:
    """Return the lookup tables of encoders, for a SavedModel to keep."""
    return [table for encode in encoders.values() for table in resources_of(encode)]


def gated(user_id: tf.Tensor, checks: Checks, **inputs: tf.Tensor) -> list[tf.Tensor]:
    """Let inputs through once all was found right; InvalidArgument names the input.

    All must have one first dimension, and `checks` must hold. What reads an input
    waits for that: a graph would else make room for a list of any k beside refusing
    it. Out: `user_id` and `inputs`.
    """
    batch = tf.shape(user_id)[0]
    for name, value in inputs.items():
        message = f"{name}: expected as many rows as user_id."
        checks = [*checks, (tf.equal(tf.shape(value)[0], batch), message)]
    asserted = [tf.debugging.Assert(holds, [message]) for holds, message in checks]
    with tf.control_dependencies([op for op in asserted if op is not None]):
        return [tf.identity(value) for value in (user_id, *inputs.values())]


def _function(call: Call, specs: list[tf.TensorSpec]) -> Any:
    """Trace a signature whose inputs have the names of their specs."""

    def signature(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        # Nobody else looks at ranks: a wrong one would be broadcast to some answer.
        return call(**{s.name: tf.ensure_shape(inputs[s.name], s.shape) for s in specs})

    # The graphs hold no Python control flow, whose conversion takes most of an export.
    traced = tf.function(signature, autograph=False)
    return traced.get_concrete_function(**{s.name: s for s in specs})
