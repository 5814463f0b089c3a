"""Files that are either whole or absent, on local disks and on object stores.

A path with a scheme (`gs://bucket/folder`) goes through `tf.io.gfile`; a plain
path never imports TensorFlow, so that `python -m data` starts at once.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

CHUNK_BYTES = 1 << 20


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path has a scheme, as in `gs://bucket/folder`."""
    return "://" in str(path)


def _gfile() -> Any:
    from tensorflow.io import gfile

    return gfile


def join(folder: str | os.PathLike[str], *names: str) -> str:
    """Join path parts with the separator of the folder's file system."""
    if is_remote(folder):
        return "/".join([str(folder).rstrip("/"), *names])
    return os.path.join(folder, *names)


def exists(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file or a folder is there."""
    if is_remote(path):
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
    names = _gfile().listdir(str(folder)) if is_remote(folder) else os.listdir(folder)
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
        self._file, self._mode = _gfile().GFile(path, f"{mode}b"), mode

    def readable(self) -> bool:
        return self._mode == "r"

    def writable(self) -> bool:
        return self._mode != "r"

    def seekable(self) -> bool:
        return self.readable()

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def write(self, block: Any) -> int:
        self._file.write(bytes(block))
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Create a folder and its parents; one that exists is left as it is."""
    if is_remote(folder):
        _gfile().makedirs(str(folder))
    else:
        os.makedirs(folder, exist_ok=True)


def remove_folder(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and what it holds; an absent one is no error."""
    if is_remote(folder):
        if exists(folder):
            _gfile().rmtree(str(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)


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
