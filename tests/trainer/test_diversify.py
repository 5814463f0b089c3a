"""Diversified lists against a slow definition, and what must hold of any."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.models.diversify import Diversity, diversified
from trainer.models.index.base import PADDING_SCORE

DIM, WIDTH, CODES = 3, 2, 4


def slow(
    keys: np.ndarray,
    vectors: np.ndarray,
    categories: np.ndarray,
    k: int,
    diversity: Diversity,
    first: np.ndarray | None = None,
) -> list[int]:
    """Choose for one request. Out: places from 1."""
    first = np.zeros(len(keys), bool) if first is None else first
    free = [i for i in range(len(keys)) if keys[i] > PADDING_SCORE]
    if not free:
        return []
    low, high = min(keys[free]), max(keys[free])
    chosen: list[int] = []
    while free and len(chosen) < k:
        values = []
        for i in free:
            value = (1 - diversity.mmr) * (keys[i] - low) / max(high - low, 1e-12)
            if chosen:
                nearest = max(float(vectors[i] @ vectors[j]) for j in chosen)
                value -= diversity.mmr * nearest
            met = [
                sum(code in categories[j] for j in chosen)
                for code in categories[i]
                if code
            ]
            over = bool(diversity.cap) and max(met, default=0) >= diversity.cap
            values.append((not first[i], over and not first[i], -value, i))
        best = min(values)[3]
        chosen.append(best)
        free.remove(best)
    return [i + 1 for i in chosen]


def candidates(
    seed: int, batch: int, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    keys = rng.normal(size=(batch, number)).astype(np.float32)
    keys[rng.random(keys.shape) < 0.2] = PADDING_SCORE
    vectors = rng.normal(size=(batch, number, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    categories = rng.integers(0, CODES, (batch, number, WIDTH)).astype(np.int32)
    return keys, vectors, categories


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    number=st.integers(1, 12),
    k=st.integers(1, 14),
    mmr=st.sampled_from([0.0, 0.3, 1.0]),
    cap=st.sampled_from([0, 1, 2]),
)
def test_lists_are_those_of_the_definition(
    seed: int, number: int, k: int, mmr: float, cap: int
) -> None:
    keys, vectors, categories = candidates(seed, 2, number)
    diversity = Diversity(mmr=mmr, cap=cap)
    inputs = (tf.constant(keys), tf.constant(vectors), tf.constant(categories))
    found = diversified(*inputs, tf.constant(k), diversity).numpy()
    assert found.shape == (2, k)
    for row in range(2):
        expected = slow(keys[row], vectors[row], categories[row], k, diversity)
        assert found[row].tolist() == expected + [0] * (k - len(expected))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    mmr=st.sampled_from([0.0, 0.4]),
    cap=st.sampled_from([0, 1]),
)
def test_boosted_ones_stand_before_all_others(seed: int, mmr: float, cap: int) -> None:
    keys, vectors, categories = candidates(seed, 2, 10)
    first = np.random.default_rng(seed + 1).random(keys.shape) < 0.3
    inputs = [tf.constant(x) for x in (keys, vectors, categories)]
    diversity = Diversity(mmr=mmr, cap=cap)
    found = diversified(*inputs, tf.constant(10), diversity, tf.constant(first)).numpy()
    for row in range(2):
        places = found[row][found[row] > 0] - 1
        boosted = first[row][places]
        # None that is no candidate, and none behind one that is not boosted.
        assert boosted.sum() == (first[row] & (keys[row] > PADDING_SCORE)).sum()
        assert (np.diff(boosted.astype(int)) <= 0).all()
        own = (keys[row], vectors[row], categories[row], 10, diversity, first[row])
        assert (places + 1).tolist() == slow(*own)


def test_off_is_the_order_of_the_keys() -> None:
    assert Diversity().is_off
    keys, vectors, categories = candidates(3, 1, 9)
    inputs = (tf.constant(keys), tf.constant(vectors), tf.constant(categories))
    found = diversified(*inputs, tf.constant(9), Diversity()).numpy()[0]
    order = np.argsort(-keys[0], kind="stable") + 1
    assert found[found > 0].tolist() == order[: (found > 0).sum()].tolist()


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_one_by_one_is_the_same_as_together(batch: int) -> None:
    keys, vectors, categories = candidates(1, 5, 8)
    diversity = Diversity(mmr=0.5, cap=2)
    inputs = [tf.constant(x) for x in (keys, vectors, categories)]
    together = diversified(*inputs, tf.constant(6), diversity).numpy()
    some = diversified(*[x[:batch] for x in inputs], tf.constant(6), diversity)
    assert some.numpy().tolist() == together[:batch].tolist()
