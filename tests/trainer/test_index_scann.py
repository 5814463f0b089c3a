"""ScaNN's index where it is approximate, and what measures an index."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from trainer.models.index.build import build_index
from trainer.models.index.measure import measure
from trainer.models.index.scann import EXACT_BELOW, Scann, is_available
from trainer.models.index.truth import exact_answers, recall

pytestmark = pytest.mark.skipif(not is_available(), reason="ScaNN is not installed")

ITEMS = EXACT_BELOW + 2_000
K = 50


@functools.cache
def catalogue() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    topics = rng.normal(size=(80, 16))

    def draw(count: int) -> np.ndarray:
        near = topics[rng.integers(0, 80, count)]
        vectors = near + 0.5 * rng.normal(size=near.shape)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.astype(np.float32)

    servable = np.r_[False, np.arange(ITEMS) % 20 > 0]
    return draw(ITEMS + 1), servable, draw(160)


@functools.cache
def index() -> Scann:
    vectors, servable, queries = catalogue()
    built = build_index("scann", vectors, servable, queries=queries[:100], k=K)
    assert isinstance(built, Scann)
    return built


def test_it_is_tuned_and_measured() -> None:
    vectors, servable, queries = catalogue()
    assert index().settings()["searched"] < index().settings()["leaves"]
    found = measure(index(), vectors, servable, queries[100:], k=K, batch=8, calls=20)
    assert found.recall >= 0.97
    assert (found.k, found.queries) == (K, 60)
    assert 0 < found.single.median_ms <= found.single.p99_ms
    assert found.batched.batch == 8


def test_exclusions_never_shorten_an_answer() -> None:
    vectors, servable, queries = catalogue()
    some = queries[100:104]
    first, truth = exact_answers(vectors, servable, some, 1_000 + K)
    excluded = first[:, :1_000]
    rows, scores = index().traced(some, tf.constant(K), excluded)
    assert (rows.numpy() > 0).all()
    assert recall(rows.numpy(), scores.numpy(), truth[:, 1_000:]) >= 0.97
    left = np.random.default_rng(0).choice(np.flatnonzero(servable), K, replace=False)
    out = np.setdiff1d(np.arange(ITEMS + 1), left)[None].astype(np.int32)
    rows, _ = index().traced(some[:1], tf.constant(K), out)
    assert (
        rows[0].numpy().tolist()
        == left[np.argsort(-(vectors[left] @ some[0]))].tolist()
    )


@pytest.mark.parametrize("k", [1, 2_000, ITEMS + 5])
def test_any_k(k: int) -> None:
    _, servable, queries = catalogue()
    rows, scores = index().traced(
        queries[:2], tf.constant(k), np.array([[0, 7], [0, 0]], np.int32)
    )
    count = min(k, int(servable.sum()) - 1)
    assert rows.shape == scores.shape == (2, k)
    assert (rows[:, :count].numpy() > 0).all()
    assert 7 not in rows[0].numpy()
    assert (np.diff(scores.numpy()) <= 0).all()
    assert np.isfinite(scores.numpy()).all()


def test_no_query() -> None:
    rows, _ = index().search(
        tf.zeros([0, 16]), tf.constant(3), tf.zeros([0, 2], tf.int32)
    )
    assert rows.shape == (0, 3)
