"""Reading single members of zip (wheel) and tar (source distribution) archives.

A folder of files can be read the same way; what ends in `.gz` there is unpacked.
Members are read by their exact names and never unpacked, so that an archive cannot
choose where a file is written.
"""

import contextlib
import gzip
import hashlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol, cast

from data.errors import DataError

CHUNK_BYTES = 1 << 20
_UNREADABLE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError)
_UNREADABLE_GZIP = (gzip.BadGzipFile, zlib.error, EOFError)


class Members(Protocol):
    """The files inside one archive."""

    def open(self, name: str) -> IO[bytes]:
        """Open the member of exactly this name.

        Raises: no such file in the archive -> DataError.
        """
        ...


class _Zip:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = zipfile.ZipFile(path)

    def open(self, name: str) -> IO[bytes]:
        try:
            return self.file.open(name)
        except KeyError as err:
            raise _missing(self.path, name) from err


class _Tar:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = tarfile.open(path)

    def open(self, name: str) -> IO[bytes]:
        with contextlib.suppress(KeyError):
            member = self.file.getmember(name)
            # A link would make the archive choose which file is read.
            stream = self.file.extractfile(member) if member.isfile() else None
            if stream is not None:
                return stream
        raise _missing(self.path, name)


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, name: str) -> IO[bytes]:
        place = self.path / name
        if not place.is_file():
            raise _missing(self.path, name)
        if place.suffix == ".gz":
            return cast(IO[bytes], gzip.open(place))
        return open(place, "rb")


def _missing(path: Path, name: str) -> DataError:
    return DataError(
        f"{path.name}: expected the member {name}, found none of that name. "
        "The archive is of another version; fetch the one that the catalog names."
    )


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Members]:
    """Open a zip or a tar archive, whatever its name ends with.

    Raises: a file that is neither, or is damaged further in -> DataError.
    """
    try:
        members = _Zip(path) if zipfile.is_zipfile(path) else _Tar(path)
        with members.file:
            yield members
    except _UNREADABLE as err:
        raise DataError(
            f"{path.name}: expected a zip or tar archive, found a file that cannot be "
            f"read as one ({err}). Delete it and fetch it again."
        ) from err


@contextlib.contextmanager
def open_folder(path: Path) -> Iterator[Members]:
    """Open a folder of files as if it were an archive of them.

    Raises: a `.gz` that is none, or is damaged further in -> DataError.
    """
    try:
        yield _Folder(path)
    except _UNREADABLE_GZIP as err:
        raise DataError(
            f"{path}: expected .gz files that can be unpacked, found a damaged one "
            f"({err}). Fetch them again."
        ) from err


def copy_member(archive: Path, member: str, target: Path) -> None:
    """Write one member to a file of the caller's choice.

    Raises: no such member, or a damaged archive -> DataError.
    """
    with open_archive(archive) as members:
        with members.open(member) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)


def digest_of(path: Path, algorithm: str) -> str:
    """Return a file's checksum as lower-case hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def check(name: str, expected: str, found: str) -> None:
    """Compare two checksums, written as `sha256:<hex>` or `md5:<hex>`.

    Raises: they differ -> DataError with the file's name and both.
    """
    if expected == found:
        return
    algorithm, wanted = expected.split(":")
    raise DataError(
        f"{name}: expected the {algorithm.upper()} sum {wanted}, found "
        f"{found.partition(':')[2]}. The file is damaged or of another version; "
        "nothing of it was kept."
    )


def copier(prefix: str, names: list[str]) -> Callable[[Members, Path], None]:
    """Make a reader that copies members `prefix/<name>` as they are."""

    def copy(members: Members, folder: Path) -> None:
        for name in names:
            with members.open(f"{prefix}/{name}") as source:
                with open(folder / name, "wb") as target:
                    shutil.copyfileobj(source, target, CHUNK_BYTES)

    return copy
