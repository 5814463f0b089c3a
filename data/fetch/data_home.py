"""What a person has put into the folder that TANDEM_DATA_HOME names.

`$TANDEM_DATA_HOME/<name>/` may hold any archive that the catalog knows for the name,
the files that its publisher offers together, the finished files themselves (a copy of
another machine's cache), or what the catalog accepts as a stand-in for the data set.
"""

import os
import shutil
from pathlib import Path

from data.errors import DataError
from data.fetch.archives import check, digest_of
from data.fetch.sources import Archive, Entry, Parts, StandIn

VARIABLE = "TANDEM_DATA_HOME"
_SUFFIXES = (".zip", ".whl", ".gz", ".tgz", ".tar")


def folder_of(entry: Entry) -> Path | None:
    """Return the folder that may hold the entry; None where the variable is unset."""
    home = os.environ.get(VARIABLE)
    return Path(home).expanduser() / entry.name if home else None


def find_archive(entry: Entry, folder: Path) -> tuple[Archive, Path] | None:
    """Return the first known archive in a folder and its path, known by its checksum.

    A renamed archive is found too.
    Raises: a file of a known name with another checksum -> DataError with both sums.
    """
    for archive in entry.archives:
        path = folder / archive.file
        if path.is_file():
            _check_given(path, archive.digest)
            return archive, path
    for path in sorted(folder.glob("*")):
        if path.suffix not in _SUFFIXES or not path.is_file():
            continue
        for archive in entry.archives:
            likely = archive.size in (0, path.stat().st_size)
            if likely and _digest(path, archive.digest):
                return archive, path
    return None


def find_parts(entry: Entry, folder: Path) -> Parts | None:
    """Return the source whose parts all lie in a folder.

    Raises: one of them has another checksum than a known one -> DataError.
    """
    for parts in (source for source in entry.sources if isinstance(source, Parts)):
        paths = [folder / part.file for part in parts.parts]
        if not all(path.is_file() for path in paths):
            continue
        for part, path in zip(parts.parts, paths, strict=True):
            if part.sha256:
                _check_given(path, f"sha256:{part.sha256}")
        return parts
    return None


def find_stand_in(entry: Entry, folder: Path) -> tuple[StandIn, Path] | None:
    """Return the entry's stand-in and the folder that holds its files."""
    if stand_in := entry.stand_in:
        for place in (folder, folder.parent / stand_in.folder):
            if all((place / name).is_file() for name in stand_in.files):
                return stand_in, place
    return None


def copy_files(entry: Entry, folder: Path, out: Path) -> bool:
    """Copy the entry's own files if all of them lie in a folder; tell whether so.

    Raises: a pinned one has another checksum -> DataError with both sums.
    """
    if not all((folder / file.name).is_file() for file in entry.files):
        return False
    for pinned in entry.pinned:
        _check_given(folder / pinned.name, f"sha256:{pinned.sha256}")
    for file in entry.files:
        shutil.copyfile(folder / file.name, out / file.name)
    return True


def _digest(path: Path, expected: str) -> bool:
    algorithm, wanted = expected.split(":")
    return digest_of(path, algorithm) == wanted


def _check_given(path: Path, expected: str) -> None:
    algorithm = expected.partition(":")[0]
    try:
        check(str(path), expected, f"{algorithm}:{digest_of(path, algorithm)}")
    except DataError as err:
        raise DataError(
            f"{err} Replace it by the published one, or move it out of the folder, "
            "so that the other sources are tried."
        ) from err
