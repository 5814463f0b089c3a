"""Intervals cover, shrink, pair, and know whose queries they hold."""

import math

import numpy as np
import pytest

from trainer.evaluation import bootstrap as module
from trainer.evaluation.bootstrap import Interval, bootstrap, paired_difference


def draw(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 1.0, num)


def width(found: Interval) -> float:
    return found.high - found.low


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    values = draw(400)
    found = bootstrap({"x": values}, np.arange(400), seed=1)["x"]
    error = values.std() / math.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_95_of_100_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(5)
    columns = {i: rng.exponential(1.0, 80) for i in range(400)}
    found = bootstrap(columns, np.arange(80), seed=2)
    covered = np.mean([one.low <= 1 <= one.high for one in found.values()])
    assert 0.90 <= covered <= 0.98


def test_intervals_shrink_with_the_square_root_of_the_users() -> None:
    few = bootstrap({"x": draw(100)}, np.arange(100), seed=0)["x"]
    many = bootstrap({"x": draw(1_600)}, np.arange(1_600), seed=0)["x"]
    assert width(few) / width(many) == pytest.approx(4, rel=0.25)


def test_the_seed_alone_decides() -> None:
    values, users = {"x": draw(50)}, np.arange(50)
    first = bootstrap(values, users, seed=3)
    assert first == bootstrap(values, users, seed=3)
    assert first != bootstrap(values, users, seed=4)


def test_memory_is_bounded_in_pieces_of_the_same_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, users = {"x": draw(50)}, np.arange(50)
    whole = bootstrap(values, users, seed=3)["x"]
    monkeypatch.setattr(module, "CHUNK_DRAWS", 500)
    pieces = bootstrap(values, users, seed=3)["x"]
    assert pieces.low == pytest.approx(whole.low)
    assert pieces.high == pytest.approx(whole.high)


def test_copies_of_a_users_query_add_no_certainty() -> None:
    values = draw(60)
    once = bootstrap({"x": values}, np.arange(60), seed=0)["x"]
    copied = np.tile(values, 5)
    alike = bootstrap({"x": copied}, np.tile(np.arange(60), 5), seed=0)["x"]
    apart = bootstrap({"x": copied}, np.arange(300), seed=0)["x"]
    assert alike.mean == pytest.approx(once.mean)
    assert width(alike) == pytest.approx(width(once))
    assert width(apart) < 0.6 * width(once)


def test_users_of_several_queries_weigh_as_many() -> None:
    values, users = np.array([0.0, 0.0, 0.0, 1.0]), np.array([7, 7, 7, 2])
    found = bootstrap({"x": values}, users, seed=0)["x"]
    assert found == Interval(0.25, 0.0, 1.0)


def test_a_paired_difference_is_sharper_than_two_intervals() -> None:
    rng = np.random.default_rng(1)
    theirs = rng.normal(0, 1, 200)
    ours = theirs + 0.05 + rng.normal(0, 0.1, 200)
    found = paired_difference(ours, theirs, np.arange(200), seed=0)
    alone = bootstrap({"x": ours}, np.arange(200), seed=0)["x"]
    assert found.sign == 1
    assert width(found) < 0.2 * width(alone)
    assert paired_difference(theirs, ours, np.arange(200), seed=0).sign == -1


def test_one_user_gives_no_bounds_and_no_sign() -> None:
    found = bootstrap({"x": np.array([1.0, 2.0])}, np.array([4, 4]), seed=0)["x"]
    assert found.mean == 1.5
    assert math.isnan(found.low)
    assert found.sign == 0
    assert found.to_json() == {"mean": 1.5, "low": None, "high": None}


def test_decimals_show_two_digits_of_the_half_width() -> None:
    assert Interval(0.2, 0.1, 0.3).decimals == 3
    assert Interval(0.002, 0.0015, 0.0025).decimals == 5
    assert Interval(0.2, 0.2, 0.2).decimals == 3
