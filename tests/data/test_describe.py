"""The description: its numbers, its warnings, and a page that stands alone."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from data import profile
from data.__main__ import main
from data.describe import describe
from data.events import TEST, TRAIN, VALIDATION, EventLog, count_before, row_starts
from data.fetch import cache as fetch_module
from data.pages import charts
from data.pages.description import write_description
from data.prepared import Prepared
from tests.pages import check_alone, check_tags

DataSet = Any  # The class in conftest, which test modules cannot import.
NASTY = "<script>alert(1)</script>"


def log_of(time: list[int], label: list[float], part: list[int]) -> EventLog:
    size = len(time)
    user = np.ones(size, np.int32)
    times = np.array(time, np.int64)
    labels = np.array(label, np.float32)
    return EventLog(
        user=user,
        item=np.arange(1, size + 1, dtype=np.int32),
        time=times,
        label=labels,
        positive=labels >= 4,
        weight=np.ones(size, np.float32),
        part=np.array(part, np.uint8),
        before=count_before(user, times),
        start=row_starts(user, 1),
    )


@pytest.mark.parametrize(
    ("last_s", "width", "bins"),
    [
        (60, "minute", 2),
        (3_600 * 24, "ten minutes", 145),
        (86_400 * 100, "day", 101),
        (86_400 * 365 * 20, "quarter", 81),
    ],
)
@pytest.mark.parametrize("block", [2, 1 << 20])
def test_history_picks_readable_bins(
    monkeypatch: pytest.MonkeyPatch, last_s: int, width: str, bins: int, block: int
) -> None:
    monkeypatch.setattr(profile, "BLOCK_EVENTS", block)
    times = [0, 0, last_s // 2, last_s]
    found = profile.history(log_of(times, [1.0] * 4, [0, 0, 1, 3]))
    assert (found.width, len(found.edges) - 1) == (width, bins)
    assert {part: counts.sum() for part, counts in found.counts.items()} == {
        **{TRAIN: 2, VALIDATION: 1},
        3: 1,
    }
    assert found.counts[TRAIN][0] == 2
    assert found.counts[3][-1] == 1


def test_history_before_1970() -> None:
    found = profile.history(log_of([-100, -41], [1.0, 1.0], [0, 0]))
    assert found.edges.tolist() == [-120, -60, 0]
    assert found.counts[TRAIN].tolist() == [1, 1]


@pytest.mark.parametrize("block", [2, 1 << 20])
def test_few_labels_are_counted_each(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(profile, "BLOCK_EVENTS", block)
    log = log_of([1] * 6, [4.5, np.nan, 1.0, 4.5, 2.0, np.nan], [0] * 6)
    found = profile.labels(log)
    assert found is not None
    assert found.values is not None
    assert found.values.tolist() == [1.0, 2.0, 4.5]
    assert found.counts.tolist() == [1, 1, 2]
    assert found.positive.tolist() == [0, 0, 2]
    assert found.missing == 2


def test_many_labels_come_in_bins() -> None:
    values = [float(v) for v in range(100)]
    found = profile.labels(log_of([1] * 100, values, [0] * 100))
    assert found is not None
    assert found.values is None
    assert found.counts.sum() == 100
    assert found.other.sum() == 4


def test_no_label_at_all() -> None:
    assert profile.labels(log_of([1, 2], [np.nan, np.nan], [0, 0])) is None


def test_what_the_head_takes() -> None:
    shares = profile.head_shares(np.array([1, 6, 0, 3]))
    assert shares.tolist() == [0, 0.6, 0.9, 1, 1]
    assert profile.head_shares(np.zeros(2, int)).tolist() == [0, 0, 0]


def test_cold_users_and_items(prepared: Prepared) -> None:
    found = profile.cold(prepared)
    log = prepared.events
    known = np.unique(log.item[log.part == TRAIN])
    own = log.item[log.part == TEST]
    is_known = np.isin(np.unique(own), known)
    assert found[TEST].items == pytest.approx(1 - is_known.mean())
    assert found[TEST].events == pytest.approx(1 - np.isin(own, known).mean())
    assert found[TEST].users > 0
    assert found[VALIDATION].items == 0


def test_missing_values(prepared: Prepared) -> None:
    shares = profile.missing(prepared)
    assert shares["item genres"] == 0.25
    assert shares["context device"] == 0
    assert shares["item text"] == 0


def write(prepared: Prepared, folder: Path, **more: Any) -> str:
    path = folder / "new" / "description.html"
    write_description(str(path), prepared, describe(prepared), **more)
    return path.read_text(encoding="utf-8")


def test_the_page_stands_alone(prepared: Prepared, tmp_path: Path) -> None:
    page = write(prepared, tmp_path, title=NASTY, notes=[f"a stand-in {NASTY}"])
    check_alone(page)
    check_tags(page)
    assert "&lt;script&gt;" in page
    assert len(re.findall("<svg", page)) == 8
    assert "mathdefault" not in page
    for words in ("7,230 events of 240 users", "test asks about", "prefers-color-sch"):
        assert words in page


def test_the_same_data_give_the_same_bytes(prepared: Prepared, tmp_path: Path) -> None:
    assert write(prepared, tmp_path, title="x") == write(prepared, tmp_path, title="x")


BARE = """\
[data.interactions]
path = "interactions.csv"
[data.interactions.columns]
user = { role = "user_id" }
item = { role = "item_id" }
[data.split]
kind = "leave_one_out"
"""


def test_ids_are_enough(data_set: DataSet, tmp_path: Path) -> None:
    data_set.toml.write_text(BARE)
    prepared = data_set.prepare()
    found = describe(prepared)
    rows = {section.title: dict(section.rows) for section in found.sections}
    assert rows["Time (UTC)"]["order"].startswith("no time column")
    assert rows["Labels"]["label"] == "no column has that role"
    assert rows["Texts"]["columns"].startswith("none")
    assert rows["Features"] == {"": "none"}
    page = write(prepared, tmp_path, title="bare")
    check_tags(page)
    assert "9 events of 3 users with 3 items.</h1>" in page
    assert len(re.findall("<svg", page)) == 4


def test_a_part_that_begins_at_no_time(
    data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = data_set.prepare("data.split.kind=leave_one_out")
    assert prepared.cut(TEST) is None
    split = next(s for s in describe(prepared).sections if s.title == "Split")
    assert "from" not in dict(split.rows)["test"]


def test_what_is_known_of_held_out_users_is_a_part_too(data_set: DataSet) -> None:
    prepared = data_set.prepare()
    part = prepared.events.part.copy()
    part[:2] = 3
    vars(prepared)["events"] = prepared.events.replace(part=part)
    split = next(s for s in describe(prepared).sections if s.title == "Split")
    assert dict(split.rows)["fold-in"] == "2 events (22.2%)"


def test_the_cuts_of_a_rolling_split(data_set: DataSet) -> None:
    prepared = data_set.prepare()
    folds = [[100, 110, 120], [110, 120, None]]
    prepared.manifest["split"]["folds"] = folds
    split = next(s for s in describe(prepared).sections if s.title == "Split")
    said = dict(split.rows)["cut 1 of 2"]
    assert said == (
        "validation from 1970-01-01 00:01:40, test from 1970-01-01 00:01:50"
    )


def test_cuts_without_times_are_rows(data_set: DataSet) -> None:
    data_set.edit_toml('time = { role = "time" }\n', "")
    prepared = data_set.prepare()
    split = next(s for s in describe(prepared).sections if s.title == "Split")
    assert dict(split.rows)["test"].endswith("from row 8")


def test_what_to_look_at(data_set: DataSet) -> None:
    data_set.write("items.csv", "item,title,genres,year\na,Alpha,x,\nb,Beta,,\n")
    data_set.write_events(
        *(("u1", "a", 5, 100), ("u1", "b", 5, 100), ("u1", "zz", 5, 100)),
        *(("u2", "a", 5, 150), ("u2", "b", 5, 150), ("u2", "c", 5, 150)),
        *(("u3", "c", 5, 180), ("u3", "c", 5, 190), ("u3", "d", 5, 190)),
    )
    said = "\n".join(describe(data_set.prepare()).warnings)
    for words in (
        *("found 'zz', expected an item of items.csv", "test asks about 0 users"),
        *("56% of events have the time", "100.00% of events are positives"),
        *("item year is missing for 100%", "of items without a training event"),
    ):
        assert words in said


def test_good_data_need_no_warning(prepared: Prepared) -> None:
    assert all("asks about" in warning for warning in describe(prepared).warnings)


@pytest.mark.parametrize("values", [[1], [3, 3, 3], [1, 2, 1_000_000], [7, 9]])
def test_any_counts_can_be_drawn(values: list[int]) -> None:
    counts = np.array([*values, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawings = [
            charts.spread(counts, what="users", unit="events", name="a"),
            charts.long_tail(counts, name="b"),
            charts.by_rank(counts, name="c"),
        ]
    assert all(drawing.startswith("<svg") for drawing in drawings)


@pytest.mark.parametrize("last_s", [0, 59, 86_400 * 2, 86_400 * 1_000, 3_000_000_000])
def test_any_span_can_be_drawn(last_s: int) -> None:
    found = profile.history(log_of([0, last_s], [1.0, 1.0], [0, 2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "events a " in charts.over_time(found, name="t")


@pytest.mark.parametrize("label", [[1.0], [0.0, 0.001], list(np.linspace(-1, 1, 50))])
def test_any_labels_can_be_drawn(label: list[float]) -> None:
    found = profile.labels(log_of([1] * len(label), label, [0] * len(label)))
    assert found is not None
    assert charts.labels(found, name="l").startswith("<svg")


def test_describe_writes_beside_the_data(
    data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data_set.folder)
    result = CliRunner().invoke(main, ["describe", str(data_set.toml)])
    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()[-1]
    assert last == "artifacts/my/description.html"
    assert "Warning: test asks about" in result.stdout
    check_tags(Path(last).read_text(encoding="utf-8"))


def test_describe_writes_where_it_is_told(data_set: DataSet) -> None:
    arguments = ["describe", str(data_set.toml), "--out", str(data_set.out)]
    for _ in range(2):  # A page in the folder does not make it another's.
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    assert (data_set.out / "description.html").exists()


def test_a_stand_in_is_told_on_the_page(tmp_path: Path) -> None:
    place = tmp_path / "goodbooks-10k"
    place.mkdir()
    record = {"stand_in": "a tenth", "source": "/x", "files": {}}
    record["files"] = {"interactions.csv": {"rows": 1_000}}
    fetch_module.files.write_json(place / fetch_module.SOURCE, record)
    [note] = fetch_module.notes_on("goodbooks-10k", tmp_path)
    assert "Goodbooks-10k: a stand-in from /x: a tenth (1,000 interactions)" in note
    assert fetch_module.notes_on("ml-1m", tmp_path) == []
    assert fetch_module.notes_on(None) == []
