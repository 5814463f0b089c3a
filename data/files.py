"""Files that are either whole or absent, on local disks and on object stores.

A path with a scheme (`gs://bucket/folder`) goes through `tf.io.gfile`; a plain
path never imports TensorFlow, so that `python -m data` starts at once.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from data.errors import DataError

CHUNK_BYTES = 1 << 20
_SCHEME = re.compile(r"^([a-z][a-z0-9]+:)/(?!/)")


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path has a scheme, as in `gs://bucket/folder`."""
    return "://" in str(path)


def as_written(path: Path) -> str:
    """Return a path as a person writes it: `Path` keeps one slash of a scheme's two."""
    return _SCHEME.sub(r"\1//", str(path))


def _gfile() -> Any:
    from tensorflow.io import gfile

    return gfile


def join(folder: str | os.PathLike[str], *names: str) -> str:
    """Join path parts with the separator of the folder's file system."""
    if is_remote(folder):
        return "/".join([str(folder).rstrip("/"), *names])
    return os.path.join(folder, *names)


@contextlib.contextmanager
def _reaching(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say in a sentence that a store cannot be reached: its own errors are pages."""
    try:
        yield
    except Exception as err:
        # Those of TensorFlow, which only a remote path has loaded. What is not there
        # is no such mistake.
        code = getattr(err, "error_code", None)
        if code is None or type(err).__name__ == "NotFoundError":
            raise
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise DataError(
            f"{path}: cannot be reached ({reason}). Expected a folder on an object "
            "store that this machine may read and write: check the bucket's name, the "
            "network and the credentials."
        ) from err


def exists(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file or a folder is there.

    Raises: DataError where an object store cannot be asked, as all that follow.
    """
    if is_remote(path):
        with _reaching(path):
            return bool(_gfile().exists(str(path)))
    return os.path.exists(path)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Tell whether a folder is there."""
    if is_remote(path):
        return bool(_gfile().isdir(str(path)))
    return os.path.isdir(path)


def listdir(folder: str | os.PathLike[str]) -> list[str]:
    """List the names in a folder, sorted; an absent folder has none."""
    if not exists(folder):
        return []
    if is_remote(folder):
        with _reaching(folder):
            names = _gfile().listdir(str(folder))
    else:
        names = os.listdir(folder)
    return sorted(name.rstrip("/") for name in names)


def open_file(path: str | os.PathLike[str], mode: str = "rb") -> IO[Any]:
    """Open a file for reading or writing; text is UTF-8."""
    if not is_remote(path):
        return open(path, mode, encoding=None if "b" in mode else "utf-8")
    remote = _RemoteFile(str(path), mode[0])
    binary = io.BufferedReader(remote) if mode[0] == "r" else io.BufferedWriter(remote)
    return binary if "b" in mode else io.TextIOWrapper(binary, "utf-8")


class _RemoteFile(io.RawIOBase):
    """A file of `tf.io.gfile` as Python's own: pyarrow and gzip take no other."""

    def __init__(self, path: str, mode: str) -> None:
        self._path, self._mode = path, mode
        with _reaching(path):
            self._file = _gfile().GFile(path, f"{mode}b")

    def readable(self) -> bool:
        return self._mode == "r"

    def writable(self) -> bool:
        return self._mode != "r"

    def seekable(self) -> bool:
        return self.readable()

    def readinto(self, buffer: Any) -> int:
        with _reaching(self._path):
            block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def write(self, block: Any) -> int:
        with _reaching(self._path):
            self._file.write(bytes(block))
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            with _reaching(self._path):
                self._file.close()
        super().close()


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Create a folder and its parents; one that exists is left as it is."""
    if is_remote(folder):
        with _reaching(folder):
            _gfile().makedirs(str(folder))
    else:
        os.makedirs(folder, exist_ok=True)


def remove_folder(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and what it holds; an absent one is no error."""
    if is_remote(folder):
        if exists(folder):
            with _reaching(folder):
                _gfile().rmtree(str(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)


def remove_file(path: str | os.PathLike[str]) -> None:
    """Remove a file; an absent one is no error."""
    if not is_remote(path):
        Path(path).unlink(missing_ok=True)
    elif exists(path):
        with _reaching(path):
            _gfile().remove(str(path))


def upload_folder(folder: str, place: str, *, last: str) -> None:
    """Copy a local folder's files to a remote place, each in one move.

    In: `last`: the name of the file that comes after all others.
    """
    found = [
        (os.path.relpath(os.path.join(parent, name), folder), name == last)
        for parent, _, names in os.walk(folder)
        for name in names
    ]
    for path, _ in sorted(found, key=lambda file: (file[1], file[0])):
        target = join(place, *path.split(os.sep))
        make_folder(target.rpartition("/")[0])
        with _reaching(target):
            _gfile().copy(os.path.join(folder, path), target, overwrite=True)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file."""
    with open_file(path) as file:
        return json.loads(file.read())


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in one move: a reader sees the old text or the new one."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file in one move: a reader sees the old content or the new one."""
    if is_remote(path):  # An object store shows an object only when it is complete.
        with open_file(path, "wb") as file:
            file.write(content)
        return
    make_folder(os.path.dirname(os.path.abspath(path)))
    beside = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as err:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        _name(err, path)
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file in one move, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def new_folder(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Yield a folder to fill, which takes the wanted place only if all went well.

    Local: a sibling that is renamed in. Remote: the place itself, since renaming
    there copies object by object; whoever reads it looks for its manifest, which
    is to be written last.
    """
    if is_remote(folder):
        remove_folder(folder)
        make_folder(folder)
        yield str(folder)
        return
    place = Path(os.path.abspath(folder))
    beside = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        beside.mkdir(parents=True)
        yield str(beside)
        _swap_in(beside, place)
    except BaseException as err:
        shutil.rmtree(beside, ignore_errors=True)
        _name(err, place)
        raise


def _swap_in(beside: Path, place: Path) -> None:
    old = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.old")
    try:
        if place.exists():
            place.rename(old)
        beside.rename(place)
    except BaseException:
        if old.exists() and not place.exists():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _name(err: BaseException, place: str | os.PathLike[str]) -> None:
    """Say in an error of the system whose writing failed: most do not tell."""
    if isinstance(err, OSError) and err.errno and err.filename in (None, ""):
        err.filename = os.fspath(place)


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as lower-case hex digits."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(*values: Any) -> str:
    """Return 16 hex digits that change whenever any of the values does.

    In: anything that JSON can hold; mappings are read in the order of their keys.
    """
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
