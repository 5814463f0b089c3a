"""The trend's boost: how an epoch is judged, and what validation's figures choose."""

from types import SimpleNamespace
from typing import Any

import pytest

from trainer.fitting.boost import COARSE, best_boost, with_best_boost


class Model:
    """Notes the boosts that it is given; an early epoch needs none, a late one does."""

    def __init__(self, trend_width: int = 2) -> None:
        self.query_tower = SimpleNamespace(trend_width=trend_width)
        self.boosts: list[float] = []

    def boost_trend(self, boost: float) -> None:
        self.boosts.append(boost)


@pytest.mark.parametrize("best", COARSE)
def test_an_epoch_counts_with_its_best_boost(best: float) -> None:
    model: Any = Model()
    found = with_best_boost(model, lambda: 1 - abs(model.boosts[-1] - best))
    assert found == 1
    assert model.boosts[-1] == 0  # What trains on is not boosted.


def test_without_a_trend_validation_is_asked_once() -> None:
    model: Any = Model(trend_width=0)
    assert with_best_boost(model, lambda: 0.25) == 0.25
    assert model.boosts == []


def test_the_smallest_boost_wins_a_tie() -> None:
    assert best_boost({"0.0": 0.1, "0.5": 0.3, "1.0": 0.3}) == 0.5
    assert best_boost({}) == 0
