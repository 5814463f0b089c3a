"""New rows join a data set whole, once, and whatever file they came in."""

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from data.__main__ import main
from data.errors import ConfigError, DataError, SchemaDrift
from data.ingest import current, set_current
from data.locks import LOCK, OWNER, locked
from data.prepare import prepare
from tests.data.growing import Growing, events_of, rows_of

BASE = [
    *(("u1", "a", "5", "100"), ("u2", "a", "4", "110"), ("u3", "b", "2", "120")),
    *(("u1", "b", "3", "130"), ("u2", "c", "5", "140"), ("u3", "c", "4", "150")),
]
NEW = [
    *(("u1", "c", "4", "160"), ("u2", "b", "1", "170"), ("u3", "a", "5", "180")),
    ("u4", "d", "3", "190"),
]
NAMES = ["user", "item", "rating", "time"]


@pytest.fixture
def growing(data_set: Any) -> Growing:
    """Return an experiment with six events."""
    one = Growing(data_set.toml)
    one.write("interactions.csv", _frame(BASE))
    return one


def _frame(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=NAMES)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_new_events_come_after_those_that_stood(growing: Growing) -> None:
    result = growing.ingest(growing.write("new.csv", _frame(NEW)))
    assert result.status == "written"
    found = events_of(result.folder).itertuples(index=False, name=None)
    assert list(found) == BASE + NEW
    counts = result.counts
    assert (counts["former"], counts["new"], counts["duplicates"]) == (6, 4, 0)
    assert (counts["new_users"], counts["new_items"]) == (1, 1)
    assert result.manifest["time"] == {"first": 100, "last": 190}
    assert current(growing.dataset) == result.fingerprint


def test_the_new_folder_prepares_as_the_whole_tables_would(growing: Growing) -> None:
    result = growing.ingest(growing.write("new.csv", _frame(NEW)))
    toml = Path(str(result.toml))
    grown = Growing(toml)
    found = prepare(grown.config(), toml, str(growing.folder / "grown"))
    growing.write("interactions.csv", _frame(BASE + NEW))
    whole = prepare(growing.config(), growing.toml, str(growing.folder / "whole"))
    assert found.manifest["counts"] == whole.manifest["counts"]
    assert found.events.item.tolist() == whole.events.item.tolist()
    assert found.events.time.tolist() == whole.events.time.tolist()
    assert found.items.equals(whole.items)


@pytest.mark.parametrize("name", ["n.csv", "n.tsv", "n.jsonl", "n.parquet"])
def test_any_format_brings_the_same_events(growing: Growing, name: str) -> None:
    frame = _frame(NEW).astype({"rating": float, "time": int})
    result = growing.ingest(growing.write(name, frame))
    again = growing.ingest(growing.write("text.csv", _frame(NEW)))
    assert (result.counts["new"], again.status) == (4, "nothing")
    assert again.counts["duplicates"] == 4


def test_a_compressed_file_is_read(growing: Growing) -> None:
    packed = growing.folder / "new.csv.gz"
    packed.write_bytes(gzip.compress(_frame(NEW).to_csv(index=False).encode()))
    assert growing.ingest(packed).counts["new"] == 4


def test_the_same_inputs_are_the_same_folder(growing: Growing) -> None:
    new = growing.write("new.csv", _frame(NEW))
    first = growing.ingest(new, parent=None)
    before = {p: p.stat().st_mtime_ns for p in Path(growing.dataset).rglob("*")}
    shutil.move(growing.dataset + "/current.json", growing.folder / "aside.json")
    again = growing.ingest(new)
    assert (again.status, again.folder) == ("standing", first.folder)
    after = {p: p.stat().st_mtime_ns for p in before if p.exists()}
    folder = Path(str(first.folder))
    assert {p: t for p, t in before.items() if folder in p.parents} == {
        p: t for p, t in after.items() if folder in p.parents
    }


def test_what_was_ingested_is_no_new_data(growing: Growing) -> None:
    new = growing.write("new.csv", _frame(NEW))
    first = growing.ingest(new)
    before = sorted(Path(growing.dataset).rglob("*"))
    again = growing.ingest(new)
    assert (again.status, again.is_new, again.folder) == (
        "nothing",
        False,
        first.folder,
    )
    other = growing.ingest(growing.write("part.jsonl", _frame(NEW[:2])))
    assert (other.status, other.counts["duplicates"]) == ("nothing", 2)
    assert sorted(Path(growing.dataset).rglob("*")) == before
    ran = _run("ingest", growing.toml, "--dataset", growing.dataset, "--new", new)
    assert (ran.exit_code, "No new data" in ran.stdout) == (0, True)


def test_nothing_new_for_the_first_leaves_no_folder(growing: Growing) -> None:
    result = growing.ingest(growing.write("new.csv", _frame(BASE[:3])))
    assert (result.status, result.folder) == ("nothing", None)
    assert not [p for p in Path(growing.dataset).rglob("*") if p.is_file()]


@pytest.mark.parametrize("name", ["new.csv", "new.csv.gz", "new.jsonl", "new.parquet"])
@pytest.mark.parametrize("has_header", [True, False])
def test_a_file_without_rows_is_no_new_data(
    growing: Growing, name: str, has_header: bool
) -> None:
    """A day without events comes as a header alone, or as no byte at all."""
    path = Path(growing.write(name, _frame([])))
    if not has_header:
        path.write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"")
    assert growing.ingest(path).status == "nothing"
    ran = _run("ingest", growing.toml, "--dataset", growing.dataset, "--new", path)
    assert (ran.exit_code, "there is no row in what was named" in ran.stdout) == (
        0,
        True,
    )
    beside = growing.ingest(path, growing.write("more.csv", _frame(NEW)))
    assert beside.counts["new"] == len(NEW)


def test_no_rows_of_items_leave_them_as_they_are(growing: Growing) -> None:
    empty = growing.write(
        "none.csv", pd.DataFrame(columns=["item", "title", "genres", "year"])
    )
    new = growing.write("new.csv", _frame(NEW))
    result = growing.ingest(new, new_items=[empty])
    assert result.counts["items_rows"] == 0
    assert rows_of(result.folder, "items") == rows_of(str(growing.toml), "items")


def test_late_events_are_kept_and_counted(growing: Growing) -> None:
    late = [("u1", "d", "4", "50"), ("u2", "d", "4", "149"), ("u3", "d", "4", "150")]
    result = growing.ingest(growing.write("new.csv", _frame(late)))
    assert (result.counts["new"], result.counts["late"]) == (3, 2)
    assert result.manifest["late"]["most_s"] == 100
    assert result.manifest["time"] == {"first": 50, "last": 150}


def test_an_event_told_otherwise_is_kept_and_counted(growing: Growing) -> None:
    other = [("u1", "a", "3", "100"), ("u1", "a", "5.0", "100.0")]
    result = growing.ingest(growing.write("new.csv", _frame(other)))
    counts = result.counts
    assert (counts["new"], counts["duplicates"], counts["conflicts"]) == (1, 1, 1)
    assert ("u1", "a", "3", "100") in rows_of(result.folder)


def test_bad_rows_are_left_out_and_shown(growing: Growing) -> None:
    many = [(f"u{n % 7}", "a", "4", str(200 + n)) for n in range(300)]
    many[40] = ("", "a", "4", "240")
    many[41] = ("u1", "a", "good", "241")
    result = growing.ingest(growing.write("new.csv", _frame(many)))
    assert (result.counts["refused"], result.counts["new"]) == (2, 298)
    said = [found["said"] for found in result.manifest["findings"]]
    assert any("nothing in row 41 " in one for one in said)
    assert any("'good' in row 42 " in one for one in said)


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("user", lambda u: u.replace("u", "user_"), "'user_1' in rows 1"),
        ("item", lambda _: "550e8400-e29b-41d4-a716-446655440000", "'550e8400-"),
        ("item", lambda _: "", "found nothing in rows 1"),
        ("time", lambda t: str(1_700_000_000_000 + int(t)), "these look like ms"),
        ("time", lambda _: "2024-05-01", "'2024-05-01' in rows 1"),
        ("rating", lambda r: str(20 * int(r)), "one of the former labels 2, 3, 4, 5"),
    ],
)
def test_drift_of_a_column_is_refused(
    growing: Growing, column: str, change: object, said: str
) -> None:
    frame = _frame(NEW)
    frame[column] = frame[column].map(change)  # type: ignore[arg-type]
    new = growing.write("new.csv", frame)
    with pytest.raises(SchemaDrift) as caught:
        growing.ingest(new)
    reason = caught.value.reason
    assert reason.startswith(f"{new}, column '{column}': found ")
    assert said in reason
    assert "expected" in reason
    assert not [p for p in Path(growing.dataset).rglob("*") if p.is_file()]


def test_a_missing_column_is_refused_and_an_unknown_one_told(growing: Growing) -> None:
    frame = _frame(NEW).rename(columns={"rating": "stars"})
    new = growing.write("new.jsonl", frame)
    ran = _run("ingest", growing.toml, "--dataset", growing.dataset, "--new", new)
    assert ran.exit_code == 3
    assert "found no column 'rating'" in ran.stderr
    assert "found a column 'stars'" in ran.stderr


def test_an_unknown_column_alone_is_a_warning(growing: Growing) -> None:
    frame = _frame(NEW[:1]).assign(device="tv")
    result = growing.ingest(growing.write("new.csv", frame))
    assert [f["severity"] for f in result.manifest["findings"]] == ["warn"]
    assert list(events_of(result.folder)) == NAMES


def test_rows_of_items_are_added_and_replaced(growing: Growing) -> None:
    rows = [("d", "Delta", "x", "2001"), ("a", "Alpha 2", "x|y", "1990")]
    frame = pd.DataFrame(rows, columns=["item", "title", "genres", "year"])
    result = growing.ingest(new_items=[growing.write("items2.csv", frame)])
    assert (result.counts["items_new"], result.counts["items_changed"]) == (1, 1)
    assert [row[:2] for row in rows_of(result.folder, "items")] == [
        *(("a", "Alpha 2"), ("b", "Beta"), ("c", "Gamma"), ("d", "Delta")),
    ]
    again = growing.ingest(new_items=[growing.write("items3.jsonl", frame)])
    assert again.status == "nothing"


def test_a_parent_can_be_named_and_the_current_one_left(growing: Growing) -> None:
    first = growing.ingest(growing.write("one.csv", _frame(NEW[:2])))
    second = growing.ingest(growing.write("two.csv", _frame(NEW[2:])), move=False)
    assert second.manifest["parent"] == first.fingerprint == current(growing.dataset)
    third = growing.ingest("one.csv", "two.csv", parent=first.fingerprint)
    assert rows_of(third.folder) == rows_of(second.folder)
    set_current(growing.dataset, str(first.fingerprint))
    assert current(growing.dataset) == first.fingerprint
    with pytest.raises(DataError, match="no such file, expected a state of"):
        growing.ingest("two.csv", parent="0123456789abcdef")


def test_settings_come_along(growing: Growing) -> None:
    growing.toml.write_text(
        growing.toml.read_text() + "[ranking]\ndropout = 0.2\n", encoding="utf-8"
    )
    new = growing.write("new.csv", _frame(NEW))
    overrides = ("data.split.kind=leave_one_out", "ranking.dropout=0.3")
    result = growing.ingest(new, overrides=overrides)
    text = Path(str(result.toml)).read_text(encoding="utf-8")
    assert Growing(Path(str(result.toml))).config().split.kind == "leave_one_out"
    assert "dropout = 0.3" in text


def test_tables_that_nothing_describes_are_refused(growing: Growing) -> None:
    text = growing.toml.read_text().partition("[data.items]")
    rest = text[2].partition("[data.users]")
    growing.toml.write_text(text[0] + rest[1] + rest[2])
    new = growing.write("items2.csv", pd.DataFrame({"item": ["d"]}))
    with pytest.raises(ConfigError, match=r"no \[data.items\] describes them"):
        growing.ingest(new_items=[new])


def test_a_failure_leaves_no_trace(
    growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = growing.ingest(growing.write("one.csv", _frame(NEW[:2])))
    before = sorted(Path(growing.dataset).rglob("*"))
    new = growing.write("two.csv", _frame(NEW[2:]))

    def fail(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("data.ingest.job.experiment_text", fail)
        with pytest.raises(KeyboardInterrupt):
            growing.ingest(new)
    assert sorted(Path(growing.dataset).rglob("*")) == before
    assert current(growing.dataset) == first.fingerprint
    assert growing.ingest(new).counts["new"] == 2


def test_a_foreign_current_file_is_said(growing: Growing) -> None:
    place = Path(growing.dataset)
    place.mkdir()
    (place / "current.json").write_text(json.dumps(["x"]))
    with pytest.raises(DataError, match=r"current.json: expected the fingerprint"):
        growing.ingest(growing.write("new.csv", _frame(NEW)))


def test_what_a_killed_run_left_is_swept_in_time(growing: Growing) -> None:
    old, young = (Path(growing.dataset, f".{n}.0.tmp") for n in ("old", "young"))
    for left in (old, young):
        (left / "keys").mkdir(parents=True)
    os.utime(old, (0, 0))
    growing.ingest(growing.write("new.csv", _frame(NEW)))
    assert (old.exists(), young.exists()) == (False, True)


def test_two_at_once_do_not_grow_the_same_state(growing: Growing) -> None:
    new = growing.write("new.csv", _frame(NEW))
    words = ("ingest", growing.toml, "--new", new, "--dataset", growing.dataset)
    with locked(growing.dataset):
        result = _run(*words)
    assert result.exit_code == 4
    assert f"{growing.dataset}: process {os.getpid()} on" in result.stderr
    assert "another folder (--dataset)" in result.stderr
    assert os.listdir(growing.dataset) == [LOCK]
    assert _run(*words).exit_code == 0
    assert len(events_of(growing.dataset)) == len(BASE + NEW)
    assert not Path(growing.dataset, OWNER).exists()


@pytest.mark.parametrize("below", ["", "/sets"])
def test_a_file_is_no_data_set(growing: Growing, below: str) -> None:
    new = growing.write("new.csv", _frame(NEW))
    dataset = f"{growing.toml}{below}"
    result = _run("ingest", growing.toml, "--new", new, "--dataset", dataset)
    assert result.exit_code == 2
    assert f"{growing.toml}: found a file, expected a folder." in result.stderr


def test_a_file_is_no_place_for_a_validation(growing: Growing) -> None:
    growing.ingest(growing.write("new.csv", _frame(NEW)))
    words = ("--dataset", growing.dataset, "--out", growing.toml)
    result = _run("validate", growing.toml, *words)
    assert result.exit_code == 2
    assert f"{growing.toml}: found a file, expected a folder." in result.stderr
