"""The partitioned index, forced upon catalogues that are small enough to check."""

import functools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.export.manifest import ops_beyond_stock
from trainer.models.index.base import PADDING_SCORE
from trainer.models.index.build import items_as_queries, tuned_partitioned
from trainer.models.index.partitioned import Partitioned
from trainer.models.index.partitions import Truth, part, tune
from trainer.models.index.truth import exact_answers, recall

ITEMS = 6_000
K = 20
RECALL = 0.98


def draw(
    rng: np.random.Generator, count: int, topics: np.ndarray, trend: int
) -> np.ndarray:
    """Draw vectors of length 1 around topics, and a skewed trend beside them."""
    near = topics[rng.integers(0, len(topics), count)]
    vectors = near + 0.5 * rng.normal(size=near.shape) / np.sqrt(near.shape[1])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    trends = rng.exponential(2.0, (count, trend))
    return np.concatenate([vectors, trends], axis=1).astype(np.float32)


@functools.cache
def catalogue(trend: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors, what is servable, and queries."""
    rng = np.random.default_rng(7)
    topics = rng.normal(size=(60, 16))
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)
    vectors = draw(rng, ITEMS + 1, topics, trend)
    vectors[0] = 0
    servable = rng.random(ITEMS + 1) < 0.95
    servable[0] = False
    queries = draw(rng, 400, topics, trend)
    queries[:, 16:] *= 0.05  # Gains.
    return vectors, servable, queries


@functools.cache
def index_of(trend: int) -> Partitioned:
    vectors, servable, queries = catalogue(trend)
    partitions = part(vectors, servable, queries[:200], 112)
    truth = Truth.of(vectors, servable, queries[:200], K)
    return Partitioned(vectors, partitions, tune(partitions, truth, RECALL))


@functools.cache
def compiled(trend: int) -> tf.types.experimental.PolymorphicFunction:
    return tf.function(
        index_of(trend).search,
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, None], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
        ],
    )


def ask(
    trend: int, queries: np.ndarray, k: int, excluded: list[list[int]]
) -> tuple[np.ndarray, np.ndarray]:
    width = max(map(len, excluded), default=0)
    padded = np.zeros((len(queries), width), np.int32)
    for place, rows in enumerate(excluded):
        padded[place, : len(rows)] = rows
    rows, scores = compiled(trend)(queries, k, padded)
    return rows.numpy(), scores.numpy()


TRENDS = pytest.mark.parametrize("trend", [0, 2])


@TRENDS
def test_the_tuned_recall_holds_for_other_queries(trend: int) -> None:
    vectors, servable, queries = catalogue(trend)
    index = index_of(trend)
    assert index.settings()["rows_scored"] < ITEMS
    _, truth = exact_answers(vectors, servable, queries[200:], K)
    rows, scores = ask(trend, queries[200:], K, [[] for _ in queries[200:]])
    assert recall(rows, scores, truth) >= RECALL - 0.01
    exact = np.take_along_axis(queries[200:] @ vectors.T, rows, axis=1)
    np.testing.assert_allclose(scores, exact, atol=1e-5)


@TRENDS
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.sampled_from([1, 2, K, 150, 1_000, ITEMS, ITEMS + 30]),
    listed=st.sampled_from([0, 1, 40, 900]),
)
def test_what_every_answer_must_be(trend: int, seed: int, k: int, listed: int) -> None:
    vectors, servable, queries = catalogue(trend)
    rng = np.random.default_rng(seed)
    some = queries[rng.choice(len(queries), 3, replace=False)]
    full = some @ vectors.T
    near = np.argsort(-full, axis=1)[:, :listed]
    excluded = [[*row, 0, *rng.integers(0, ITEMS + 1, listed)] for row in near]
    excluded[1] = []
    rows, scores = ask(trend, some, k, excluded)
    assert rows.shape == scores.shape == (3, k)
    for place, out in enumerate(excluded):
        allowed = servable.copy()
        allowed[out] = False
        count = min(k, int(allowed.sum()))
        found = rows[place, :count]
        assert allowed[found].all()
        assert len(set(found.tolist())) == count
        np.testing.assert_allclose(scores[place, :count], full[place, found], atol=1e-5)
        assert (np.diff(scores[place]) <= 0).all()
        assert (rows[place, count:] == 0).all()
        assert (scores[place, count:] == np.float32(PADDING_SCORE)).all()
        if count < k:
            assert set(found.tolist()) == set(np.flatnonzero(allowed).tolist())
    for place, out in enumerate(excluded):
        alone_rows, alone = ask(trend, some[place : place + 1], k, [out])
        np.testing.assert_allclose(alone[0], scores[place], atol=1e-4)
        assert (alone_rows[0] == rows[place]).mean() > 0.9


@TRENDS
def test_the_top_thousand_excluded(trend: int) -> None:
    vectors, servable, queries = catalogue(trend)
    some = queries[200:260]
    first, _ = exact_answers(vectors, servable, some, 1_000)
    rows, scores = ask(trend, some, K, [row.tolist() for row in first])
    deep, truth = exact_answers(vectors, servable, some, 1_000 + K)
    assert recall(rows, scores, truth[:, 1_000:]) >= RECALL - 0.01
    assert not any(set(a) & set(b) for a, b in zip(rows, deep[:, :1_000], strict=True))


@TRENDS
def test_all_but_k_excluded(trend: int) -> None:
    vectors, servable, queries = catalogue(trend)
    left = np.random.default_rng(3).choice(np.flatnonzero(servable), K, replace=False)
    out = [row for row in range(ITEMS + 1) if row not in left]
    rows, _ = ask(trend, queries[:2], K, [out, []])
    expected = left[np.argsort(-(vectors[left] @ queries[0]))]
    assert rows[0].tolist() == expected.tolist()
    assert (rows[1] > 0).all()


def test_no_query() -> None:
    rows, scores = ask(2, np.zeros((0, 18), np.float32), 3, [])
    assert rows.shape == scores.shape == (0, 3)


def test_a_query_of_zeros_is_answered() -> None:
    rows, scores = ask(0, np.zeros((1, 16), np.float32), 5, [[]])
    assert (rows > 0).all()
    assert (scores == 0).all()


def test_equal_vectors_are_given_in_the_order_of_rows() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.integers(-2, 3, (40, 4)).astype(np.float32)[rng.integers(0, 40, 3001)]
    servable = np.r_[False, np.ones(3_000, bool)]
    queries = items_as_queries(vectors, servable)
    partitions = part(vectors, servable, queries, 112)
    assert partitions.sizes.max() <= 112
    assert sorted(partitions.rows) == list(range(1, 3_001))
    truth = Truth.of(vectors, servable, queries, K)
    index = Partitioned(vectors, partitions, tune(partitions, truth, RECALL))
    rows, scores = index.search(
        tf.constant(queries[:20]), tf.constant(K), tf.zeros([20, 0], tf.int32)
    )
    together = np.diff(scores.numpy(), axis=1) == 0
    assert together.any()
    assert (np.diff(rows.numpy(), axis=1)[together] > 0).all()


def test_no_partitions_where_they_do_not_pay() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(3_001, 32)).astype(np.float32)
    servable = np.r_[False, np.ones(3_000, bool)]
    queries = items_as_queries(vectors, servable)
    assert tuned_partitioned(vectors, servable, queries, 100, 0.98) is None


def test_no_table_is_gathered_from_as_a_variable() -> None:
    """One such op makes TensorFlow copy the whole variable at each later reading."""
    graph = compiled(0).get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    assert "Slice" in {node.op for node in nodes}
    assert "ResourceGather" not in {node.op for node in nodes}


def test_a_saved_index_has_stock_ops_alone(tmp_path: Path) -> None:
    module = tf.Module()
    module.index = index_of(2)
    module.search = compiled(2)
    tf.saved_model.save(module, str(tmp_path))
    assert ops_beyond_stock(str(tmp_path)) == []
    queries = catalogue(2)[2][:3]
    loaded = tf.saved_model.load(str(tmp_path))
    rows, _ = loaded.search(queries, tf.constant(K), tf.zeros([3, 0], tf.int32))
    np.testing.assert_array_equal(rows, ask(2, queries, K, [[], [], []])[0])
