"""What is said where labels are used and a version has none."""

from pathlib import Path

import pytest

from trainer.config import ExperimentConfig, RetrainConfig
from trainer.experiment import Experiment, export
from trainer.export.labels import tell_unserved, write_labels


def test_whoever_publishes_past_the_labels_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = object.__new__(ExperimentConfig)
    object.__setattr__(config, "retrain", RetrainConfig())
    experiment = Experiment(config=config, path=tmp_path, out=str(tmp_path))
    monkeypatch.setattr("trainer.stages.refit_and_export", lambda _: 7)
    assert export(experiment) == 7
    assert capsys.readouterr().out == ""  # Without labels servers take the newest.
    write_labels(experiment.models, {"stable": 5, "canary": 6})
    assert export(experiment) == 7
    told = " ".join(capsys.readouterr().out.split())
    assert "canary is 6, stable is 5, so that no server takes version 7" in told
    assert "python -m trainer rollback --models" in told
    assert "--to 7 --keep-data --server HOST:PORT" in told
    tell_unserved(experiment.models, 6)
    assert capsys.readouterr().out == ""
