"""The job in a folder on an object store, with stand-ins for the models."""

import sys
from pathlib import Path

import pytest

from benchmarks.retrain.slices import Sliced
from benchmarks.retrain.tiny import tiny
from data import files, locks
from tests.integration.support import run_trainer
from tests.trainer.object_store import ObjectStore
from tests.trainer.retraining import fit, stand_ins
from trainer.export.publish import SERVABLES, versions

OUT = "gs://bucket/out"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    made = ObjectStore()
    for name, module in stand_ins().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("trainer.experiment.Experiment.fitted", property(fit))
    monkeypatch.setattr(files, "_gfile", lambda: made)
    monkeypatch.setattr(locks.RemoteLock, "settle_s", 0.0)
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Sliced:
    return tiny(tmp_path_factory.mktemp("tiny"), slices=1)


def published() -> list[int]:
    found = [versions(f"{OUT}/models", name) for name in SERVABLES]
    assert found[0] == found[1] == found[2]
    return found[0]


@pytest.mark.usefixtures("store")
def test_the_last_weeks_are_replayed_beside_what_serves(
    data: Sliced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = ("retrain", data.toml, "--out", OUT)
    assert run_trainer(*job, "--new", data.slices[0]) == 0
    (old,) = published()
    weeks = ("--set", "retrain.replay_weeks=0.1")
    assert run_trainer(*job, "--replay", *weeks) == 0
    assert published()[0] == old
    assert len(published()) == 2
    assert list(tmp_path.iterdir()) == []  # No folder named "gs:" here.


@pytest.mark.usefixtures("store")
def test_an_experiment_beside_its_tables_in_a_bucket(
    data: Sliced, capsys: pytest.CaptureFixture[str]
) -> None:
    place = "gs://bucket/in"
    files.upload_folder(str(data.toml.parent), place, last=data.toml.name)
    out = ("--out", OUT, "--new", data.slices[0])
    assert run_trainer("retrain", f"{place}/{data.toml.name}", *out) == 0
    assert len(published()) == 1
    assert run_trainer("retrain", f"{place}/absent.toml", *out) == 2
    assert f"{place}/absent.toml: no such file" in capsys.readouterr().err
