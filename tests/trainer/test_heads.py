"""What is said of the heads, against plain resampling of users."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation import heads as module
from trainer.evaluation import metrics
from trainer.evaluation.bootstrap import _weights, bootstrap
from trainer.evaluation.heads import HeadAnswers, calibrated, head_intervals


def answers(
    seed: int = 0, users: int = 30, number: int = 600, distinct: int = 10**6
) -> HeadAnswers:
    rng = np.random.default_rng(seed)
    chance = np.round(rng.random(number) * distinct) / distinct
    return HeadAnswers(
        users=rng.integers(1, users + 1, number),
        values=chance,
        labels=(rng.random(number) < chance).astype(np.float64),
        of_what="all there is",
    )


def test_values_are_those_of_all_answers() -> None:
    one = answers()
    found = head_intervals({"like": one}, seed=0)["like"]
    liked = one.labels > 0
    assert found["auc"].mean == metrics.auc(liked, one.values)
    assert found["log_loss"].mean == metrics.log_loss(liked, one.values)
    assert found["calibration_error"].mean == metrics.calibration_error(
        liked, one.values
    )
    for interval in found.values():
        assert interval.low < interval.high
    for name in ("auc", "log_loss"):
        assert found[name].low < found[name].mean < found[name].high


@pytest.mark.parametrize("distinct", [20, 10**6])
def test_bounds_are_those_of_drawn_users(distinct: int) -> None:
    one, resamples = answers(distinct=distinct), 60
    found = head_intervals({"like": one}, seed=3, resamples=resamples)["like"]
    own = [np.flatnonzero(one.users == user) for user in np.unique(one.users)]
    (weights,) = _weights(len(own), resamples, 3)
    drawn = []
    for counts in weights.astype(int):
        rows = np.concatenate([own[u] for u in np.repeat(np.arange(len(own)), counts)])
        liked, chance = one.labels[rows] > 0, one.values[rows]
        drawn.append(
            [
                metrics.auc(liked, chance),
                metrics.log_loss(liked, chance),
                metrics.calibration_error(liked, chance),
            ]
        )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    # The AUC is counted in bins, exactly so where there are fewer values than bins.
    tolerance = 1e-9 if distinct == 20 else 1e-3
    np.testing.assert_allclose([i.low for i in found.values()], low, atol=tolerance)
    np.testing.assert_allclose([i.high for i in found.values()], high, atol=tolerance)


def test_rmse_is_a_resampled_root() -> None:
    one = answers()
    found = head_intervals({"rating": one}, seed=1)["rating"]["rmse"]
    assert found.mean == pytest.approx(metrics.rmse(one.labels, one.values))
    squares = np.square(one.labels - one.values)
    plain = bootstrap({"x": squares}, one.users, seed=1)["x"]
    assert (found.low, found.high) == pytest.approx((plain.low**0.5, plain.high**0.5))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.data())
def test_the_binned_auc_is_exact_for_few_values(
    values: list[int], data: st.DataObject
) -> None:
    liked = np.array([data.draw(st.booleans()) for _ in values])
    chance = np.array(values) / 7
    places = module._auc_places(chance)
    counts = [np.bincount(places[w], minlength=9)[None] for w in (liked, ~liked)]
    found, expected = module._binned_auc(*counts)[0], metrics.auc(liked, chance)
    assert found == pytest.approx(expected, nan_ok=True)


def test_one_user_gives_no_bounds_and_nothing_nothing() -> None:
    one = answers(users=1)
    found = head_intervals({"like": one, "rating": one}, seed=0)
    assert all(np.isnan(i.low) for head in found.values() for i in head.values())
    none = HeadAnswers(
        users=np.zeros(0), values=np.zeros(0), labels=np.zeros(0), of_what=""
    )
    assert head_intervals({"like": none}, seed=0) == {}


def test_folds_are_joined() -> None:
    both = HeadAnswers.joined([answers(0), answers(1, number=50)])
    assert len(both) == 650
    assert both.of_what == "all there is"


def test_a_calibration_turns_logits_into_probabilities() -> None:
    found = calibrated(np.array([0.0, 2.0], np.float32), (0.5, -1.0))
    np.testing.assert_allclose(found, [1 / (1 + np.e), 0.5])
