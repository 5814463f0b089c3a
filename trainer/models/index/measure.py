"""Measures an index against brute force: what it finds, and how long it takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.models.index.base import Index
from trainer.models.index.truth import exact_answers, recall

WARM_CALLS = 3

Search = Callable[[np.ndarray], object]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one call with `batch` queries."""

    batch: int
    median_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class IndexQuality:
    """The recall at `k` over some queries, and the time of one and of many at once."""

    k: int
    queries: int
    recall: float
    single: Latency
    batched: Latency


def measure(
    index: Index,
    vectors: np.ndarray,
    servable: np.ndarray,
    queries: np.ndarray,
    *,
    k: int = 100,
    batch: int = 64,
    calls: int = 200,
) -> IndexQuality:
    """Compare an index with brute force, and time it in its graph.

    In: `vectors` float32 (items + 1, dim) and `servable` bool (items + 1,) of which
    the index was built; `queries` float32 (n, dim), n at least 1, better others than
    it was tuned on. `calls`: of one query; a batch is timed a tenth as often.
    """

    def ask(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        none = tf.zeros([len(some), 0], tf.int32)
        rows, scores = index.traced(tf.constant(some), tf.constant(k), none)
        return rows.numpy(), scores.numpy()

    queries = queries.astype(np.float32)
    _, truth = exact_answers(vectors, servable, queries, k)
    parts = [ask(queries[i : i + batch]) for i in range(0, len(queries), batch)]
    rows = np.concatenate([found for found, _ in parts])
    # By the vectors themselves, in case the index holds them less exactly.
    scores = np.einsum("nd,nkd->nk", queries, vectors[rows])
    return IndexQuality(
        k=k,
        queries=len(queries),
        recall=recall(rows, scores, truth),
        single=latency(ask, queries, 1, calls),
        batched=latency(ask, queries, batch, max(calls // 10, 1)),
    )


def latency(ask: Search, queries: np.ndarray, batch: int, calls: int) -> Latency:
    """Time calls that take batches from the queries, over and over."""
    wrapped = np.resize(queries, (len(queries) + batch, queries.shape[1]))
    times = []
    for number in range(WARM_CALLS + calls):
        start = number * batch % len(queries)
        some = wrapped[start : start + batch]
        begin = time.perf_counter()
        ask(some)
        times.append(1e3 * (time.perf_counter() - begin))
    times = times[WARM_CALLS:]
    median, p99 = np.quantile(times, [0.5, 0.99])
    return Latency(batch=batch, median_ms=float(median), p99_ms=float(p99))
