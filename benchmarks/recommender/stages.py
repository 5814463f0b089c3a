"""The steps of one recommendation, each as the graph from its input to that step."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from trainer.export.servables import RecommenderServable

STAGES = (
    "user and history",
    "query tower",
    "search, less what was seen",
    "candidates' tables",
    "ranking",
    "best k, ids",
)


def beginnings(servable: RecommenderServable) -> dict[str, Callable[..., Any]]:
    """Cut `serving_default` behind each stage.

    What a stage costs is what its function takes longer than the one before: an op
    that runs beside others costs only what it adds.
    """
    spec = tf.TensorSpec([None], tf.string)

    def cut(number: int) -> Callable[..., Any]:
        # No step behind it is traced: conditions in it would run all the same.
        def beginning(user_id: tf.Tensor) -> Any:
            return next(itertools.islice(steps(servable, user_id), number, None))

        return tf.function(beginning, input_signature=[spec], autograph=False)

    return {name: cut(number) for number, name in enumerate(STAGES)}


def steps(servable: RecommenderServable, user_id: tf.Tensor) -> Iterator[Any]:
    """Yield what each stage hands on."""
    retrieval, stages = servable.retrieval, servable.two_stages
    k = tf.constant(servable.config.k)
    request = retrieval.request(retrieval.users.lookup(user_id))
    known = [request.history, request.excluded, request.last_time, request.cold]
    yield known
    queries = retrieval.queries(request)
    yield [queries, *known]
    found = stages.candidates(request, queries, k)
    yield [queries, found.rows, found.prior]
    context = servable.unknown_context(user_id)
    inputs = stages.ranking.inputs(request, found.rows, retrieval, queries, context)
    yield tf.nest.flatten(inputs)
    heads = stages.ranking.heads_of(*inputs)
    yield [*heads.values(), found.prior]
    rows, scores = stages.chosen(request, found, heads, k)
    yield [servable.catalogue.names(rows), scores]
