"""Catalogues that change after preparation: rows stay, cells are coded as fitted."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.changes import (
    Change,
    Changes,
    check_known,
    read_ids,
    read_items,
    with_changes,
)
from data.errors import DataError
from data.planted import Planted, write_planted
from data.prepare import prepare
from data.prepared import Prepared
from data.schema import data_config
from data.settings import read_toml

Write = Callable[..., str]
NEW = {
    "item_id": "brand new",
    "title": "Pipa Duso",
    "blurb": "fada",
    "genres": "noir|western|drama",
    "year": "1985",
    "available": "yes",
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file and tells its path."""

    def write_file(content: str | pd.DataFrame, name: str = "items.csv") -> str:
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif name.endswith(".parquet"):
            content.to_parquet(path)
        elif name.endswith(".jsonl"):
            content.to_json(path, orient="records", lines=True)
        else:
            content.to_csv(path, index=False)
        return str(path)

    return write_file


def adding(
    prepared: Prepared, rows: list[dict[str, str | None]], before: Changes | None = None
) -> Changes:
    """Add rows as if a file had held them."""
    frame = pd.DataFrame(rows).set_index("item_id").astype(object)
    frame = frame.where(frame.notna(), None)
    return (before or Changes()).adding(frame, prepared, "new.csv")


def row_of(prepared: Prepared, item_id: str) -> int:
    return list(prepared.item_ids).index(item_id)


def some_item(prepared: Prepared, n: int = 3) -> str:
    return str(prepared.item_ids[prepared.servable][n])


def test_a_new_item_follows_all_others(prepared: Prepared) -> None:
    after = with_changes(prepared, adding(prepared, [NEW]))
    assert after.num_items == prepared.num_items + 1 == len(after.item_ids) - 1
    for name in ("item_ids", "servable", "texts", "titles"):
        np.testing.assert_array_equal(
            getattr(after, name)[:-1], getattr(prepared, name)
        )
    for name, codes in prepared.item_features.items():
        assert after.item_features[name].dtype == codes.dtype
        np.testing.assert_array_equal(after.item_features[name][:-1], codes)
    assert after.item_ids[-1] == "brand new"
    assert after.servable[-1]
    assert after.titles[-1] == "Pipa Duso"
    assert after.texts[-1] == "Pipa Duso. fada"
    assert after.display["year"][-1] == "1985"
    assert len(after.as_happened) == len(prepared.as_happened)


def test_cells_are_coded_as_fitted(prepared: Prepared) -> None:
    after = with_changes(prepared, adding(prepared, [NEW]))
    genres = next(f for f in prepared.features.items if f.name == "genres")
    year = next(f for f in prepared.features.items if f.name == "year")
    known = [genres.vocabulary.index(g) + 1 for g in ("noir", "drama")]
    assert after.item_features["genres"][-1].tolist() == [*known, 0][: genres.width]
    scaled = (1985 - year.mean) / year.deviation
    np.testing.assert_allclose(after.item_features["year"][-1], [scaled, 1], atol=1e-5)
    assert after.features == prepared.features


def test_what_a_file_says_is_what_prepare_says(
    prepared: Prepared, planted: Planted
) -> None:
    """The rows of the items' own table, added, change nothing."""
    table = read_items(str(planted.folder / "items.csv"), prepared.config)
    after = with_changes(prepared, Changes().adding(table, prepared, "items.csv"))
    pd.testing.assert_frame_equal(after.items, prepared.items)


def test_a_new_item_of_which_little_is_known(prepared: Prepared) -> None:
    after = with_changes(prepared, adding(prepared, [{"item_id": "bare"}]))
    assert after.servable[-1]
    assert after.titles[-1] == after.texts[-1] == ""
    for codes in after.item_features.values():
        assert (codes[-1] == 0).all()


def test_columns_that_are_not_given_stay(prepared: Prepared) -> None:
    item = some_item(prepared)
    row = row_of(prepared, item)
    changes = adding(prepared, [{"item_id": item, "year": "1999"}])
    after = with_changes(prepared, changes)
    assert after.num_items == prepared.num_items
    assert after.titles[row] == prepared.titles[row]
    assert after.texts[row] == prepared.texts[row]
    assert after.servable[row]
    assert after.display["year"][row] == "1999"
    genres = "genres"
    np.testing.assert_array_equal(
        after.item_features[genres], prepared.item_features[genres]
    )
    assert (
        after.item_features["year"][row] != prepared.item_features["year"][row]
    ).any()
    rest = np.arange(len(after.item_ids)) != row
    np.testing.assert_array_equal(
        after.item_features["year"][rest], prepared.item_features["year"][rest]
    )


def test_an_empty_cell_is_given(prepared: Prepared) -> None:
    item = some_item(prepared)
    cells = dict.fromkeys(["title", "blurb", "year"])
    changes = adding(prepared, [{"item_id": item, **cells}])
    after, row = with_changes(prepared, changes), row_of(prepared, item)
    assert after.titles[row] == after.texts[row] == ""
    assert after.item_features["year"][row].tolist() == [0, 0]


def test_availability_comes_and_goes(prepared: Prepared, planted: Planted) -> None:
    item, off = some_item(prepared), sorted(planted.unavailable)[0]
    rows = [{"item_id": item, "available": "no"}, {"item_id": off, "available": "1"}]
    after = with_changes(prepared, adding(prepared, rows))
    assert not after.servable[row_of(prepared, item)]
    assert after.servable[row_of(prepared, off)]
    untold = with_changes(
        prepared, adding(prepared, [{"item_id": off, "year": "1990"}])
    )
    assert not untold.servable[row_of(prepared, off)]


def test_changes_add_up(prepared: Prepared) -> None:
    item = some_item(prepared)
    one = adding(prepared, [NEW, {"item_id": item, "year": "1999"}])
    two = adding(prepared, [{**NEW, "item_id": "another"}], one)
    three = two.removing(["brand new", item])
    four = adding(prepared, [{"item_id": item, "available": "yes"}], three)
    after = with_changes(prepared, four)
    assert after.item_ids[-2:].tolist() == ["brand new", "another"]
    assert after.servable[-2:].tolist() == [False, True]
    assert after.titles[-2] == "Pipa Duso"  # A history that holds it is still read.
    row = row_of(prepared, item)
    assert after.servable[row]
    assert after.display["year"][row] == "1999"
    counts = four.summary(after)
    assert [counts[n] for n in ("added", "changed", "removed")] == [1, 1, 1]
    assert four.summary(prepared) == counts
    assert len({c.fingerprint for c in (Changes(), one, two, three, four)}) == 5


def test_a_removed_item_keeps_its_row(prepared: Prepared) -> None:
    item = some_item(prepared)
    after, row = (
        with_changes(prepared, Changes().removing([item])),
        row_of(prepared, item),
    )
    assert not after.servable[row]
    assert after.servable.sum() == prepared.servable.sum() - 1
    assert after.titles[row] == prepared.titles[row]
    pd.testing.assert_frame_equal(
        after.items.drop(columns="servable"), prepared.items.drop(columns="servable")
    )


def test_texts_in_part(prepared: Prepared) -> None:
    item = some_item(prepared)
    row = {"item_id": item, "title": "Another"}
    with pytest.raises(DataError, match=r"new\.csv: found 'title' and not 'blurb'"):
        adding(prepared, [row])
    whole = adding(prepared, [{**row, "blurb": "b"}])
    after = with_changes(prepared, adding(prepared, [row | {"title": "Third"}], whole))
    assert after.texts[row_of(prepared, item)] == "Third. b"


def test_changes_are_read_as_they_were_written(
    prepared: Prepared, tmp_path: Path
) -> None:
    odd = {**NEW, "item_id": '星 "9"\\', "title": "a\nb", "year": None}
    changes = adding(prepared, [NEW, odd]).removing(["brand new"])
    place = str(tmp_path / "deep" / "changes.jsonl")
    changes.write(place)
    assert Changes.read(place) == changes
    assert Changes.read(place).fingerprint == changes.fingerprint
    assert Changes.read(str(tmp_path / "absent.jsonl")) == Changes()


def test_what_another_data_set_takes_over(tmp_path: Path, prepared: Prepared) -> None:
    """Its table has the last word on what it lists, but for removals."""
    listed, gone = some_item(prepared), some_item(prepared, 5)
    changes = adding(prepared, [NEW, {"item_id": listed, "year": "1999"}])
    changes = changes.removing([gone, "left out"])
    kept = changes.carried_to(prepared)
    assert kept.by_id == {
        "brand new": changes.by_id["brand new"],
        gone: Change(removed=True),
        "left out": Change(removed=True),
    }
    # Of what no table lists and nobody has described, there is no row.
    assert "left out" not in with_changes(prepared, kept).item_ids
    planted = write_planted(tmp_path / "later")
    place = planted.folder / "items.csv"
    table = pd.read_csv(place, dtype=str)
    table.loc[len(table)] = [NEW[name] for name in table.columns]
    table.to_csv(place, index=False)
    config = data_config(read_toml(planted.toml), planted.toml)
    later = prepare(config, planted.toml, str(tmp_path / "data"))
    assert later.fingerprint != prepared.fingerprint
    assert set(changes.carried_to(later).by_id) == {gone, "left out"}


def test_a_world_of_ids(tmp_path: Path, write: Write) -> None:
    """Without a table of items, an item is its id."""
    planted = write_planted(tmp_path / "planted")
    toml = read_toml(planted.toml)
    del toml["data"]["items"]
    prepared = prepare(
        data_config(toml, planted.toml), planted.toml, str(tmp_path / "data")
    )
    rows = read_items(write("item_id\nnew\n"), prepared.config)
    after = with_changes(prepared, Changes().adding(rows, prepared, "new.csv"))
    assert (after.item_ids[-1], after.titles[-1]) == ("new", "new")
    assert after.servable[-1]
    with pytest.raises(DataError, match="unknown column 'title'"):
        read_items(write("item_id,title\nnew,x\n"), prepared.config)


@pytest.mark.parametrize("name", ["new.csv", "new.jsonl", "new.parquet"])
def test_formats(prepared: Prepared, write: Write, name: str) -> None:
    frame = pd.DataFrame([NEW, {**NEW, "item_id": "7", "year": None}])
    found = read_items(write(frame, name), prepared.config)
    assert found.index.tolist() == ["brand new", "7"]
    assert found.loc["brand new"].to_dict() == {n: NEW[n] for n in found.columns}
    assert found.loc["7", "year"] is None
    assert set(read_ids(write(frame, name), prepared.config)) == {"brand new", "7"}


def test_numbers_as_ids(prepared: Prepared, write: Write) -> None:
    frame = pd.DataFrame({"item_id": [7, 8], "year": [1999, 2000]})
    found = read_items(write(frame, "n.parquet"), prepared.config)
    assert found.index.tolist() == ["7", "8"]
    assert found["year"].tolist() == ["1999", "2000"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_encodings(prepared: Prepared, tmp_path: Path, encoding: str) -> None:
    """A file is UTF-8, or written as the items' own table is."""
    items = dataclasses.replace(prepared.config.items, encoding="latin-1")
    config = dataclasses.replace(prepared.config, items=items)
    place = tmp_path / "new.csv"
    place.write_text("item_id,title\na,Café\n", encoding=encoding)
    assert read_items(str(place), config)["title"].to_dict() == {"a": "Café"}


def test_a_prior_is_of_the_items_that_were_fitted(prepared: Prepared) -> None:
    """Else the counts of all would move with each item that is added."""
    described = {**prepared.manifest["config"], "popularity_prior": 10.0}
    fitted = Prepared(prepared.folder, {**prepared.manifest, "config": described})
    after = with_changes(fitted, adding(fitted, [NEW]))
    assert after.num_items > fitted.num_items
    rows, end = np.arange(fitted.num_items + 1), np.int64(fitted.end_time)
    before, later = (
        one.item_statistics(fitted.events).at(rows, end) for one in (fitted, after)
    )
    np.testing.assert_array_equal(before, later)
    assert before[:, 1].any()


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_separators(prepared: Prepared, write: Write, separator: str) -> None:
    text = separator.join(["item_id", "year"]) + "\n" + separator.join(["a", "1999"])
    found = read_items(write(text + "\n"), prepared.config)
    assert found["year"].to_dict() == {"a": "1999"}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("item_id\na\nb\na\n", ["a", "b"]),
        ("a\nb c\n", ["a", "b c"]),
        ('"a, 1"\nb\n', ["a, 1", "b"]),
        ("why;item_id\nold;a\n", ["a"]),
    ],
)
def test_ids(prepared: Prepared, write: Write, text: str, ids: list[str]) -> None:
    assert read_ids(write(text), prepared.config) == ids


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"items\.csv: the file is empty"),
        ("item_id,title\n", "found a header and no rows"),
        ("title\nx\n", "no column 'item_id', expected a header that names it"),
        ("item_id,titel\na,b\n", "unknown column 'titel'.*Did you mean 'title'"),
        (
            "item_id,year\na,1999\nb,soon\n",
            r"items\.csv, column 'year'.*row 2\): found 'soon', expected a number",
        ),
        ("item_id,year\na,1\nb,2\na,1\n", r"rows 1, 3\): found 'a', expected each id"),
        ("item_id,year\n,1\n", r"row 1\): found nothing, expected an id"),
        ('item_id,year\n"a\nb",1\n', "expected an id in one line"),
        ("item_id,year\na,1,2\n", "row 1: found 3 fields, expected 2"),
    ],
)
def test_mistakes_in_rows(
    prepared: Prepared, write: Write, text: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read_items(write(text), prepared.config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("itemid,x\na,b\n", "no column 'item_id'.*Did you mean 'itemid'"),
        ("item_id\n\n", "no rows"),
    ],
)
def test_mistakes_in_ids(
    prepared: Prepared, write: Write, text: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read_ids(write(text), prepared.config)


def test_ids_that_nobody_has(prepared: Prepared) -> None:
    known = prepared.item_ids[1:]
    check_known("x.csv", [str(known[0])], "item_id", known)
    with pytest.raises(DataError, match=r"row 2\): found 'nix', expected an item of"):
        check_known("x.csv", [str(known[0]), "nix"], "item_id", known)


def test_no_such_file(prepared: Prepared, write: Write) -> None:
    path = write("item_id\na\n", "new_items.csv")
    with pytest.raises(DataError, match=r"no such file\. Did you mean 'new_items.csv'"):
        read_items(path.replace("items", "item"), prepared.config)
