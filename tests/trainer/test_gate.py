"""The gate promotes what is not worse, and says in one sentence why it refuses."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from trainer.config import GateConfig
from trainer.retrain.gate import decide
from trainer.retrain.steps import PASSED, REFUSED

Figures = dict[str, Any]


def interval(mean: float, low: float | None, high: float | None) -> Figures:
    return {"mean": mean, "low": low, "high": high}


def figures(**other: Any) -> Figures:
    """Describe a candidate that is a little better than the champion."""
    guards = {
        "coverage": {"candidate": 0.5, "champion": 0.5},
        "index_recall": {"candidate": 0.99, "champion": 0.99},
        "latency_ms": {"candidate": 2.0, "champion": 2.0},
        "bytes": {"candidate": 100, "champion": 100},
    }
    cold = {"champion": 0.2, "difference": interval(0.0, -0.1, 0.1)}
    return {
        "users": 200,
        "candidate": interval(0.102, 0.09, 0.11),
        "champion": interval(0.100, 0.09, 0.11),
        "difference": interval(0.002, -0.001, 0.005),
        "baseline": interval(0.05, 0.04, 0.06),
        "guards": guards,
        "cold": cold,
        **other,
    }


def with_guard(name: str, candidate: float) -> Figures:
    found = figures()
    found["guards"][name]["candidate"] = candidate
    return found


def test_a_champion_that_found_nothing_leaves_the_chain_a_number() -> None:
    found = decide(
        figures(champion=interval(0.0, 0.0, 0.0), difference=interval(0.1, 0.05, 0.15)),
        GateConfig(),
        standing=0.97,
    )
    assert found.verdict == PASSED
    assert found.standing == 0.97
    json.dumps(found.to_json(), allow_nan=False)


def test_a_candidate_within_the_margin_is_promoted() -> None:
    found = decide(figures(), GateConfig())
    assert found.verdict == PASSED
    assert all(check.passed for check in found.checks)
    assert found.standing == pytest.approx(1.02)
    assert "-1.0% to +5.0%" in found.reason
    assert "200 users" in found.reason


def test_the_lower_bound_decides_not_the_mean() -> None:
    uncertain = figures(difference=interval(0.002, -0.0021, 0.02))
    found = decide(uncertain, GateConfig())
    assert found.verdict == REFUSED
    assert "lower bound -2.1%" in found.reason
    assert "[gate] margin" in found.reason
    assert decide(uncertain, GateConfig(margin=-0.03)).verdict == PASSED


def test_one_user_proves_nothing() -> None:
    found = decide(
        figures(users=1, difference=interval(0.5, None, None)), GateConfig(min_users=1)
    )
    assert found.verdict == REFUSED
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("found", "key"),
    [
        (figures(users=49), "min_users"),
        (figures(baseline=interval(-0.02, -0.03, -0.01)), "floor_baseline"),
        (with_guard("coverage", 0.34), "coverage_loss"),
        (with_guard("index_recall", 0.96), "index_recall_loss"),
        (with_guard("latency_ms", 3.1), "latency_ratio"),
        (with_guard("bytes", 201), "size_ratio"),
        (
            figures(cold={"champion": 0.2, "difference": interval(-0.1, -0.15, -0.05)}),
            "cold_recall_loss",
        ),
    ],
)
def test_each_guard_refuses_and_names_its_threshold(found: Figures, key: str) -> None:
    decision = decide(found, GateConfig())
    assert decision.verdict == REFUSED
    assert f"[gate] {key}" in decision.reason
    assert decision.reason.count(". ") == 0  # One sentence.
    assert sum(not check.passed for check in decision.checks) == 1


@pytest.mark.parametrize(
    "bound",
    [{"max_latency_ms": 1.9}, {"max_bytes": 99}, {"min_coverage": 0.6}, {"floor": 0.2}],
)
def test_bounds_need_no_champion(bound: Figures) -> None:
    first = figures(champion=None, difference=None, cold=None)
    for one in first["guards"].values():
        one["champion"] = None
    assert decide(first, GateConfig()).verdict == PASSED
    assert decide(first, GateConfig()).standing == 1.0
    refused = decide(first, GateConfig(**bound))
    assert refused.verdict == REFUSED
    assert f"[gate] {next(iter(bound))}" in refused.reason


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"data_refused": "interactions: no items."}, "interactions: no items"),
        ({"answers_known": 3}, "3 answers of the newest test window were known"),
        ({"refused": "the index finds 0.9"}, "the index finds 0.9"),
    ],
)
def test_what_makes_numbers_worthless_refuses_first(found: Figures, said: str) -> None:
    decision = decide(figures(users=1, **found), GateConfig())
    assert decision.verdict == REFUSED
    assert said in decision.reason
    assert "1 other check failed too" in decision.reason


def test_a_cold_loss_that_may_be_chance_is_none() -> None:
    cold = {"champion": 0.2, "difference": interval(-0.1, -0.25, 0.05)}
    assert decide(figures(cold=cold), GateConfig()).verdict == PASSED


def test_a_chain_of_small_losses_ends_at_the_reference() -> None:
    small_loss = figures(difference=interval(-0.001, -0.0015, -0.0005))
    standing, promoted = 1.0, 0
    for _ in range(20):
        found = decide(small_loss, GateConfig(), standing=standing)
        if found.verdict == REFUSED:
            assert "[gate] reference_margin" in found.reason
            break
        standing, promoted = found.standing, promoted + 1
    assert promoted == 5  # 0.99 ** 5 is 0.951.


@given(
    st.lists(st.floats(-0.019, 0.019), min_size=1, max_size=40),
    st.floats(-0.5, 0.0),
)
def test_no_chain_undercuts_the_reference(changes: list[float], margin: float) -> None:
    """Whatever is promoted one after the other stays above the fixed reference."""
    config, standing, product = GateConfig(reference_margin=margin), 1.0, 1.0
    for change in changes:
        difference = interval(change * 0.1, change * 0.1, change * 0.1)
        found = decide(figures(difference=difference), config, standing=standing)
        if found.verdict == PASSED:
            standing, product = found.standing, product * (1 + change)
    assert math.isclose(standing, product, rel_tol=1e-9)
    assert standing >= 1 + margin - 1e-12


def test_a_champion_that_found_nothing_cannot_be_undercut() -> None:
    zero = figures(champion=interval(0.0, 0.0, 0.0), difference=interval(0.0, 0.0, 0.0))
    assert decide(zero, GateConfig()).verdict == PASSED


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"margin": -2.0}, "expected above -1"),
        ({"min_users": 0}, "min_users is 0"),
        ({"floor_baseline": "eas"}, "Did you mean 'ease'"),
        ({"latency_ratio": 0.0}, "latency_ratio is 0"),
    ],
)
def test_settings_out_of_range_are_named(settings: Figures, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        GateConfig(**settings)
