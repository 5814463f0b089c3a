"""The words in which the catalog says where a thing comes from and what it is."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from data.fetch.archives import Members

Reader = Callable[[Members, Path], None]
"""Reads an opened archive and writes the entry's files into a folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Web:
    """An archive at an address of its publisher."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel on the Python package index: a box, never installed or imported."""

    project: str
    version: str

    def __str__(self) -> str:
        return f"package index, wheel {self.project}=={self.version}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sdist:
    """A source distribution on the Python package index: a box, never built."""

    project: str
    version: str

    def __str__(self) -> str:
        return f"package index, source distribution {self.project}=={self.version}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive that carries the data.

    `file` is its name as published, `size` its bytes, 0 where nobody tells; `md5` only
    where its publisher gives no better sum. `inner` is the member that is itself the
    archive to read.
    """

    file: str
    size: int = 0
    sha256: str = ""
    md5: str = ""
    source: Web | Wheel | Sdist
    reader: Reader
    inner: str = ""
    inner_sha256: str = ""

    @property
    def digest(self) -> str:
        """The expected sum, as `algorithm:hex`."""
        return f"sha256:{self.sha256}" if self.sha256 else f"md5:{self.md5}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """The entry's own files, one by one, below an address of their publisher."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One of several files that carry the data together; `sha256` if it is known."""

    url: str
    sha256: str = ""

    @property
    def file(self) -> str:
        """Its name as published."""
        return self.url.rpartition("/")[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """Several files of a publisher, read together; `.gz` is unpacked on the way."""

    parts: tuple[Part, ...]
    reader: Reader

    def __str__(self) -> str:
        return ", ".join(part.url for part in self.parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """A file that fetching leaves; `rows` counts a table's rows without its header."""

    name: str
    size: int
    sha256: str
    rows: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table that fetching leaves and whose sum nobody has published.

    It is held to its columns and, where its publisher states how many rows there are,
    to that number; its sum is recorded when it is first fetched.
    """

    name: str
    columns: tuple[str, ...]
    rows: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StandIn:
    """Other files that a person may supply in place of the data set itself.

    `folder`, below $TANDEM_DATA_HOME, or the entry's own folder there, holds `files`;
    they become `tables`. `told` says in what they differ from the data set.
    """

    folder: str
    files: tuple[str, ...]
    tables: tuple[Table, ...]
    reader: Reader
    told: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A named thing: what it is, under which terms, and its sources in order."""

    name: str
    title: str
    publisher: str
    licence: str
    terms: str
    sources: tuple[Archive | Parts | Folder, ...]
    files: tuple[File | Table, ...]
    stand_in: StandIn | None = None

    @property
    def archives(self) -> tuple[Archive, ...]:
        """The sources that are archives, each of which a person may supply."""
        return tuple(s for s in self.sources if isinstance(s, Archive))

    @property
    def pinned(self) -> tuple[File, ...]:
        """The files whose sums are known."""
        return tuple(file for file in self.files if isinstance(file, File))
