"""Separated text in archives, read and written without holding a whole file."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from data.errors import DataError
from data.fetch.archives import Members

_BLOCK_BYTES = 1 << 22


def copy_numbers(
    members: Members,
    member: str,
    separator: bytes,
    target: Path,
    columns: Sequence[str],
    *,
    header: bool = False,
    named: Sequence[str] = (),
) -> None:
    """Copy a table of numbers in blocks of bytes, as nothing in it needs quoting.

    In: `columns`: the header to write; `header`: the member has one too; `named`: the
    names that must stand in it, if they matter.
    Raises: a row of another number of fields, another header -> DataError.
    """
    with members.open(member) as source, open(target, "wb") as file:
        file.write((",".join(columns) + "\n").encode())
        if header:
            _check_names(source.readline(), separator, member, named)
        row = int(header)
        for block in _whole_lines(source):
            lines = block.replace(separator, b",").replace(b"\r\n", b"\n")
            row += _check_fields(lines, member, row, len(columns))
            file.write(lines)


def _whole_lines(source: IO[bytes]) -> Iterator[bytes]:
    """Yield a file in blocks that end with a line feed: lines one by one are slow."""
    rest = b""
    while block := source.read(_BLOCK_BYTES):
        whole, feed, rest = (rest + block).rpartition(b"\n")
        if feed:
            yield whole + feed
    if rest:
        yield rest + b"\n"


def _check_names(
    line: bytes, separator: bytes, member: str, named: Sequence[str]
) -> None:
    found = line.decode("utf-8-sig", "replace").strip().split(separator.decode())
    if named and found != list(named):
        raise DataError(
            f"{member} line 1: expected the columns {', '.join(named)}, found "
            f"{', '.join(found)}. The archive is of another version."
        )


def _check_fields(block: bytes, member: str, row: int, expected: int) -> int:
    """Count the fields of each line of a block, which follows `row` lines."""
    marks = np.frombuffer(block, np.uint8)
    feeds, commas = np.flatnonzero(marks == 10), np.flatnonzero(marks == 44)
    fields = np.diff(np.searchsorted(commas, feeds), prepend=0) + 1
    if (wrong := np.flatnonzero(fields != expected)).size:
        first = int(wrong[0])
        raise wrong_fields(member, row + first + 1, expected, int(fields[first]))
    return len(feeds)


def read_rows(
    members: Members,
    member: str,
    separator: str,
    encoding: str,
    fields: int,
    header: bool = False,
) -> Iterator[list[str]]:
    """Yield the fields of each line of a table that knows no quoting.

    Raises: a row of another number of fields -> DataError with its line.
    """
    with members.open(member) as file:
        text = io.TextIOWrapper(file, encoding=encoding)
        for number, line in enumerate(text, start=1):
            if (header and number == 1) or not line.strip():
                continue
            row = line.rstrip("\n").split(separator)
            if len(row) != fields:
                raise wrong_fields(member, number, fields, len(row))
            yield row


def read_csv(
    members: Members, member: str, columns: Sequence[str]
) -> Iterator[list[str]]:
    """Yield the cells of the named columns of a UTF-8 CSV file with a header.

    Out: a list for each row, in the order of `columns`.
    Raises: an absent column, a row of another number of fields, text that is not
    UTF-8 or not CSV -> DataError with its line.
    """
    with members.open(member) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, strict=True)
        try:
            names = next(reader, [])
            places = [_place(member, names, column) for column in columns]
            for row in reader:
                if len(row) != len(names):
                    raise wrong_fields(member, reader.line_num, len(names), len(row))
                yield [row[place] for place in places]
        except (csv.Error, UnicodeDecodeError) as err:
            raise DataError(
                f"{member} line {reader.line_num + 1}: expected CSV in UTF-8, found "
                f"{err}. The file is damaged; fetch it again."
            ) from err


def _place(member: str, names: list[str], column: str) -> int:
    if column not in names:
        raise DataError(
            f"{member} line 1: expected a column '{column}', found "
            f"{', '.join(names) or 'nothing'}. The file is of another version."
        )
    return names.index(column)


def write_table(path: Path, columns: Iterable[str], rows: Iterable[list[str]]) -> None:
    """Write a CSV file as the head of this package says."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def wrong_fields(member: str, line: int, expected: int, found: int) -> DataError:
    """Return the error of a row that has too many or too few fields."""
    return DataError(
        f"{member} line {line}: expected {expected} fields, found {found}. "
        "The archive is damaged or of another version; fetch it again."
    )
