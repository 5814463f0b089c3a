"""How the retraining benchmark sets warm starts beside fits from scratch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.retrain import starts
from trainer.evaluation.comparison import EvaluatedRun
from trainer.evaluation.per_query import PerQuery
from trainer.evaluation.ranks import Ranks
from trainer.evaluation.results import Asked

USERS = np.arange(40, dtype=np.int32)
ONE = np.ones(40, np.int64)


def _run(rank: int, data: str = "data") -> EvaluatedRun:
    """Return a run whose users all found their one item at a rank."""
    asked = Asked(users=USERS, folds=np.zeros(40, np.int32), num_relevant=ONE)
    ranks = Ranks.of(np.full(40, rank), ONE)
    answers = PerQuery(asked=asked, ranks={starts.MODEL: ranks})
    facts = {"data": {"fingerprint": data}, "evaluation": {"headline_items": "warm"}}
    return EvaluatedRun(folder="", facts=facts, answers={"warm": answers})


def _row(number: int, run: str, seconds: float) -> dict[str, Any]:
    return {"slice": number, "run": run, "steps": {"train": seconds}}


def test_slices_of_equal_data_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {
        "s1": _run(3),
        "w1": _run(1),
        "s2": _run(1),
        "w2": _run(3),
        "s3": _run(1),
        "w3": _run(1, "other data, since a slice was refused"),
    }
    monkeypatch.setattr(starts, "read_run", runs.__getitem__)
    rows = {
        starts.SCRATCH: [_row(i, f"s{i}", 100.0) for i in (1, 2, 3)],
        starts.WARM: [_row(i, f"w{i}", 25.0) for i in (1, 2, 3)],
    }
    rows[starts.SCRATCH].append(_row(4, "", 0.0))  # Refused before it was fitted.
    rows[starts.WARM].append(_row(4, "w1", 0.0))
    one, two, both = starts.compare_starts(rows, 0)
    assert (one["slice"], two["slice"], both["slice"]) == (1, 2, starts.ALL)
    assert one["metric"] == pytest.approx([0.5, 1.0])  # 1 / log2(1 + rank).
    assert one["difference"]["mean"] == pytest.approx(0.5)
    assert two["difference"]["mean"] == pytest.approx(-0.5)
    assert both["seconds"] == [200.0, 50.0]
    assert both["users"] == 80
    # A user of both slices is drawn in each: else every draw would come to nought.
    gain = both["difference"]
    assert gain["mean"] == pytest.approx(0.0)
    assert gain["low"] < -0.05 < 0.05 < gain["high"]
    lines = starts.starts_markdown([one, both]).splitlines()
    assert lines[2] == "| 1 | 100 | 25 | 4.0 | 0.500 | 1.000 | +0.5000 [+0.5000, " + (
        "+0.5000] | 40 |"
    )


def test_a_job_without_a_fit_names_no_run(tmp_path: Path) -> None:
    job = tmp_path / "retrain" / "jobs" / "a"
    job.mkdir(parents=True)
    assert starts.evaluated(tmp_path, job) == ""
    (job / "train").mkdir()
    (job / "train" / "manifest.json").write_text('{"runs": {"evaluation": "e-1"}}')
    assert starts.evaluated(tmp_path, job) == str(tmp_path / "runs" / "e-1")
