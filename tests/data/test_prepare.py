"""Preparing is repeatable, whole or not at all, and keeps what the tables say."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import files
from data import prepare as prepare_module
from data.errors import ConfigError, DataError
from data.events import TEST, TRAIN, VALIDATION
from data.prepare import entities, shards
from data.prepared import MANIFEST, Prepared

DataSet = Any  # The class in conftest, which test modules cannot import.


def _state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_tables_come_back_as_rows(data_set: DataSet) -> None:
    prepared = data_set.prepare()
    assert prepared.item_ids.tolist() == ["", "a", "b", "c"]
    assert prepared.user_ids.tolist() == ["", "u1", "u2", "u3"]
    log = prepared.events
    assert log.user.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert log.item.tolist() == [1, 2, 3, 1, 3, 2, 2, 3, 1]
    assert log.time.tolist() == [100, 130, 160, 110, 140, 170, 120, 150, 180]
    assert log.label.tolist() == [5, 3, 4, 4, 5, 1, 2, 4, 5]
    assert log.positive.tolist() == [label >= 4 for label in log.label]
    assert log.before.tolist() == [0, 1, 2] * 3
    assert prepared.cut(VALIDATION) == 150
    assert prepared.cut(TEST) == 170
    assert log.part.tolist() == [0, 0, 1, 0, 0, 2, 0, 1, 2]
    assert prepared.texts.tolist() == ["", "Alpha", "Beta", "Gamma"]
    assert prepared.servable.tolist() == [False, True, True, True]
    assert prepared.item_features["genres"].tolist() == [[0, 0], [1, 2], [2, 0], [0, 0]]
    year = prepared.item_features["year"]
    np.testing.assert_allclose(year, [[0, 0], [-1, 1], [0, 0], [1, 1]])
    assert prepared.user_features["country"].tolist() == [0, 2, 0, 1]
    assert prepared.end_time == 181


def test_optional_roles(data_set: DataSet) -> None:
    rows = [(*e, "0.5", "", "web") for e in [("u1", "a", 1), ("u2", "b", 2)]]
    rows += [("u1", "b", 3, "", "yes", "app"), ("u1", "c", 4, "", "0", "")]
    header = "user,item,time,weight,shown,place"
    data_set.write_events(*rows, header=header)
    data_set.write("items.csv", "item,title,genres,year,open\na,,,,No\nb,,,,1\n")
    data_set.edit_toml('rating = { role = "label" }', 'weight = { role = "weight" }')
    data_set.edit_toml(
        'time = { role = "time" }',
        'time = { role = "time" }\nshown = { role = "impression" }\n'
        'place = { role = "context", kind = "categorical" }',
    )
    data_set.edit_toml('positive = ">= 4"', "")
    data_set.edit_toml("year = { kind", 'open = { role = "available" }\nyear = { kind')
    prepared = data_set.prepare("data.split.validation=0.4")
    log = prepared.events
    assert log.weight.tolist() == [0.5, 1.0, 0.5]
    assert log.positive.all()
    assert np.isnan(log.label).all()
    assert prepared.features.context[0].vocabulary == ("web",)
    assert log.context["place"].tolist() == [1, 0, 1]
    assert prepared.servable.tolist() == [False, False, True, False]
    shown = {name: column.tolist() for name, column in prepared.impressions.items()}
    assert shown == {"user": [1], "item": [2], "time": [3]}


def test_without_times_the_order_of_rows_counts(data_set: DataSet) -> None:
    data_set.edit_toml('time = { role = "time" }', "")
    prepared = data_set.prepare("data.split.kind=leave_one_out")
    assert prepared.events.item.tolist() == [1, 2, 3, 1, 3, 2, 2, 3, 1]
    assert prepared.cut(TEST) is None


def test_ties_in_time_are_broken_by_the_files_order(data_set: DataSet) -> None:
    events = [("u1", item, 1 + n % 5, 100) for n, item in enumerate("cabacbabc")]
    other = ("u2", "a", 4, 98)
    data_set.write_events(("u1", "a", 4, 101), *events, ("u1", "b", 4, 99), other)
    prepared = data_set.prepare("data.split.kind=leave_one_out")
    log = prepared.events
    assert "".join(prepared.item_ids[log.item]) == "bcabacbabca" + "a"
    assert log.part.tolist() == [TRAIN] * 9 + [VALIDATION, TEST, TRAIN]
    # The order decides what is earlier, not the time alone.
    assert log.before.tolist() == [*range(11), 0]


def test_ties_in_time_may_be_broken_by_the_items_rows(data_set: DataSet) -> None:
    events = [("u1", item, 5, 100) for item in "cab"]
    data_set.write_events(*events, ("u1", "b", 4, 99), ("u2", "a", 4, 98))
    orders = {}
    for ties in ("file", "item"):
        prepared = data_set.prepare(
            "data.split.kind=leave_one_out", f"data.split.ties={ties}"
        )
        log = prepared.events
        orders[ties] = "".join(prepared.item_ids[log.item[log.user == log.user[0]]])
        # The last of the tie is what is asked for, so it is not the same item.
        assert log.part.tolist() == [TRAIN, TRAIN, VALIDATION, TEST, TRAIN]
    assert orders == {"file": "bcab", "item": "babc"}


def test_events_names_make_positives(data_set: DataSet) -> None:
    data_set.edit_toml('role = "label"', 'role = "event"')
    data_set.edit_toml('">= 4"', '["5", "4"]')
    assert data_set.prepare().events.positive.sum() == 6


def test_the_same_inputs_are_not_prepared_twice(data_set: DataSet) -> None:
    first = data_set.prepare()
    before = _state(data_set.out)
    assert data_set.prepare().fingerprint == first.fingerprint
    assert _state(data_set.out) == before
    again = data_set.out.with_name("again")
    twin = prepare_module.prepare(data_set.config(), data_set.toml, str(again))
    assert twin.fingerprint == first.fingerprint
    for name, (_, content) in _state(again).items():
        assert name == MANIFEST or content == before[name][1]


def test_other_tables_or_settings_are_prepared_anew(data_set: DataSet) -> None:
    prints = {data_set.prepare().fingerprint}
    data_set.write("users.csv", (data_set.folder / "users.csv").read_text() + "u4,\n")
    prints.add(data_set.prepare().fingerprint)
    assert data_set.prepare().num_users == 4
    prints.add(data_set.prepare("data.split.test=0.3").fingerprint)
    assert len(prints) == 3


@pytest.mark.parametrize("standing", [True, False])
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("written", [0, 2])
def test_a_failure_midway_changes_nothing(
    data_set: DataSet,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
    standing: bool,
    written: int,
) -> None:
    if standing:
        data_set.prepare()
        data_set.write_events(*[(f"u{t % 2}", "ab"[t % 2], 5, t) for t in range(20)])
    before = _state(data_set.folder)
    write, calls = shards.write_table, []

    def fail(path: str, table: Any) -> None:
        calls.append(path)
        if len(calls) > written:
            Path(path).write_bytes(b"half")
            raise kind(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, table)

    monkeypatch.setattr(shards, "write_table", fail)
    monkeypatch.setattr(entities, "write_table", fail)
    with pytest.raises(kind) as caught:
        data_set.prepare()
    assert _state(data_set.folder) == before
    assert data_set.out.exists() == standing
    if isinstance(caught.value, OSError):
        assert caught.value.filename == str(data_set.out)


@pytest.mark.parametrize("content", ["{}", "[1]", "no JSON", None])
def test_a_folder_of_other_files_is_not_replaced(
    data_set: DataSet, content: str | None
) -> None:
    data_set.out.mkdir()
    (data_set.out / "thesis.txt").write_text("precious")
    if content is not None:
        (data_set.out / MANIFEST).write_text(content)
    with pytest.raises(DataError, match="Name another folder"):
        data_set.prepare()
    assert (data_set.out / "thesis.txt").read_text() == "precious"


def test_a_file_is_no_place_for_a_folder(data_set: DataSet) -> None:
    data_set.out.write_text("precious")
    with pytest.raises(DataError, match="Name another folder"):
        data_set.prepare()
    assert data_set.out.read_text() == "precious"


def test_only_prepared_folders_are_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no manifest.json, expected a prepared data"):
        Prepared.load(str(tmp_path))
    files.write_json(tmp_path / MANIFEST, {"format": 99})
    with pytest.raises(DataError, match=r"format 99, expected 2. It was written by"):
        Prepared.load(str(tmp_path))


def test_the_manifest_holds_the_configuration(data_set: DataSet) -> None:
    prepared = data_set.prepare()
    assert prepared.config == data_set.config()


def test_object_stores_hold_prepared_data(data_set: DataSet) -> None:
    tf = pytest.importorskip("tensorflow")
    for path in data_set.folder.glob("*.csv"):
        tf.io.gfile.copy(str(path), f"ram://raw/{path.name}", overwrite=True)
        data_set.edit_toml(f'"{path.name}"', f'"ram://raw/{path.name}"')
    config = data_set.config()
    remote = prepare_module.prepare(config, data_set.toml, "ram://out/data")
    local = data_set.prepare()
    assert remote.fingerprint == local.fingerprint
    np.testing.assert_array_equal(remote.events.item, local.events.item)
    np.testing.assert_array_equal(remote.texts, local.texts)


def test_what_a_filter_leaves_out_is_said(
    data_set: DataSet, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = "data.filter.positives_only=true"
    report = data_set.check(wanted)
    (line,) = report.left_out()
    dropped = report.filtered["not positive"]
    assert f"leaves out {dropped} of 9 rows" in line
    assert line.endswith("%: not positive.")
    prepared = data_set.prepare(wanted)
    assert line in capsys.readouterr().out
    assert prepared.manifest["counts"]["filtered"] == {"not positive": dropped}
    assert len(prepared.events) == 9 - dropped


def test_a_filter_that_leaves_nothing_fails_the_check(data_set: DataSet) -> None:
    with pytest.raises(DataError, match=r"no event is left.* leaves out 9 of 9 rows"):
        data_set.check("data.filter.min_user_events=50")


def test_impressions_of_several_shards_are_those_of_one(
    data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = (data_set.folder / "interactions.csv").read_text().splitlines()[1:] * 3
    rows = [(event, place % 4 == 0) for place, event in enumerate(events)]
    data_set.write_events(*rows, header="user,item,rating,time,shown")
    data_set.edit_toml(
        'time = { role = "time" }',
        'time = { role = "time" }\nshown = { role = "impression" }',
    )
    whole = data_set.prepare().impressions
    data_set.out = data_set.folder / "parted"
    monkeypatch.setattr(shards, "SHARD_EVENTS", 2)
    parted = data_set.prepare()
    assert len(parted.shards("impressions")) > 1
    for name, column in parted.impressions.items():
        np.testing.assert_array_equal(column, whole[name])


def test_a_filter_compares_labels(data_set: DataSet) -> None:
    prepared = data_set.prepare("data.filter.label='!= 4'")
    labels = prepared.events.label
    assert len(labels) == 6
    assert (labels != 4).all()
    assert prepared.manifest["counts"]["filtered"] == {"label not != 4": 3}
    with pytest.raises(ConfigError, match=r"label is 'about 3', expected a comparison"):
        data_set.prepare("data.filter.label='about 3'")


def test_what_is_asked_at_random_comes_last(data_set: DataSet) -> None:
    events = (data_set.folder / "interactions.csv").read_text().splitlines()[1:] * 8
    data_set.write_events(*((event,) for event in events))
    prepared = data_set.prepare("data.split.kind=random", "data.split.seed=1")
    log = prepared.events
    assert set(log.part.tolist()) == {TRAIN, VALIDATION, TEST}
    for user in (1, 2, 3):
        own = slice(log.start[user], log.start[user + 1])
        assert (np.diff(log.part[own].astype(int)) >= 0).all()
        assert (np.diff(log.time[own]) >= 0).all()
