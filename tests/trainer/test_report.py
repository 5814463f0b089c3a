"""The report: complete, self-contained, safe with any title, readable on a terminal."""

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape

from data.events import TEST
from tests.pages import check_alone, check_tags, parse
from tests.trainer.small_data import TableScorer, random_data
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.results import Evaluation
from trainer.report.report import ExampleUser, print_table, write_report

NASTY = '<script>alert("x")</script> & $a_b$'
CURVES = {
    "retrieval": [
        {"epoch": e, "loss": 2.0 / e, "val_ndcg@10": 0.1 * e} for e in range(1, 5)
    ]
}


@pytest.fixture(scope="module")
def found() -> Evaluation:
    data = random_data()
    rng = np.random.default_rng(0)
    scorers = {
        "retrieval": TableScorer(rng.random(31)),
        NASTY: TableScorer(np.zeros(31)),
        "popularity": TableScorer(-np.arange(31.0)),
        "item_knn": TableScorer(np.arange(31.0)),
    }
    vectors = rng.random((31, 4))
    skipped = {"ease": "9,999 items need <9> GiB"}
    return evaluate(data, TEST, scorers, item_vectors=vectors, skipped=skipped)


def example(**changed: Any) -> ExampleUser:
    values: dict[str, Any] = {
        "user": "u1",
        "history": [f"old {i}" for i in range(7)],
        "recommended": [(NASTY, 0.75), ("A Hit", 0.5)],
        "next": ["Missed", "A Hit", *[f"later {i}" for i in range(12)]],
    }
    return ExampleUser(**{**values, **changed})


@pytest.fixture(scope="module")
def folder(found: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    about = {
        "data set": NASTY,
        "events": 1_200,
        "Versions": {"numpy": np.__version__, "ks": [5, 10]},
    }
    write_report(str(out), found, curves=CURVES, examples=[example()], about=about)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_asks_nothing_of_the_network(page: str) -> None:
    check_alone(page)


def test_tags_close_and_ids_are_unique(page: str) -> None:
    check_tags(page)


def test_titles_and_names_are_escaped(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(" in page
    assert "need &lt;9&gt; GiB" in page


def test_drawings_take_the_colours_of_the_page(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 6
    for drawing in drawings:
        assert "var(--" in drawing
        assert "#0" not in drawing.replace("url(#", "").replace('href="#', "")
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert 'name="viewport"' in page


def test_the_headline_is_what_is_served_against_the_strongest_baseline(
    page: str, found: Evaluation
) -> None:
    heading = re.search(r"<h1>(.*?)</h1>", page, flags=re.DOTALL)
    assert heading
    text = html.unescape(heading.group(1)).replace("\u00a0", " ")
    strongest = max(
        ("popularity", "item_knn"),
        key=lambda name: found.models[name].intervals["ndcg@10"].mean,
    )
    (said,) = (
        c.sentence
        for c in found.comparisons
        if (c.metric, c.model, c.baseline) == ("ndcg@10", NASTY, strongest)
    )
    assert text == f"{said}."


def test_every_baseline_that_wins_is_named(page: str, found: Evaluation) -> None:
    behind = [c for c in found.comparisons if c.difference.sign < 0]
    assert behind, "a constant must lose to any order"
    head = page.split("</header>")[0].replace("\u00a0", " ")
    for one in behind:
        assert f"{escape(one.sentence)}." in head


def test_hits_are_marked_and_long_lists_cut(page: str) -> None:
    assert '<li class="hit"><b>A Hit</b><span>0.5</span></li>' in page
    assert "1 hit<" in page
    assert "and 4 more" in page
    assert "old 2 · old 3" in page
    assert "old 1" not in page


def test_json_holds_all_that_the_page_says(folder: Path, found: Evaluation) -> None:
    text = (folder / "report.json").read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    report = json.loads(text, parse_constant=refuse)
    assert report["models"]["retrieval"]["metrics"]["ndcg@10"].keys() == {
        "mean",
        "low",
        "high",
    }
    assert NASTY in report["headline"][0]
    assert report["curves"] == CURVES
    assert report["examples"][0]["recommended"][0] == [NASTY, 0.75]
    assert report["about"]["events"] == 1_200
    assert len(report["comparisons"]) == len(found.comparisons)


def test_a_report_needs_no_baseline_no_curve_and_no_example(tmp_path: Path) -> None:
    found = evaluate(random_data(), TEST, {"only": TableScorer(np.arange(31.0))})
    write_report(str(tmp_path), found, curves={}, examples=[], about={})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert parse(page).open == []
    assert "only has the highest NDCG@10" in page


def test_the_same_evaluation_gives_the_same_bytes(
    found: Evaluation, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        write_report(str(tmp_path / name), found, curves=CURVES, examples=[], about={})
    for name in ("report.html", "report.json"):
        first, second = ((tmp_path / f / name).read_bytes() for f in ("a", "b"))
        assert first == second


def test_the_table_fits_100_columns(
    found: Evaluation,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    print_table(found)
    out = capsys.readouterr().out
    table = [line for line in out.splitlines() if line and line[0] in "┏┃┡│└"]
    assert table
    assert max(map(len, table)) <= 100
    mean = found.models["retrieval"].intervals["ndcg@10"].mean
    assert f"{mean:.3f} [" in out
    assert "ease was left out: 9,999 items" in out
