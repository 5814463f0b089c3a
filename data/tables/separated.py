"""Reads separated text, such as CSV, with pyarrow's streaming reader."""

import csv
import io
import itertools
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from data.errors import DataError
from data.schema import Table
from data.tables import source
from data.tables.problems import OddRows, check_columns, empty_file, excerpt
from data.tables.separator import Separator
from data.tables.source import place_in_toml, readable

# A row that is put after the last one: it comes back, unless a quote that nothing
# closes takes it in.
END = "\x02end of table\x03"
HEADER_BYTES = 1 << 20
RETURNED_WITHIN_S = 1.0
LENT_BLOCKS = 64
_MEND_ROWS = (
    "Mend these rows: put a cell that holds the separator or a line break "
    'in quotes ("), close every quote, and keep empty cells.'
)
_MEND_QUOTE = 'Close the quote, or write "" for a quote inside a quoted cell.'


def column_names(path: str, table: Table, name: str | None = None) -> list[str]:
    """Return the header's names, or those that the description gives.

    Raises: DataError for an empty or unreadable file.
    """
    separator = Separator(table.separator)
    with readable(path, name, table.encoding):
        read = separator.replace(_rows(path, table))
        head = source.open_blocks(read).read(HEADER_BYTES)
    if not head:
        raise empty_file(path, name)
    if table.names:
        return list(table.names)
    try:
        return next(separator.split(io.StringIO(head.decode(errors="replace"), "")))
    except csv.Error as err:
        raise DataError(f"{path}, header: {err}. {_MEND_QUOTE}") from err


def read(path: str, name: str, table: Table) -> Iterator[pa.Table]:
    """Read a table's columns block by block. For the rest see `read_batches`."""
    names = column_names(path, table, name)
    check_columns(path, name, table, names)
    try:
        with readable(path, name, table.encoding):
            yield from _blocks(path, table, names)
    except pa.ArrowInvalid as err:
        raise _unreadable(path, name, table, err) from err


def _rows(path: str, table: Table) -> Iterator[bytes]:
    """Read a file from its first row on, which is the header if it has one."""
    blocks = source.blocks(path, table.encoding)
    yield next(filter(None, (block.lstrip(b"\r\n") for block in blocks)), b"")
    yield from blocks


def _blocks(path: str, table: Table, names: list[str]) -> Iterator[pa.Table]:
    separator, odd = Separator(table.separator), OddRows(path)
    end = "\n" + table.separator.join([END] * len(names)) + "\n"
    lines = separator.replace(itertools.chain(_rows(path, table), [end.encode()]))

    def note(row: Any) -> str:
        text = separator.row(row.text).partition(END)[0].rstrip("\n")
        problem = f"found {row.actual_columns} fields, expected {row.expected_columns}"
        odd.add(f"row {row.number - table.header}", f"{problem}: {excerpt(text)}")
        return "skip"

    num_read, closed = 0, False
    for batch in _batches(lines, table, names, separator, note):
        if batch.num_rows:
            closed = batch.column(0)[-1].as_py() == END
            batch = batch.slice(0, batch.num_rows - closed)
            num_read += batch.num_rows
            cells = [separator.cells(column) for column in batch.columns]
            yield pa.table(cells, list(table.columns))
    odd.raise_any(_MEND_ROWS)
    if not closed:
        raise DataError(
            f"{path}, row {num_read}: found a quote that is never closed and takes in "
            f"the rest of the file, expected one row in each line. {_MEND_QUOTE}"
        )


class _LentBlocks(io.BufferedReader):
    """A file whose blocks do not end in a carriage return, and can be waited for.

    After a carriage return pyarrow leaves out the line feed that begins the next
    block, and so loses it where both are within quotes.
    """

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.held = b""
        # pyarrow reads a few blocks ahead; of older ones nothing is left.
        self.lent: deque[weakref.ref[np.ndarray]] = deque(maxlen=LENT_BLOCKS)

    def read(self, size: int | None = -1) -> np.ndarray:  # type: ignore[override]
        """Read a block. Out: uint8 (n,), which unlike bytes can be watched."""
        block = self.held + super().read((size or 0) - len(self.held))
        cut = len(block) > 1 and block.endswith(b"\r")
        self.held = b"\r" if cut else b""
        array = np.frombuffer(block[:-1] if cut else block, np.uint8)
        self.lent.append(weakref.ref(array))
        return array


def _batches(
    lines: Iterator[bytes],
    table: Table,
    names: list[str],
    separator: Separator,
    note: Any,
) -> Iterator[pa.RecordBatch]:
    file = _LentBlocks(source.open_blocks(lines))
    lent = file.lent
    reader = _open(file, table, names, separator, note)
    try:
        yield from reader
    finally:
        del reader
        _wait_until_returned(lent)


def _wait_until_returned(lent: "deque[weakref.ref[np.ndarray]]") -> None:
    """Wait until pyarrow's threads have let go of the last blocks.

    They do so a moment after the reader's end, and need Python for it: a process that
    ends in that moment is aborted.
    """
    latest = time.monotonic() + RETURNED_WITHIN_S
    while any(block() is not None for block in lent) and time.monotonic() < latest:
        time.sleep(1e-3)


def _open(
    file: io.BufferedReader,
    table: Table,
    names: list[str],
    separator: Separator,
    note: Any,
) -> pa.csv.CSVStreamingReader:
    # Columns by their places: names that are not asked for may repeat.
    wanted = [str(names.index(column)) for column in table.columns]
    return pa.csv.open_csv(
        file,
        read_options=pa.csv.ReadOptions(
            use_threads=False,  # Threads would lose the numbers of odd rows.
            block_size=source.BLOCK_BYTES,
            column_names=[str(place) for place in range(len(names))],
            skip_rows_after_names=int(table.header),
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter=separator.byte,
            quote_char=False if separator.long else '"',
            newlines_in_values=not separator.long,
            invalid_row_handler=note,
        ),
        convert_options=pa.csv.ConvertOptions(
            check_utf8=False,  # All of it has been decoded once.
            include_columns=wanted,
            column_types={place: pa.string() for place in wanted},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _unreadable(path: str, name: str, table: Table, err: pa.ArrowInvalid) -> DataError:
    if "straddling" in str(err):
        row = _long_row(path, table)
        place = f", row {row}" if row else ""
        return DataError(
            f"{path}{place}: found a row of more than {source.BLOCK_BYTES:,} bytes, "
            f"expected a shorter one. Most likely a quote is not closed. {_MEND_QUOTE}"
        )
    return DataError(
        f"{path}: cannot be read as a table separated by {table.separator!r}: {err}. "
        f"Mend the row, or set separator{place_in_toml(name)}."
    )


def _long_row(path: str, table: Table) -> int | None:
    """Find the row that pyarrow could not end, by Python's slower reader."""
    separator = Separator(table.separator)
    stream = source.open_blocks(separator.replace(_rows(path, table)))
    text = io.TextIOWrapper(stream, "utf-8", errors="replace", newline="")
    lines = iter(lambda: text.readline(source.READ_BYTES), "")
    number = 1 - table.header
    limit = csv.field_size_limit(source.BLOCK_BYTES // 4)  # A character has 4 bytes.
    try:
        for _ in separator.split(lines):
            number += 1
    except csv.Error:
        return number
    finally:
        csv.field_size_limit(limit)
    return None
