"""The retraining job with its models: killed in each step, and as a pipeline."""

from pathlib import Path

import pytest

from benchmarks.retrain.jobs import jobs, outputs, run
from benchmarks.retrain.kills import kill_table
from benchmarks.retrain.replay import replay
from benchmarks.retrain.starts import SCRATCH, WARM
from benchmarks.retrain.tiny import tiny
from tests.trainer.local_pipeline import local_runner
from trainer.jobs.config import PipelineConfig
from trainer.jobs.pipeline import make_pipeline
from trainer.retrain.steps import NAMES

SEED = 20_261

pytestmark = [pytest.mark.replicas, pytest.mark.xdist_group("retrain")]


def test_a_killed_job_makes_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    rows = kill_table(tmp_path / "work", kills=1, long_kills=1, seed=SEED)
    assert [row["step"] for row in rows] == list(NAMES)
    for row in rows:
        told = f"seed {SEED}: {row}"
        assert row["killed"], told
        assert row["status"] == 0, told
        assert row["equal"], told
        assert not row["half_written"], told


@pytest.mark.parametrize("start", [SCRATCH, WARM])
def test_slices_are_taken_over_under_load(tmp_path: Path, start: str) -> None:
    """What `make bench-retrain` does with MovieLens-100K, on planted data."""
    data = tiny(tmp_path / "data", slices=2)
    rows = replay(data, tmp_path / "out", (), start=start, rate=20.0)
    assert [row["verdict"] for row in rows] == ["published", "published"]
    for row in rows:
        assert row["served"][str(row["version"])] == "AVAILABLE"
        assert row["requests"] > 20
        assert row["failed"] == 0
        assert Path(row["run"], "metrics.json").exists()
    assert len({row["version"] for row in rows}) == 2


@pytest.mark.filterwarnings("ignore:You may be attemping:RuntimeWarning")
def test_the_pipeline_publishes_what_the_job_does(tmp_path: Path) -> None:
    """All steps as kfp runs them here, beside `python -m trainer retrain`."""
    data = tiny(tmp_path / "data")
    alone, piped = tmp_path / "alone", tmp_path / "piped"
    done = run(
        *("retrain", data.toml, "--out", alone, "--new", data.slices[0]), within_s=600
    )
    assert done.status == 0, done.said
    with local_runner(tmp_path / "kfp"):
        pipeline = make_pipeline(PipelineConfig(), toml=str(data.toml), out=str(piped))
        pipeline(new=[str(data.slices[0])])
    ours, theirs = (outputs(jobs(out)[-1]) for out in (alone, piped))
    assert list(theirs) == sorted(NAMES)
    assert theirs == ours
