"""Calibration finds the curve that made the labels."""

import numpy as np
import pytest
from scipy.special import expit

from trainer.evaluation.calibration import fit_calibration


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.4, -3.0), (2.5, 1.0)])
def test_a_planted_curve_is_found(slope: float, offset: float) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(1.0, 2.0, 60_000)
    labels = rng.random(len(logits)) < expit(slope * logits + offset)
    found = fit_calibration(logits, labels)
    np.testing.assert_allclose(found, (slope, offset), rtol=0.05, atol=0.05)


def test_probabilities_are_right_on_average() -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(3.0, 1.0, 5_000)  # Far too sure, as after sampled negatives.
    labels = rng.random(len(logits)) < 0.05
    slope, offset = fit_calibration(logits, labels)
    assert abs(expit(slope * logits + offset).mean() - labels.mean()) < 0.002


@pytest.mark.parametrize("seed", range(3))
def test_the_order_is_never_turned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, 500)
    labels = rng.random(500) < expit(-2 * logits)
    slope, offset = fit_calibration(logits, labels)
    assert slope > 0
    assert np.isfinite(offset)


@pytest.mark.parametrize("labels", [np.zeros(5), np.ones(5), np.zeros(0)])
def test_labels_all_alike_change_nothing(labels: np.ndarray) -> None:
    assert fit_calibration(np.arange(len(labels)) * 1.0, labels) == (1.0, 0.0)


def test_few_labels_do_not_run_away() -> None:
    slope, offset = fit_calibration(np.array([-1.0, 1.0]), np.array([0, 1]))
    assert 0 < slope < 10
    assert abs(offset) < 10
