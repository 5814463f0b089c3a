"""Every index against plain NumPy."""

from typing import Any, get_args

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.config import IndexKind
from trainer.models.index.base import PADDING_SCORE, Index
from trainer.models.index.build import SCANN_NEEDS, build_index
from trainer.models.index.prior import Prior

DIM = 4
KINDS = pytest.mark.parametrize("kind", get_args(IndexKind))
PADDING = float(np.float32(PADDING_SCORE))


def brute_force(
    scores: np.ndarray, servable: np.ndarray, k: int, excluded: list[int]
) -> tuple[list[int], list[float]]:
    """Sort all items by score, ties to the lower row. In: float32 (items + 1,)."""
    allowed = [r for r in np.flatnonzero(servable) if r not in excluded]
    best = sorted(allowed, key=lambda row: (-scores[row], row))[:k]
    missing = k - len(best)
    values = [float(scores[row]) for row in best]
    return [int(r) for r in best] + [0] * missing, values + [PADDING] * missing


def table(rng: np.random.Generator, items: int) -> np.ndarray:
    """Draw vectors with many ties, whose products float32 holds exactly."""
    vectors = rng.integers(-2, 3, (items + 1, DIM)).astype(np.float32) / 4
    vectors[0] = 0
    return vectors


def servable_of(rng: np.random.Generator, items: int) -> np.ndarray:
    servable = rng.random(items + 1) < 0.9
    servable[0] = False
    servable[1] = True
    return servable


def assert_exact(
    index: Index,
    scores: np.ndarray,
    servable: np.ndarray,
    queries: np.ndarray,
    k: int,
    excluded: list[list[int]],
) -> None:
    """Compare answers with NumPy's, row by row. In: `scores` (b, items + 1)."""
    width = max(map(len, excluded), default=0)
    padded = [row + [0] * (width - len(row)) for row in excluded]
    rows, found = index.search(
        tf.constant(queries),
        tf.constant(k),
        tf.constant(padded, tf.int32, [len(queries), width]),
    )
    assert rows.dtype == tf.int32
    assert rows.shape == found.shape == (len(queries), k)
    for place, out in enumerate(excluded):
        expected = brute_force(scores[place], servable, k, out)
        assert (rows[place].numpy().tolist(), found[place].numpy().tolist()) == expected


@KINDS
@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    items=st.integers(1, 60),
    k=st.integers(1, 70),
    data=st.data(),
)
def test_answers_are_exact(
    kind: IndexKind, seed: int, items: int, k: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    vectors, servable = table(rng, items), servable_of(rng, items)
    queries = rng.integers(-3, 4, (3, DIM)).astype(np.float32)
    some = st.lists(st.integers(0, items), max_size=items)
    excluded = [data.draw(some) for _ in queries]
    index = build_index(kind, vectors, servable)
    assert_exact(index, queries @ vectors.T, servable, queries, k, excluded)


@KINDS
@pytest.mark.parametrize("items", [1, 2, 15, 16, 17, 18, 40])
def test_small_catalogues(kind: IndexKind, items: int) -> None:
    rng = np.random.default_rng(items)
    vectors, servable = table(rng, items), np.r_[False, np.ones(items, bool)]
    queries = rng.integers(-3, 4, (2, DIM)).astype(np.float32)
    index = build_index(kind, vectors, servable)
    scores = queries @ vectors.T
    assert_exact(index, scores, servable, queries, 10, [[], []])
    assert_exact(index, scores, servable, queries, items + 7, [[], [1, 1, 0]])


@KINDS
def test_all_but_k_excluded(kind: IndexKind) -> None:
    rng = np.random.default_rng(5)
    vectors, servable = table(rng, 50), np.r_[False, np.ones(50, bool)]
    queries = rng.integers(-3, 4, (2, DIM)).astype(np.float32)
    index = build_index(kind, vectors, servable)
    worst = np.argsort(queries[0] @ vectors[1:].T)[:5] + 1
    left = [row for row in range(1, 51) if row not in worst]
    everything = list(range(51))
    excluded = [left, everything]
    assert_exact(index, queries @ vectors.T, servable, queries, 5, excluded)


@KINDS
def test_all_scores_equal(kind: IndexKind) -> None:
    vectors = np.full((41, DIM), 0.5, np.float32)
    servable = np.r_[False, np.arange(40) % 2 == 0]
    index = build_index(kind, vectors, servable)
    queries = np.ones((1, DIM), np.float32)
    scores = queries @ vectors.T
    assert_exact(index, scores, servable, queries, 6, [[3, 7]])


@KINDS
def test_no_query_and_no_servable_item(kind: IndexKind) -> None:
    vectors = table(np.random.default_rng(0), 20)
    none = np.zeros(21, bool)
    queries = np.ones((2, DIM), np.float32)
    index = build_index(kind, vectors, none)
    assert_exact(index, queries @ vectors.T, none, queries, 3, [[], [2]])
    index = build_index(kind, vectors, ~none)
    rows, _ = index.search(
        tf.zeros([0, DIM]), tf.constant(3), tf.zeros([0, 2], tf.int32)
    )
    assert rows.shape == (0, 3)


@KINDS
def test_unit_vectors_as_a_model_makes_them(kind: IndexKind) -> None:
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(301, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    servable = np.r_[False, np.ones(300, bool)]
    queries = rng.normal(size=(20, 16)).astype(np.float32)
    index = build_index(kind, vectors, servable)
    rows, scores = index.search(
        tf.constant(queries), tf.constant(100), tf.zeros([20, 1], tf.int32)
    )
    full = queries @ vectors.T
    full[:, 0] = -np.inf
    expected = np.sort(full, axis=1)[:, ::-1][:, :100]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    found = np.take_along_axis(full, rows.numpy(), axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_scann_is_used_from_its_least_size_on() -> None:
    def kind_of(items: int) -> str:
        vectors = table(np.random.default_rng(1), items)
        index = build_index("scann", vectors, np.r_[False, np.ones(items, bool)])
        return index.kind

    assert kind_of(SCANN_NEEDS) == "scann"
    assert kind_of(SCANN_NEEDS - 1) == "brute_force"


def test_partitioned_is_used_from_its_least_size_on(monkeypatch: Any) -> None:
    monkeypatch.setattr("trainer.models.index.build.EXACT_BELOW", 4_000)
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(20, 16))[rng.integers(0, 20, 6_001)]
    vectors += 0.1 * rng.normal(size=vectors.shape)
    vectors = vectors.astype(np.float32)

    def kind_of(items: int) -> str:
        servable = np.r_[False, np.arange(6_000) < items]
        return build_index("partitioned", vectors, servable, k=10).kind

    assert kind_of(3_999) == "brute_force"
    assert kind_of(6_000) == "partitioned"


def test_without_scann_another_index_stands_in(monkeypatch: Any) -> None:
    monkeypatch.setattr("trainer.models.index.build.is_available", lambda: False)
    vectors = table(np.random.default_rng(1), 40)
    index = build_index("scann", vectors, np.r_[False, np.ones(40, bool)])
    assert index.kind != "scann"
    assert index.ops_beyond_stock == ()


@settings(max_examples=25)
@given(
    shares=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    k=st.integers(1, 40),
    data=st.data(),
)
def test_the_prior_is_a_fixed_order(
    shares: list[int], k: int, data: st.DataObject
) -> None:
    prior = np.r_[0, np.array(shares) / 8].astype(np.float32)
    servable = np.r_[False, np.arange(len(shares)) % 3 != 1]
    excluded = [data.draw(st.lists(st.integers(0, len(shares)))) for _ in range(2)]
    queries = np.zeros((2, DIM), np.float32)
    scores = np.stack([prior, prior])
    assert_exact(Prior(prior, servable), scores, servable, queries, k, excluded)
