"""The command: what it writes trains as it is, whatever the tables are called."""

import gzip
import json
import os
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.init.writer import relative_path
from tests.data.init_tables import (
    ITEMS,
    USERS,
    choose,
    config_of,
    random_events,
    run,
    save,
    sentences,
)
from trainer.config import read_experiment

EVENTS = random_events()
ODD_NAMES = [
    *("user id", "a.b", 'say "x"', "it's", "Größe", "星", "a#b", "[x]", "=", "\\"),
    *("", " ", "1", "line\nbreak", "tab\there"),
]


def _write(folder: Path, events: pd.DataFrame = EVENTS) -> str:
    return save(events, folder / "events.csv")


def test_what_is_written_is_said_and_accepted(tmp_path: Path) -> None:
    toml = tmp_path / "my.toml"
    items = pd.DataFrame({"item": range(1, ITEMS + 1), "title": sentences(ITEMS, 4)})
    users = pd.DataFrame(
        {"user": range(1, USERS + 1), "age": choose(range(20, 80), USERS)}
    )
    places = ("--items", save(items, tmp_path / "i.csv"))
    places += ("--users", save(users, tmp_path / "u.csv"))
    result = run("--interactions", _write(tmp_path), *places, "-o", toml)
    assert (result.exit_code, result.stderr) == (0, "")
    for words in (
        *("user: the user; 60 values", "time: the time; Unix seconds, 2014-05-1"),
        *("title: text; the title: ", "age: numeric; 2"),
        *("Positives: the scale is 1 to 5;", "Split: temporal; 'time' tells"),
        f"{toml}: written. Next: python -m data check {toml}",
    ):
        assert words in result.stdout
    config = read_experiment(toml).data
    assert {n: t.path for n, t in config.tables().items()} == {
        **{"interactions": "events.csv", "items": "i.csv", "users": "u.csv"}
    }
    assert config.title_column() == "title"
    assert config.label.positive == ">= 4"
    text = toml.read_text()
    lines = [line for line in text.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 88
    assert '\nkind = "temporal"\n' in text


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("role", ["item", "feature"])
def test_any_name_of_a_column_will_do(tmp_path: Path, name: str, role: str) -> None:
    items = pd.DataFrame({"item": range(1, ITEMS + 1), "title": sentences(ITEMS, 4)})
    items["size"] = choose(["S", "M", "L"], ITEMS)
    events, options = EVENTS, []
    if role == "item":
        events = EVENTS.rename(columns={"item": name})
        options = [] if name == "" else ["--item", name]
    else:
        items = items.rename(columns={"size": name})
    options += ["--items", save(items, tmp_path / "i.csv")]
    toml = tmp_path / "my.toml"
    result = run("--interactions", _write(tmp_path, events), *options, "-o", toml)
    assert result.exit_code == 0, result.output
    config = config_of(toml)
    assert config.items is not None
    kinds = {spec.kind for spec in config.items.columns.values()}
    assert kinds == {None, "text", "categorical"}
    checked = _check(toml)
    assert checked == ""


def _check(toml: Path) -> str:
    """Return what `python -m data check` complains of."""
    from data.prepare import check

    config = config_of(toml)
    return "\n".join(map(str, check(config, toml).errors))


@pytest.mark.parametrize("kind", ["csv", "gz", "jsonl", "parquet", "::", "utf-16"])
def test_every_format_can_be_read_again(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"events.{'dat' if kind in ('::', 'utf-16') else kind}"
    if kind == "csv":
        EVENTS.to_csv(path, index=False, sep=";")
    elif kind == "gz":
        path.write_bytes(gzip.compress(EVENTS.to_csv(index=False).encode()))
    elif kind == "jsonl":
        EVENTS.to_json(path, orient="records", lines=True)
    elif kind == "parquet":
        EVENTS.to_parquet(path)
    elif kind == "::":
        rows = EVENTS.astype(str).agg("::".join, axis=1)
        path.write_text("\n".join(rows) + "\n")
    else:
        EVENTS.to_csv(path, index=False, sep="\t", encoding=kind)
    toml = tmp_path / "my.toml"
    result = run("--interactions", path, "-o", toml)
    assert result.exit_code == 0, result.output
    assert _check(toml) == ""


def test_names_that_come_twice_are_told_apart(tmp_path: Path) -> None:
    text = EVENTS.assign(rating_=EVENTS["rating"]).to_csv(index=False)
    (tmp_path / "events.csv").write_text(text.replace("rating_", "rating"))
    toml = tmp_path / "my.toml"
    assert run("--interactions", tmp_path / "events.csv", "-o", toml).exit_code == 0
    table = config_of(toml).interactions
    assert table.names == ("user", "item", "rating", "time", "rating_2")
    assert table.column("label") == "rating"
    assert _check(toml) == ""


def test_odd_names_of_json_are_left_out_as_features(tmp_path: Path) -> None:
    names = ("Größe", "size")
    items = [
        {"item": i, "title": f"thing no{i}", **dict.fromkeys(names, i % 5 * 7)}
        for i in range(1, ITEMS + 1)
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, items)))
    toml = tmp_path / "my.toml"
    result = run("--interactions", _write(tmp_path), "--items", path, "-o", toml)
    assert result.exit_code == 0
    found = config_of(toml).items
    assert found is not None
    assert "Größe" not in found.columns


def test_comments_hold_whatever_cells_hold(tmp_path: Path) -> None:
    events = EVENTS.assign(note=choose(["a\nb", 'x"""', "\x1b[0m", "#"], len(EVENTS)))
    toml = tmp_path / "my.toml"
    assert run("--interactions", _write(tmp_path, events), "-o", toml).exit_code == 0
    assert "note" in toml.read_text()
    assert tomllib.loads(toml.read_text())


def test_paths_are_relative_to_the_toml(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "configs").mkdir()
    path = _write(tmp_path / "tables")
    toml = tmp_path / "configs" / "my.toml"
    assert run("--interactions", path, "-o", toml).exit_code == 0
    assert config_of(toml).interactions.path == "../tables/events.csv"
    assert relative_path("/a/x.csv", "/b/my.toml") == "/a/x.csv"
    assert relative_path("gs://b/x.csv", "/b/my.toml") == "gs://b/x.csv"


def test_a_file_is_written_over_only_if_told_to(tmp_path: Path) -> None:
    toml = tmp_path / "my.toml"
    toml.write_text("mine")
    arguments = ("--interactions", _write(tmp_path), "-o", toml)
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert "there is such a file already" in refused.stderr
    assert toml.read_text() == "mine"
    assert run(*arguments, "--force").exit_code == 0
    assert config_of(toml).interactions.path == "events.csv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/event.csv", "-o", "{folder}/m.toml"], "Did you mean 'events.csv'"),
        (["{folder}", "-o", "{folder}/m.toml"], "a folder, expected a table"),
        (["{table}", "-o", "{folder}"], "a folder, expected a file's name"),
        (["{table}", "-o", "{folder}/no/m.toml"], "no such folder as"),
        (["{table}", "-o", "{table}", "--force"], "over the table of interactions"),
        (["{table}", "-o", "{link}", "--force"], "over the table of interactions"),
        (["{table}", "-o", "{folder}/m.toml", "--user", "usr"], "Did you mean 'user'"),
        (["{table}"], "Missing option"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    places = {"folder": tmp_path, "table": _write(tmp_path), "link": tmp_path / "l.csv"}
    os.symlink(tmp_path / "events.csv", tmp_path / "l.csv")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = run("--interactions", *(a.format(**places) for a in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_odd_rows_are_warned_of(tmp_path: Path) -> None:
    path = Path(_write(tmp_path))
    path.write_text(path.read_text() + "1,2\n")
    result = run("--interactions", path, "-o", tmp_path / "my.toml")
    assert result.exit_code == 0
    assert "Warning: " in result.stdout
    assert "1 rows have more or fewer fields" in result.stdout


def test_few_rows_make_a_toml_that_can_be_prepared(tmp_path: Path) -> None:
    toml = tmp_path / "my.toml"
    for rows in (12, 40, 100):
        path = _write(tmp_path, random_events(rows)[["user", "item"]])
        assert run("--interactions", path, "-o", toml, "--force").exit_code == 0
        assert _check(toml) == ""


GOODBOOKS = "goodbooks-10k/ratings_5pct_users.csv.gz", "goodbooks-10k/books.csv"
LASTFM = "lastfm-hetrec/user_artists.dat", "lastfm-hetrec/artists.dat"
AMAZON = "amazon-scientific/interactions.csv.gz", "amazon-scientific/items.csv.gz"


@pytest.mark.parametrize(
    ("tables", "key", "split"),
    [
        (GOODBOOKS, "book_id", "held_out_users"),
        (LASTFM, "id", "held_out_users"),
        (AMAZON, "item_id", "held_out_users"),
    ],
)
def test_real_tables(
    tmp_path: Path, tables: tuple[str, str], key: str, split: str
) -> None:
    home = os.environ.get("TANDEM_DATA_HOME", "")
    paths = [Path(home, name) for name in tables]
    if not home or not all(path.exists() for path in paths):
        pytest.skip(f"TANDEM_DATA_HOME ({home or 'not set'}) holds no {tables[0]}")
    toml = tmp_path / "my.toml"
    result = run("--interactions", paths[0], "--items", paths[1], "-o", toml)
    assert result.exit_code == 0
    config = config_of(toml)
    assert config.items is not None
    assert config.items.column("item_id") == key
    assert config.split.kind == split
    assert np.isclose(config.split.test, 0.1)
