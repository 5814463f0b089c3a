"""What a fit of a chosen length shares with the one that chose it."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import ConfigError
from data.planted import Planted
from data.prepared import Prepared
from tests.trainer.small_data import DAY, make_log
from trainer.config import read_experiment
from trainer.experiment import Experiment
from trainer.fitting.fitter import Fitter
from trainer.fitting.loop import Fit
from trainer.stages.before import check_evaluation

SMALL = (
    *("text.preset=", "retrieval.dim=8", "retrieval.block=mean"),
    *("retrieval.history_length=10", "retrieval.batch_size=16"),
    *("retrieval.use_trend=false", "retrieval.epochs=3"),
)


def fit(
    planted: Planted, prepared: Prepared, out: Path, epochs: int | None, *more: str
) -> Fit:
    config = read_experiment(planted.toml, (*SMALL, *more))
    stage = {"folder": str(out / "checkpoints"), "logs": str(out / "logs")}
    fitter = Fitter(prepared, config, str(out))
    return fitter.retrieval(prepared.training(), stage, "Training", epochs=epochs)[1]


@pytest.mark.slow
def test_a_refit_goes_down_the_curve_that_was_measured(
    planted: Planted, prepared: Prepared, tmp_path: Path
) -> None:
    """Of fewer epochs it would else end at a rate that the measured one never had."""
    falling = "retrieval.decay=true"
    chosen = fit(planted, prepared, tmp_path / "chosen", None, falling)
    refit = fit(planted, prepared, tmp_path / "refit", 1, falling)
    level = fit(planted, prepared, tmp_path / "level", 1)
    assert refit.curve[0]["loss"] == chosen.curve[0]["loss"]
    assert level.curve[0]["loss"] != chosen.curve[0]["loss"]


@pytest.mark.parametrize(("window", "first"), [(0.3, 1), (0.05, 2)])
def test_something_comes_before_the_examples(
    planted: Planted, window: float, first: int
) -> None:
    """Also where most events are of one time, as a former system left them."""
    config = read_experiment(planted.toml, [f"ranking.window={window}"])
    experiment = Experiment(config=config, path=planted.toml, out="")
    time = np.r_[np.zeros(90), np.full(5, DAY), np.full(5, 2 * DAY)]
    log = make_log(*np.ones((2, 100), int), time, np.ones(100))
    assert experiment.cut(log) == first * DAY
    of_one_time = log.replace(time=np.zeros(100, np.int64))
    assert experiment.cut(of_one_time) == 0


def test_lists_by_a_label_want_labels(planted: Planted, prepared: Prepared) -> None:
    config = read_experiment(planted.toml, ["ranking.order_by=rating"])
    experiment = Experiment(config=config, path=planted.toml, out="")
    experiment.__dict__["prepared"] = prepared
    check_evaluation(experiment)
    events = prepared.events
    none = events.replace(label=np.full(len(events), np.nan, np.float32))
    unlabelled = Prepared(prepared.folder, prepared.manifest)
    unlabelled.__dict__["events"] = none
    experiment.__dict__["prepared"] = unlabelled
    with pytest.raises(ConfigError, match="no training event has a number"):
        check_evaluation(experiment)
