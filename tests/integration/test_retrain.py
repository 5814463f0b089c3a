"""The retraining job with its models, killed with SIGKILL once in each of its steps."""

from pathlib import Path

import pytest

from benchmarks.retrain.kills import kill_table
from trainer.retrain.steps import NAMES

SEED = 20_261

pytestmark = [pytest.mark.replicas, pytest.mark.xdist_group("retrain")]


def test_a_killed_job_makes_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    rows = kill_table(tmp_path / "work", kills=1, long_kills=1, seed=SEED)
    assert [row["step"] for row in rows] == list(NAMES)
    assert any(row["killed"] for row in rows)
    for row in rows:
        told = f"seed {SEED}: {row}"
        assert row["status"] == 0, told
        assert row["equal"], told
        assert not row["half_written"], told
