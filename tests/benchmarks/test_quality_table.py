"""The table of results: seeds pooled, the strongest rival named, ablations signed."""

from pathlib import Path
from typing import Any

from click.testing import CliRunner

from benchmarks.quality.__main__ import main
from benchmarks.quality.protocols import QUIET_MONTH
from benchmarks.quality.table import ablations, differences, grouped, levels, tried

LEAVE_ONE_OUT, ROLLING = "leave-one-out", "rolling-1m"


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}


def record(step: str, seed: int, **models: float) -> dict[str, Any]:
    metrics = {
        name: {"ndcg@10": interval(value), "recall@100": interval(value)}
        for name, value in models.items()
    }
    return {"step": step, "name": "", "seed": seed, "wall_s": 90, "models": metrics}


def compared(model: str, baseline: str, mean: float) -> dict[str, Any]:
    names = {"metric": "ndcg@10", "model": model, "baseline": baseline}
    return {**names, **interval(mean)}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_one_run_shows_its_interval_and_several_their_range() -> None:
    one = grouped([record(LEAVE_ONE_OUT, 1, retrieval=0.2)])
    assert cells(list(levels(one))[2])[2:4] == ["1", "0.2000 [0.1900, 0.2100]"]
    runs = [record(LEAVE_ONE_OUT, seed, retrieval=0.1 * seed) for seed in (1, 2, 3)]
    again = record(LEAVE_ONE_OUT, 3, retrieval=0.6)  # The newest of a seed counts.
    row = cells(list(levels(grouped([*runs, again])))[2])
    assert row[1:4] == ["retrieval", "3", "0.3000 (0.1000 to 0.6000)"]
    assert row[-1] == "2"


def test_runs_of_other_settings_are_no_seeds_of_one() -> None:
    runs = [record(LEAVE_ONE_OUT, seed, retrieval=0.1 * seed) for seed in (1, 2, 3)]
    for run, dim in zip(runs, (32, 64, 64), strict=True):
        run["settings"] = {"retrieval": {"dim": dim}, "train": {"seed": run["seed"]}}
    runs[2]["settings"]["retrieval"]["horizon"] = 0  # A setting of later.
    row = cells(list(levels(grouped(runs)))[2])
    assert row[2:4] == ["2", "0.2500 (0.2000 to 0.3000)"]
    runs[1]["data"] = {"fingerprint": "of before", "events": 100}
    runs[2]["data"] = {"fingerprint": "other", "events": 100}
    assert cells(list(levels(grouped(runs)))[2])[2] == "2"
    runs[1]["data"]["events"] = 99
    assert cells(list(levels(grouped(runs)))[2])[2] == "1"


def test_other_settings_want_a_name(tmp_path: Path) -> None:
    asked = ["click", "--set", "retrieval.dim=8", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert "Add --name" in done.output
    assert not (tmp_path / "out").exists()


def test_published_figures_stand_below_ours() -> None:
    lines = list(levels(grouped([record(LEAVE_ONE_OUT, 1, retrieval=0.2)])))
    assert "0.1772" in lines[3]
    assert "eSASRec" in lines[3]


def test_retrieval_is_told_from_its_strongest_rival_alone() -> None:
    run = record(ROLLING, 1, retrieval=0.3, two_stage=0.4, ease=0.2, ials=0.25)
    run["baselines"] = ["ease", "ials"]
    run["comparisons"] = [
        compared("retrieval", "ease", 0.1),
        compared("retrieval", "ials", 0.05),
        compared("two_stage", "ials", 0.15),
        compared("two_stage", "retrieval", 0.1),
    ]
    found = [cells(line)[2:7] for line in list(differences(grouped([run])))[2:]]
    assert found == [
        ["retrieval", "ials", "ndcg@10", "+0.0500 [+0.0400, +0.0600]", "+20.0%"],
        ["two_stage", "retrieval", "ndcg@10", "+0.1000 [+0.0900, +0.1100]", "+33.3%"],
    ]


def test_a_part_is_shown_with_what_it_is_worth() -> None:
    run = record("ablation-retrieval", 7, whole=0.3)
    difference = interval(-0.02)
    run["ablations"] = [
        {
            "part": "text",
            "whole": "whole",
            "without": "blind",
            "differences": {"ndcg@10": difference, "recall@100": difference},
        }
    ]
    groups = grouped([run])
    row = cells(list(ablations(groups))[2])
    assert row[:4] == ["text", "whole", "blind", "-0.0200 [-0.0300, -0.0100]"]
    assert row[-1].endswith("seed 7")
    assert len(list(levels(groups))) == 2


def test_what_validation_was_asked_is_no_result() -> None:
    run = record("validation-1m", 1, retrieval=0.2)
    run |= {"name": "in_batch", "part": "validation", "counts": {"queries": 1234}}
    groups = grouped([run])
    assert len(list(levels(groups))) == len(list(differences(groups))) == 2
    row = cells(list(tried(groups))[2])
    assert row[1:4] == ["in_batch", "1", "1,234"]
    assert row[4] == "0.2000 [0.1900, 0.2100]"
    assert row[6] == ""  # Of before months were thinned.


def test_a_quiet_month_has_a_column_of_its_own() -> None:
    run = record("validation-1m", 1, **{"retrieval": 0.2, QUIET_MONTH: 0.1})
    run |= {"part": "validation", "counts": {"queries": 1234}}
    head, _, shown = tried(grouped([run]))
    assert cells(head)[6] == f"ndcg@10 {QUIET_MONTH}"
    assert cells(shown)[4] == "0.2000 [0.1900, 0.2100]"
    assert cells(shown)[6] == "0.1000 [0.0900, 0.1100]"
