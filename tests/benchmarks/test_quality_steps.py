"""What the quality benchmark compares settings by."""

import numpy as np
import pytest

from benchmarks.quality.protocols import COMPARED, thinned, untested
from benchmarks.quality.steps import CONFIGS, STEPS
from data.errors import ConfigError
from data.schema import Split
from data.split import Fold, plan
from tests.trainer.small_data import make_log
from trainer.config import read_experiment


def folds_of(step: str, time: np.ndarray) -> tuple[Fold, ...]:
    settings = STEPS[step]
    config = read_experiment(CONFIGS / settings.toml, settings.overrides)
    split: Split = config.data.split
    return plan(split, lambda: [time], *[np.ones(3, int)] * 2).folds


def test_settings_are_compared_on_nothing_that_is_tested() -> None:
    time = np.sort(np.random.default_rng(3).integers(0, 10**6, 20_000))
    tested = folds_of("rolling-1m", time)
    compared = untested(list(folds_of("validation-1m", time)))
    assert len(compared) == COMPARED
    assert max(fold.test for fold in compared) == min(fold.test for fold in tested)


def test_too_few_cuts_to_compare_by_are_refused() -> None:
    with pytest.raises(ConfigError, match="found 6, expected at least 7"):
        untested(list(range(6)))
    assert untested(list(range(7))) == [0, 1, 2]


def test_a_month_is_thinned_and_no_other_time() -> None:
    time = np.arange(200)
    log = make_log(np.repeat([1, 2], 100), np.ones(200, int), time, np.ones(200))
    found = thinned(log, start=50, end=150, number=30, seed=0)
    inside = (found.time >= 50) & (found.time < 150)
    assert inside.sum() == 30
    assert found.time[~inside].tolist() == [*range(50), *range(150, 200)]
    assert len(thinned(log, start=50, end=150, number=100, seed=0)) == 200
