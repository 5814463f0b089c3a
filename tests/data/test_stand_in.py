"""Fetching what nobody has pinned: files without sums, and stand-ins for a data set."""

import dataclasses
import functools
import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import catalog
from data.errors import DataError
from data.fetch import SOURCE, data_home, fetch, is_ready, source_of
from data.fetch.archives import Members
from data.fetch.sources import Entry, Part, Parts, StandIn, Table

EVENTS, ITEMS = "user_id,item_id\n1,2\n2,2\n", "item_id,title\n2,Two\n"
TABLES = (
    Table(name="interactions.csv", columns=("user_id", "item_id"), rows=2),
    Table(name="items.csv", columns=("item_id", "title")),
)


def read(members: Members, folder: Path) -> None:
    for member, name in (("e.gz", "interactions.csv"), ("i.gz", "items.csv")):
        with members.open(member) as file:
            (folder / name).write_bytes(file.read())


def read_sample(members: Members, folder: Path) -> None:
    with members.open("sample.csv") as file:
        (folder / "interactions.csv").write_bytes(file.read())
    (folder / "items.csv").write_text(ITEMS)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def put(folder: Path, events: str = EVENTS, items: str = ITEMS) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "e.gz").write_bytes(gzip.compress(events.encode(), mtime=0))
    (folder / "i.gz").write_bytes(gzip.compress(items.encode(), mtime=0))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "site"
    put(folder)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(data_home.VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def entry(site: tuple[Path, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    parts = (Part(url=f"{site[1]}/e.gz"), Part(url=f"{site[1]}/i.gz"))
    sampled = dataclasses.replace(TABLES[0], rows=None)
    entry = Entry(
        name="toy",
        title="Toy Set",
        publisher="https://toy.example/",
        licence="any use",
        terms="Be kind to the toys.",
        sources=(Parts(parts=parts, reader=read),),
        files=TABLES,
        stand_in=StandIn(
            folder="old-toy",
            files=("sample.csv",),
            tables=(sampled, TABLES[1]),
            reader=read_sample,
            told="a tenth of the toys",
        ),
    )
    offer(monkeypatch, entry)
    return entry


def offer(monkeypatch: pytest.MonkeyPatch, entry: Entry) -> None:
    monkeypatch.setattr(catalog, "CATALOG", {"toy": entry})


def test_parts_are_fetched_and_recorded(entry: Entry, cache: Path) -> None:
    place = fetch("toy", cache)
    assert (place / "interactions.csv").read_text() == EVENTS
    record = json.loads((place / SOURCE).read_text())
    assert record["source"].endswith("/i.gz")
    assert set(record["parts_sha256"]) == {"e.gz", "i.gz"}
    found = record["files"]["interactions.csv"]
    assert (found["rows"], found["bytes"]) == (2, len(EVENTS))
    assert found["columns"] == ["user_id", "item_id"]
    assert source_of("toy", cache) == record
    assert source_of("other", cache) == {}


def test_a_known_sum_of_a_part_is_checked(
    entry: Entry, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [source] = entry.sources
    assert isinstance(source, Parts)
    strict = tuple(dataclasses.replace(p, sha256="0" * 64) for p in source.parts)
    sources = (dataclasses.replace(source, parts=strict),)
    offer(monkeypatch, dataclasses.replace(entry, sources=sources))
    with pytest.raises(DataError, match=r"e\.gz: expected the SHA256 sum 0000"):
        fetch("toy", cache)


def test_both_parts_may_be_supplied(entry: Entry, cache: Path, home: Path) -> None:
    put(home / "toy")
    assert json.loads((fetch("toy", cache) / SOURCE).read_text())["source"] == str(
        home / "toy"
    )


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ("user_id,item_id\n1,2\n", "expected 2 rows, found 1"),
        ("user,item_id\n1,2\n2,2\n", "expected the columns user_id,item_id, found us"),
        ("", "expected the columns user_id,item_id, found"),
    ],
)
def test_a_table_is_held_to_what_is_known(
    entry: Entry, site: tuple[Path, str], cache: Path, events: str, message: str
) -> None:
    put(site[0], events)
    with pytest.raises(DataError, match=rf"interactions\.csv of e\.gz.*{message}"):
        fetch("toy", cache)
    assert not (cache / "toy").exists()


def test_a_damaged_part(entry: Entry, site: tuple[Path, str], cache: Path) -> None:
    whole = (site[0] / "e.gz").read_bytes()
    (site[0] / "e.gz").write_bytes(whole[:-6])
    with pytest.raises(DataError, match=r"expected \.gz files that can be unpacked"):
        fetch("toy", cache)


def test_the_first_sum_holds(entry: Entry, site: tuple[Path, str], cache: Path) -> None:
    place = fetch("toy", cache)
    fetch("toy", cache, again=True)
    put(site[0], EVENTS.replace("2,2", "2,3"))
    with pytest.raises(DataError, match=r"recorded when it was first fetched.*remove"):
        fetch("toy", cache, again=True)
    assert (place / "interactions.csv").read_text() == EVENTS


def test_other_columns_in_the_catalog_fetch_again(
    entry: Entry, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fetch("toy", cache)
    assert is_ready(entry, place)
    wider = dataclasses.replace(TABLES[0], columns=("user_id", "item_id", "rating"))
    assert not is_ready(dataclasses.replace(entry, files=(wider, TABLES[1])), place)
    (place / "items.csv").write_text(ITEMS[:-2])
    assert not is_ready(entry, place)


@pytest.mark.parametrize("name", ["toy", "old-toy"])
def test_a_stand_in_is_told_every_time(
    entry: Entry,
    cache: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    (home / name).mkdir(parents=True)
    (home / name / "sample.csv").write_text("user_id,item_id\n7,2\n")
    place = fetch("toy", cache)
    first = capsys.readouterr().out
    assert "Be kind to the toys." in first
    fetch("toy", cache)
    second = capsys.readouterr().out
    for out in (first, second):
        assert (
            f"Toy Set: a stand-in from {home / name}: a tenth of the toys (1 inter"
            in out.replace("\n", " ")
        )
    assert "Be kind" not in second
    assert source_of("toy", cache)["stand_in"] == "a tenth of the toys"
    assert (place / "interactions.csv").read_text().endswith("7,2\n")


def test_the_data_set_itself_replaces_a_stand_in(
    entry: Entry, cache: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "toy").mkdir(parents=True)
    (home / "toy" / "sample.csv").write_text("user_id,item_id\n7,2\n")
    fetch("toy", cache)
    put(home / "toy")
    place = fetch("toy", cache, again=True)
    assert (place / "interactions.csv").read_text() == EVENTS
    capsys.readouterr()
    fetch("toy", cache)
    assert capsys.readouterr().out == ""


def test_when_nothing_gives_it_both_parts_are_asked_for(
    entry: Entry, site: tuple[Path, str], cache: Path, home: Path
) -> None:
    (site[0] / "i.gz").unlink()
    (home / "toy").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        fetch("toy", cache)
    message = str(caught.value)
    assert f"{home / 'toy'}: holds none of e.gz with i.gz" in message
    assert "Put e.gz and i.gz in $TANDEM_DATA_HOME/toy/, from https://toy" in message


@pytest.mark.parametrize("name", ["goodbooks-10k", "amazon-2018-scientific"])
def test_real_stand_ins(name: str, cache: Path) -> None:
    folder = data_home.folder_of(catalog.find(name))
    if not folder or not data_home.find_stand_in(catalog.find(name), folder):
        pytest.skip(f"${data_home.VARIABLE} holds no stand-in for {name}")
    record = json.loads((fetch(name, cache) / SOURCE).read_text())
    rows = [record["files"][f"{n}.csv"]["rows"] for n in ("interactions", "items")]
    expected = {
        "goodbooks-10k": [298_176, 10_000],
        "amazon-2018-scientific": [58_492, 4_344],
    }
    assert rows == expected[name]
