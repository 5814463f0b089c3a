"""The bytes of a table that somebody has: found, told from other files, unpacked."""

import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from data import files
from data.errors import ConfigError, nearest

HEAD_BYTES = 1 << 20
WHOLE_BYTES = 1 << 26  # A table up to this size is read whole, a larger one in pieces.
PIECES = 16
GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
UNPACK = "Unpack it and name the table inside."
EXPORT = "Export the table as CSV or Parquet and name that file."
FOREIGN = (
    (b"PK\x03\x04", "a zip archive or a workbook (.zip, .xlsx)", f"{UNPACK} {EXPORT}"),
    (b"\xd0\xcf\x11\xe0", "an old workbook (.xls)", EXPORT),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"Rar!", "a rar archive", UNPACK),
    (b"\x89PNG", "a PNG image", "Name the table."),
    (b"\xff\xd8\xff", "a JPEG image", "Name the table."),
    (b"%PDF", "a PDF document", EXPORT),
    (b"SQLite format 3", "an SQLite database", EXPORT),
    (b"\x89HDF", "an HDF5 file", EXPORT),
    (b"ARROW1", "an Arrow or Feather file", EXPORT),
    (b"Obj\x01", "an Avro file", EXPORT),
    (b"ORC", "an ORC file", EXPORT),
    (b"\x93NUMPY", "a NumPy array", EXPORT),
    (b"\x80\x04\x95", "a Python pickle", EXPORT),
)


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A file's bytes, unpacked.

    `pieces`: whole if `is_whole`, else the start of the file and pieces spread over
    the rest, each from and to anywhere. `num_bytes`: of the file as it lies there.
    """

    path: str
    packed: bool
    pieces: tuple[bytes, ...]
    is_whole: bool
    num_bytes: int

    @property
    def head(self) -> bytes:
        """Return the start of the file."""
        return self.pieces[0]


def read_raw(path: str) -> Raw:
    """Read a file, or pieces of a long one.

    Raises: ConfigError for an absent file, a folder, an empty file, a damaged gzip
    and what is plainly no table.
    """
    _check_place(path)
    with files.open_file(path) as file:
        start = file.read(8)
        size = file.seek(0, os.SEEK_END)
    packed = start.startswith(GZIP)
    try:
        pieces, is_whole = _unpacked(path) if packed else _spread(path, size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise ConfigError(
            f"{path}: expected gzip, as the first bytes say, found a damaged file "
            f"({err}). Fetch or pack it again."
        ) from err
    _check_content(path, pieces[0] if pieces else b"", packed)
    return Raw(
        path=path,
        packed=packed,
        pieces=tuple(pieces),
        is_whole=is_whole,
        num_bytes=size,
    )


def _check_place(path: str) -> None:
    if not files.exists(path):
        folder, _, wanted = path.rpartition("/")
        beside = files.listdir(folder or ".")
        raise ConfigError(f"{path}: no such file. {nearest(wanted, beside)}")
    is_other = not files.is_remote(path) and not os.path.isfile(path)
    if is_other and not files.is_folder(path):
        raise ConfigError(
            f"{path}: a pipe or a device, expected a file, which is read twice. Write "
            "the table to a file."
        )
    if files.is_folder(path):
        inside = ", ".join(files.listdir(path)[:10]) or "(nothing)"
        raise ConfigError(
            f"{path}: a folder, expected a table. Name one file; it holds {inside}."
        )


def _check_content(path: str, head: bytes, packed: bool) -> None:
    if not head.strip():
        raise ConfigError(
            f"{path}: the file is empty, expected a table. Put the table there, or "
            "name another file."
        )
    foreign = (*FOREIGN, *([(GZIP, "gzip inside gzip", UNPACK)] if packed else []))
    for magic, what, advice in foreign:
        if head.startswith(magic):
            raise ConfigError(f"{path}: found {what}, expected a table. {advice}")
    if head[257:262] == b"ustar":
        raise ConfigError(f"{path}: found a tar archive, expected a table. {UNPACK}")
    if head.startswith(PARQUET) and packed:
        raise ConfigError(
            f"{path}: found Parquet inside gzip, expected a table. {UNPACK}"
        )
    if not head.startswith((PARQUET, *UTF_16)) and _looks_binary(head):
        raise ConfigError(
            f"{path}: found a binary file that begins with {head[:8]!r}, expected a "
            f"table. {EXPORT}"
        )


def _looks_binary(head: bytes) -> bool:
    """Tell text from what no encoding makes text of.

    UTF-16 without a mark has many zeros too, all at even or all at odd places.
    """
    zeros = (head[::2].count(0), head[1::2].count(0))
    if sum(zeros):
        return min(zeros) > 0.02 * max(zeros) or sum(zeros) < 0.2 * len(head)
    odd = sum(head.count(byte) for byte in (*range(2, 9), *range(14, 27), 28, 29, 30))
    return odd > 0.01 * len(head)


def _spread(path: str, size: int) -> tuple[list[bytes], bool]:
    """Read a file whole, or its start and pieces at equal distances."""
    with files.open_file(path) as file:
        if size <= WHOLE_BYTES:
            return [file.read()], True
        length = WHOLE_BYTES // PIECES
        pieces = []
        for number in range(PIECES):
            file.seek(number * (size - length) // (PIECES - 1))
            pieces.append(file.read(length))
    return pieces, False


def _unpacked(path: str) -> tuple[list[bytes], bool]:
    """Unpack a gzip file, keeping pieces at equal distances if it is long.

    Its length is known at its end only: whenever twice too many pieces are kept,
    every second is dropped and from then on half as many are kept.
    """
    length = WHOLE_BYTES // PIECES
    kept: list[bytes] = []
    every, number = 1, -1
    for number, block in enumerate(_blocks(path, length)):
        if number % every == 0:
            kept.append(block)
        if len(kept) > PIECES:
            kept, every = kept[::2], 2 * every
    is_whole = every == 1
    return ([b"".join(kept)] if is_whole else kept), is_whole


def _blocks(path: str, length: int) -> Iterator[bytes]:
    with files.open_file(path) as file:
        unpacked = cast(IO[bytes], gzip.open(file))
        while block := unpacked.read(length):
            yield block
