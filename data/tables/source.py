"""Text files as blocks of UTF-8, however they are packed and encoded."""

import codecs
import contextlib
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from data import files
from data.errors import DataError

READ_BYTES = 1 << 20
BLOCK_BYTES = 1 << 22  # What a reader parses at a time: no row may be longer.
GZIP_MARK = b"\x1f\x8b"


def blocks(path: str, encoding: str) -> Iterator[bytes]:
    """Read a file as UTF-8 without a byte order mark, block by block.

    Raises: UnicodeError for what the encoding does not have; see `readable`.
    """
    read = filter(None, _to_utf8(_raw(path), encoding))
    yield next(read, b"").removeprefix(codecs.BOM_UTF8)
    yield from read


def open_blocks(read: Iterator[bytes]) -> io.BufferedReader:
    """Return blocks as a file to read from."""
    return io.BufferedReader(_Stream(read), READ_BYTES)


@contextlib.contextmanager
def readable(path: str, name: str | None, encoding: str) -> Iterator[None]:
    """Turn what reading a packed or encoded file raises into DataError.

    In: `name`: of the table in the TOML, if it is in one.
    """
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as err:
        raise DataError(
            f"{path}: expected gzip, as its first bytes say, found a damaged file "
            f"({err}). Fetch or pack it again."
        ) from err
    except UnicodeError as err:
        line = _undecodable_line(path, encoding)
        place = f", line {line}" if line else ""
        raise DataError(
            f"{path}{place}: cannot be read as a table in {encoding}: {err}. "
            f"Mend the line, save the file as UTF-8, or set encoding"
            f"{place_in_toml(name)}."
        ) from err


def place_in_toml(name: str | None) -> str:
    """Return where a table's settings are, for the end of an advice."""
    return f" in [data.{name}]" if name else ""


def _raw(path: str) -> Iterator[bytes]:
    with files.open_file(path) as file:
        # By its bytes, not its name: what fetches a file may unpack it on the way.
        packed = file.peek(2).startswith(GZIP_MARK)  # type: ignore[attr-defined]
        source = cast(IO[bytes], gzip.open(file)) if packed else file
        yield from iter(lambda: source.read(READ_BYTES), b"")


def _to_utf8(raw: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    # UTF-8 too, to refuse what is none: pyarrow would lose a broken row that has a
    # broken character, as it cannot hand its text on.
    decoder = codecs.getincrementaldecoder(encoding)()
    for block in raw:
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


class _Stream(io.RawIOBase):
    def __init__(self, read: Iterator[bytes]) -> None:
        self._read, self._rest = read, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:  # An empty block is not the end of the file.
            self._rest = memoryview(next(filter(None, self._read), b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _undecodable_line(path: str, encoding: str) -> int | None:
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    for block in itertools.chain(_raw(path), [b""]):
        state = decoder.getstate()
        try:
            line += decoder.decode(block, final=not block).count("\n")
        except UnicodeDecodeError as err:
            # The decoder put what it held back before the block.
            good = block[: max(err.start - len(state[0]), 0)]
            decoder.setstate(state)
            return line + decoder.decode(good).count("\n")
    return None
