"""Runs compared from disk: the same numbers, the same users, or an error."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from data import files
from data.errors import DataError
from data.events import TEST
from data.planted import write_planted
from tests.pages import check_alone, check_tags
from tests.trainer.small_data import SmallData, TableScorer, random_data
from trainer.__main__ import main
from trainer.evaluation.bootstrap import paired_difference
from trainer.evaluation.comparison import compare, read_run
from trainer.evaluation.evaluate import evaluate, pooled
from trainer.evaluation.metrics import accuracy
from trainer.evaluation.per_query import FILE, read_per_query, write_per_query
from trainer.evaluation.ranks import Ranks
from trainer.evaluation.results import Evaluation
from trainer.report.comparison_page import compare_runs


def measured(data: SmallData, seed: int, **changed: Any) -> Evaluation:
    rng = np.random.default_rng(seed)
    scorers = {
        "retrieval": TableScorer(rng.random(31)),
        "two_stage": TableScorer(rng.random(31)),
        "popularity": TableScorer(-np.arange(31.0)),
    }
    return evaluate(data, TEST, scorers, **changed)


def store(out: Path, found: Evaluation, fingerprint: str = "abc") -> Path:
    """Write what an evaluation leaves in its folder."""
    run = out / "runs" / "evaluation-1"
    run.mkdir(parents=True)
    write_per_query(str(run), found)
    facts = {
        "run": "evaluation-1",
        "data": {"fingerprint": fingerprint, "split": {"kind": "temporal"}},
        "per_query": FILE,
        "evaluation": found.to_json(),
    }
    files.write_json(run / "metrics.json", facts)
    files.write_json(out / "report.json", {"about": {"run": "evaluation-1"}})
    return out


@pytest.fixture(scope="module")
def data() -> SmallData:
    # Some items are met in the test part alone.
    data = random_data()
    log = data.events
    cold = (log.item > 24) & (log.part != TEST)
    return SmallData(log.replace(item=np.where(cold, 1, log.item)), 30, data.servable)


@pytest.fixture(scope="module")
def folders(data: SmallData, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.mktemp("runs")
    return [store(base / name, measured(data, seed)) for seed, name in enumerate("abc")]


def test_ranks_come_back_as_they_were(data: SmallData, tmp_path: Path) -> None:
    found = measured(data, 0)
    write_per_query(str(tmp_path), found)
    again = read_per_query(str(tmp_path))
    assert len(again["cold"].asked) == len(found.apart) > 0
    assert again["warm"].asked.users.tolist() == found.asked.users.tolist()
    for name, model in found.models.items():
        metrics = accuracy(again["warm"].ranks[name], found.ks)
        for metric, values in metrics.items():
            np.testing.assert_array_equal(values, model.per_query[metric])
        assert again["cold"].ranks[name].rank.tolist() == model.apart.rank.tolist()


def test_a_comparison_says_what_the_reports_say(
    data: SmallData, folders: list[Path]
) -> None:
    found = compare([read_run(str(folder)) for folder in folders], seed=0)
    names = [f"{f}/{m}" for f in "abc" for m in ("retrieval", "two_stage")]
    assert list(found.models) == [*names, "popularity"]
    assert found.baselines == ("popularity",)
    a, b = measured(data, 0), measured(data, 1)
    own = found.models["a/retrieval"]
    assert own["warm"]["ndcg@10"] == a.models["retrieval"].intervals["ndcg@10"]
    apart = a.models["retrieval"].apart_intervals
    assert own["cold"]["recall@50"] == apart["recall@50"]
    pair = found.pair("ndcg@10", "a/two_stage", "b/two_stage")
    assert pair is not None
    expected = paired_difference(
        a.models["two_stage"].per_query["ndcg@10"],
        b.models["two_stage"].per_query["ndcg@10"],
        a.asked.users,
        seed=0,
    )
    assert pair.difference.mean == pytest.approx(expected.mean)
    assert pair.difference.low == pytest.approx(expected.low)
    turned = found.pair("ndcg@10", "b/two_stage", "a/two_stage")
    assert turned is not None
    assert turned.difference.low == pytest.approx(-expected.high)
    assert found.pair("ndcg@10", "popularity", "popularity") is None


def test_a_user_of_several_folds_is_one_cluster(
    data: SmallData, tmp_path: Path
) -> None:
    twice = pooled([measured(data, 0), measured(data, 0)])
    once = measured(data, 0)
    store(tmp_path / "twice", twice)
    found = compare([read_run(str(tmp_path / "twice"))], seed=0)
    assert found.asked["warm"].folds.tolist() == [0] * len(once.asked) + [1] * len(
        once.asked
    )
    for whole in (
        twice.models["retrieval"].intervals,
        found.rows("warm")["twice/retrieval"],
    ):
        # Twice the queries of the same users tell no more than once.
        expected = once.models["retrieval"].intervals["ndcg@10"]
        assert whole["ndcg@10"].low == pytest.approx(expected.low)
        assert whole["ndcg@10"].high == pytest.approx(expected.high)


def test_the_page_and_the_json(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [read_run(str(folder)) for folder in folders]
    compare_runs(str(tmp_path), runs, seed=0)
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    check_alone(page)
    check_tags(page)
    assert "Cold items in the first 50" in page
    found = json.loads((tmp_path / "comparison.json").read_text())
    interval = found["models"]["b/two_stage"]["cold_items"]["recall@50"]
    assert interval["low"] <= interval["mean"] <= interval["high"]
    assert found["models"]["popularity"]["is_baseline"]
    assert len(found["comparisons"]) == 2 * 7 * 6
    out = capsys.readouterr().out
    assert "c/retrieval" in out
    assert "cold items alone" in out
    assert max(map(len, out.splitlines())) <= 140
    table = [line for line in out.splitlines() if line and line[0] in "┏┃┡│└"]
    assert max(map(len, table)) <= 100


def test_a_baseline_that_differs_stands_twice(data: SmallData, tmp_path: Path) -> None:
    other = evaluate(data, TEST, {"popularity": TableScorer(np.arange(31.0))})
    folders = [store(tmp_path / "a", measured(data, 0)), store(tmp_path / "b", other)]
    found = compare([read_run(str(folder)) for folder in folders])
    assert found.baselines == ("popularity", "b/popularity")


def test_a_single_run_and_the_same_folder_twice(folders: list[Path]) -> None:
    run = folders[0] / "runs" / "evaluation-1"
    found = compare([read_run(str(folders[0])), read_run(str(folders[0]))])
    assert len(found.models) == 5
    same = [
        pair.difference
        for pair in found.pairs
        if pair.model != pair.baseline
        and Path(pair.model).name == Path(pair.baseline).name
    ]
    assert len(same) >= 4
    assert all((d.mean, d.low, d.high) == (0, 0, 0) for d in same)
    assert read_run(str(run)).facts["run"] == "evaluation-1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "xyz"}, r"data xyz \(split temporal\), expected abc"),
        ({"part": "validation"}, "validation part of data abc, expected the test"),
        ({"other": True}, r"queries of data abc differ from the \d+ of"),
    ],
)
def test_what_is_not_alike_is_not_compared(
    data: SmallData,
    folders: list[Path],
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
) -> None:
    there = random_data(seed=5) if "other" in change else data
    store(tmp_path / "x", measured(there, 0), change.get("fingerprint", "abc"))
    if "part" in change:
        place = tmp_path / "x" / "runs" / "evaluation-1" / "metrics.json"
        facts = files.read_json(place)
        facts["evaluation"]["part"] = change["part"]
        files.write_json(place, facts)
    with pytest.raises(DataError, match=message):
        compare([read_run(str(folders[0])), read_run(str(tmp_path / "x"))])


def test_folders_without_a_run_are_told(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no evaluated run, expected a folder with"):
        read_run(str(tmp_path))
    old = store(tmp_path / "old", measured(random_data(), 0))
    place = old / "runs" / "evaluation-1" / "metrics.json"
    files.write_json(place, {"run": "evaluation-1"})
    with pytest.raises(DataError, match="evaluated by an older version"):
        read_run(str(old))


def test_the_door_tells_both_fingerprints_before_any_work(
    data: SmallData, tmp_path: Path
) -> None:
    planted = write_planted(tmp_path / "planted", extra_toml='[text]\npreset = ""\n')
    store(tmp_path / "other", measured(data, 0), "0123456789abcdef")
    out = tmp_path / "out"
    words = ["evaluate", planted.toml, "--out", out, "--against", tmp_path / "other"]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 2
    fingerprint = files.read_json(out / "data" / "manifest.json")["fingerprint"]
    assert "0123456789abcdef" in done.stderr
    assert fingerprint in done.stderr
    assert not (out / "runs").exists()
    words[-1] = tmp_path / "nothing"
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 2
    assert "no evaluated run" in done.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.ks=[5,9000]", r"9000 is above the \d+ items that can be served"),
        ('evaluation.baselines=["eas"]', "unknown baseline 'eas'. Did you mean 'ease'"),
        ("data.split.test=0.0001", "test: no user with an earlier event and a new"),
    ],
)
def test_mistakes_are_told_before_any_fit(
    tmp_path: Path, override: str, message: str
) -> None:
    planted = write_planted(tmp_path / "planted", extra_toml='[text]\npreset = ""\n')
    words = ["evaluate", planted.toml, "--out", tmp_path / "out", "--set", override]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 2
    assert re.search(message, done.stderr)
    assert not (tmp_path / "out" / "runs").exists()


@given(st.lists(st.lists(st.integers(1, 30), unique=True, max_size=5), max_size=6))
def test_ranks_are_read_by_query(lists: list[list[int]]) -> None:
    flat = np.array([r for one in lists for r in sorted(one)], np.int64)
    whole = Ranks.of(flat, np.array([len(one) for one in lists], np.int64))
    parts = [
        Ranks.of(np.sort(np.array(o, np.int64)), np.array([len(o)])) for o in lists
    ]
    joined = Ranks.joined(parts)
    for name in ("query", "rank", "place", "num_relevant"):
        a, b = getattr(whole, name), getattr(joined, name)
        np.testing.assert_array_equal(a, b)
