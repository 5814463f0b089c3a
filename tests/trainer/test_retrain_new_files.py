"""What is named as new interactions is looked at before a job begins."""

from pathlib import Path

import pytest

from data.errors import DataError
from data.planted import Planted
from trainer.config import read_experiment
from trainer.retrain.job import begin
from trainer.retrain.request import Request


@pytest.mark.parametrize(
    ("named", "told"), [("nothere.csv", "no such file"), ("", "found a folder")]
)
def test_no_job_begins_without_its_files(
    planted: Planted, tmp_path: Path, named: str, told: str
) -> None:
    request = Request(
        config=read_experiment(planted.toml),
        toml=planted.toml,
        out=str(tmp_path / "out"),
        new=(str(tmp_path / named),),
    )
    with pytest.raises(DataError, match=told):
        begin(request)
    assert not (tmp_path / "out").exists()
