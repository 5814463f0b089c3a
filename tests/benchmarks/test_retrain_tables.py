"""What the retraining benchmark writes of its slices and kills."""

from benchmarks.retrain.kills import kills_markdown
from benchmarks.retrain.replay import replay_markdown


def test_a_slice_tells_the_decision_and_the_requests() -> None:
    judged = {
        "start": "warm",
        "slice": 1,
        "verdict": "published",
        "candidate": {"mean": 0.2},
        "champion": {"mean": 0.15},
        "difference": {"mean": 0.05, "low": -0.01, "high": 0.11},
        "seconds": 61.6,
        "steps": {"train": 30.2, "evaluate": 9.9, "publish": 20.0},
        "requests": 1234,
        "failed": 2,
    }
    refused = {**judged, "slice": 2, "verdict": "refused", "steps": {}}
    refused |= dict.fromkeys(("candidate", "champion", "difference"))
    lines = replay_markdown([judged, refused]).splitlines()
    assert lines[2] == (
        "| warm | 1 | published | 0.200 | 0.150 | +0.050 [-0.010, +0.110] "
        "| 62 (30, 10, 20) | 1,234 | 2 |"
    )
    assert lines[3].startswith("| warm | 2 | refused |  |  |")


def test_a_kill_tells_whether_anything_was_left() -> None:
    row = {"step": "gate", "ms": 12.5, "hash": "ab", "undisturbed": "ab"}
    row |= {"equal": True, "half_written": [], "killed": True}
    worse = {**row, "hash": "cd", "equal": False, "half_written": ["models/ranking/1"]}
    late = {**row, "killed": False}
    lines = kills_markdown([late, row, worse], 7).splitlines()
    assert lines[-3:] == [
        "| gate | 12.5 | ab | ab | yes, it had ended | nothing |",
        "| gate | 12.5 | ab | ab | yes | nothing |",
        "| gate | 12.5 | cd | ab | **no** | models/ranking/1 |",
    ]
