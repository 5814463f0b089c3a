"""The entries are complete and consistent."""

import dataclasses
import re
from pathlib import PurePosixPath

import pytest

from data import catalog
from data.catalog import amazon
from data.errors import ConfigError
from data.fetch.sources import Archive, Entry, File, Folder, Parts, Sdist, Web, Wheel

ENTRIES = pytest.mark.parametrize(
    "entry", catalog.CATALOG.values(), ids=lambda e: e.name
)


PINNED = {"ml-100k", "ml-1m", "all-minilm-l6-v2"}
"""The entries whose files are known byte for byte, and that the index carries."""


@ENTRIES
def test_every_sum_is_one(entry: Entry) -> None:
    sums = [file.sha256 for file in entry.pinned]
    sums += [archive.sha256 for archive in entry.archives if archive.sha256]
    sums += [archive.inner_sha256 for archive in entry.archives if archive.inner]
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in sums)
    assert all(archive.sha256 or archive.md5 for archive in entry.archives)


@ENTRIES
def test_the_publisher_comes_first_and_the_index_is_there_too(entry: Entry) -> None:
    first = entry.sources[0]
    assert isinstance(first, Folder | Parts) or isinstance(first.source, Web)
    on_index = any(isinstance(a.source, Wheel | Sdist) for a in entry.archives)
    assert on_index == (entry.name in PINNED)


@ENTRIES
def test_what_is_unpinned_is_the_exception(entry: Entry) -> None:
    assert (entry.pinned == entry.files) == (entry.name in PINNED)
    for table in set(entry.files) - set(entry.pinned):
        assert table.columns
    without_sums = any(isinstance(s, Parts) for s in entry.sources)
    assert without_sums == entry.name.startswith("amazon-2018-")


@ENTRIES
def test_a_stand_in_gives_the_same_tables(entry: Entry) -> None:
    if entry.stand_in is None:
        return
    tables = [table.name for table in entry.stand_in.tables]
    assert tables == [file.name for file in entry.files]
    assert entry.stand_in.told


@ENTRIES
def test_addresses_are_safe_and_names_are_plain(entry: Entry) -> None:
    addresses = [s.url for s in entry.sources if isinstance(s, Folder)]
    addresses += [a.source.url for a in entry.archives if isinstance(a.source, Web)]
    parts = [p for s in entry.sources if isinstance(s, Parts) for p in s.parts]
    addresses += [part.url for part in parts]
    assert all(url.startswith("https://") for url in [entry.publisher, *addresses])
    names = [a.file for a in (*entry.archives, *parts)]
    names += [file.name for file in entry.files]
    assert all(PurePosixPath(name).name == name for name in names)
    assert all(archive.size > 0 or archive.sha256 for archive in entry.archives)
    assert all(file.size > 0 for file in entry.pinned)


@ENTRIES
def test_terms_can_be_printed(entry: Entry) -> None:
    assert entry.licence
    assert "Publications cite" in entry.terms


def test_names_are_those_of_the_entries() -> None:
    assert PINNED | {"ml-20m", "ml-25m", "goodbooks-10k"} <= set(catalog.CATALOG)
    assert {"amazon-2018-scientific", "amazon-2018-games"} <= set(catalog.CATALOG)
    assert len(amazon.CATEGORIES) == 29
    assert all(name == entry.name for name, entry in catalog.CATALOG.items())


def test_rows_of_the_movielens_tables() -> None:
    counts = {
        name: [file.rows for file in catalog.find(name).files]
        for name in ("ml-100k", "ml-1m", "ml-20m", "ml-25m")
    }
    assert counts == {
        "ml-100k": [100_000, 1_682, 943],
        "ml-1m": [1_000_209, 3_883, 6_040],
        "ml-20m": [20_000_263, 27_278],
        "ml-25m": [25_000_095, 62_423],
    }


def test_a_category_is_named_as_its_publisher_does() -> None:
    [source] = catalog.find("amazon-2018-phones").sources
    assert isinstance(source, Parts)
    assert [part.file for part in source.parts] == [
        "Cell_Phones_and_Accessories_5.json.gz",
        "meta_Cell_Phones_and_Accessories.json.gz",
    ]


def test_a_misspelt_name_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"'ml-10k'.*Did you mean 'ml-100k'\?"):
        catalog.find("ml-10k")


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog.find("ml-1m").title = "x"  # type: ignore[misc]


def test_md5_stands_in_where_there_is_no_better_sum() -> None:
    archive = catalog.find("ml-1m").archives[0]
    weak = dataclasses.replace(archive, sha256="", md5="0" * 32)
    assert archive.digest == f"sha256:{archive.sha256}"
    assert weak.digest == "md5:" + "0" * 32
    assert isinstance(weak, Archive)
    assert File(name="x", size=1, sha256="0" * 64).rows is None
