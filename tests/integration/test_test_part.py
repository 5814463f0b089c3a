"""Nothing is learned or chosen from the test part: noise there changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.planted import write_planted

OVERRIDES = [
    'text.preset=""',
    "retrieval.dim=16",
    "retrieval.history_length=12",
    "retrieval.blocks=1",
    "retrieval.epochs=2",
    "ranking.dim=8",
    "ranking.epochs=1",
    "ranking.candidates=40",
]

pytestmark = pytest.mark.slow


def fitted(toml: Path, out: Path) -> tuple[Any, Any]:
    from trainer.config import read_experiment
    from trainer.experiment import Experiment

    config = read_experiment(toml, OVERRIDES)
    experiment = Experiment(config=config, path=toml, out=str(out))
    return experiment, experiment.fitted


def with_noise(folder: Path, cut: int) -> int:
    """Shuffle items and labels of the test part; users and times stay."""
    place = folder / "interactions.csv"
    frame = pd.read_csv(place, dtype=str, keep_default_na=False)
    test = frame["timestamp"].astype(float) >= cut
    rng = np.random.default_rng(0)
    for column in ("item_id", "rating"):
        frame.loc[test, column] = rng.permutation(frame.loc[test, column].to_numpy())
    frame.to_csv(place, index=False, lineterminator="\n")
    return int(test.sum())


def assert_same_weights(one: Any, other: Any) -> None:
    assert len(one.variables) == len(other.variables) > 10
    for mine, theirs in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.name)


def test_noise_in_the_test_part_changes_no_model(tmp_path: Path) -> None:
    planted = write_planted(tmp_path / "data", num_users=80)
    before, first = fitted(planted.toml, tmp_path / "first")
    changed = with_noise(tmp_path / "data", before.prepared.cut(2))
    assert changed > 30
    after, second = fitted(planted.toml, tmp_path / "second")
    assert before.prepared.fingerprint != after.prepared.fingerprint
    for part in ("retrieval", "early", "ranking"):
        assert_same_weights(getattr(first, part).model, getattr(second, part).model)
    assert first.calibration == second.calibration
    for stage in ("retrieval", "ranking"):
        assert first.facts[stage]["best_epoch"] == second.facts[stage]["best_epoch"]
        assert first.facts[stage]["curve"] == second.facts[stage]["curve"]
    boosts = [f.facts["retrieval"]["trend_boosts_tried"] for f in (first, second)]
    assert boosts[0] == boosts[1]
