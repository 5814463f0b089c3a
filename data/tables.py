"""Reads raw tables: every cell as text, so that what is wrong can be shown."""

import contextlib
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from data import files
from data.errors import DataError, nearest
from data.schema import Table

SHOWN_ROWS, SHOWN_CHARACTERS = 10, 60
BLOCK_BYTES = 1 << 24  # No row may be longer.
# Stands in for a separator of several characters, which the reader does not know.
UNIT_SEPARATOR = "\x1f"


def read_table(name: str, table: Table, folder: str) -> pd.DataFrame:
    """Read the columns that a table's description names.

    In: `name`: "interactions", "items" or "users"; `folder`: where relative paths
    start. Out: strings, empty cells as NaN, rows in the file's order.
    Raises: DataError for an absent, empty or unreadable file, an absent column, or
    rows of more or fewer fields than there are columns.
    """
    path = table_path(table, folder)
    rows = _OddRows(path, has_header=table.header)
    try:
        with _open(path, table) as file:
            read = _parse(file, table, rows)
    except (pa.ArrowInvalid, UnicodeError, EOFError, gzip.BadGzipFile) as err:
        raise _unreadable(path, name, table, err) from err
    rows.raise_any()
    _check_last_quote(path, table, read)
    check_columns(path, name, table, read.column_names)
    if read.num_rows == 0:
        raise DataError(
            f"{path}: found a header and no rows, expected {name}. Put the rows there, "
            "or name another file."
        )
    frame: pd.DataFrame = read.select(list(table.columns)).to_pandas()
    return frame


def table_path(table: Table, folder: str) -> str:
    """Return where a table is. Raises: DataError when there is no such file."""
    absolute = files.is_remote(table.path) or Path(table.path).is_absolute()
    path = table.path if absolute else files.join(folder, table.path)
    if not files.exists(path):
        beside, _, wanted = path.rpartition("/")
        raise DataError(
            f"{path}: no such file. {nearest(wanted, files.listdir(beside or '.'))}"
        )
    return path


def check_columns(path: str, name: str, table: Table, found: list[str]) -> None:
    """Raise DataError for a column that the TOML names and the file has not once."""
    for column in table.columns:
        if column not in found:
            raise DataError(
                f"{path}: no column '{column}', which [data.{name}.columns] names. "
                f"{nearest(column, map(str, found))}"
            )
        if found.count(column) > 1:
            raise DataError(
                f"{path}: found {found.count(column)} columns '{column}', expected "
                "one. Rename the others in the header."
            )


@contextlib.contextmanager
def _open(path: str, table: Table) -> Iterator[IO[bytes]]:
    with files.open_file(path) as raw:
        packed = path.endswith(".gz")
        file = cast(IO[bytes], gzip.open(raw)) if packed else raw
        if len(table.separator) > 1:
            one = UNIT_SEPARATOR.encode(table.encoding)
            separator = table.separator.encode(table.encoding)
            file = io.BytesIO(file.read().replace(separator, one))
        yield file


def _parse(file: IO[bytes], table: Table, rows: "_OddRows") -> pa.Table:
    long = len(table.separator) > 1
    return pa.csv.read_csv(
        file,
        read_options=pa.csv.ReadOptions(
            # Threads would lose the numbers of odd rows.
            use_threads=False,
            block_size=BLOCK_BYTES,
            encoding=table.encoding,
            column_names=list(table.names) or None,
            skip_rows=1 if table.header and table.names else 0,
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter=UNIT_SEPARATOR if long else table.separator,
            quote_char=False if long else '"',
            newlines_in_values=not long,
            invalid_row_handler=rows.add,
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types={column: pa.string() for column in table.columns},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


class _OddRows:
    """Rows of another number of fields than the table has columns."""

    def __init__(self, path: str, *, has_header: bool) -> None:
        self.path, self.has_header = path, has_header
        self.count = 0
        self.shown: list[str] = []

    def add(self, row: Any) -> str:
        self.count += 1
        if self.count <= SHOWN_ROWS:
            text = row.text.replace(UNIT_SEPARATOR, " ")
            self.shown.append(
                f"{self.path}, row {row.number - self.has_header}: found "
                f"{row.actual_columns} fields, expected {row.expected_columns}: "
                f"{text[:SHOWN_CHARACTERS]!r}"
            )
        return "skip"

    def raise_any(self) -> None:
        if self.count > len(self.shown):
            self.shown.append(f"... and {self.count - len(self.shown)} rows more.")
        if self.count:
            advice = (
                "Mend these rows: put a cell that holds the separator or a line break "
                'in quotes ("), close every quote, and keep empty cells.'
            )
            raise DataError("\n".join([*self.shown, advice]))


def _check_last_quote(path: str, table: Table, read: pa.Table) -> None:
    """Raise DataError when a quote that nothing closes took in the rest of a file."""
    last = read.column(read.num_columns - 1)[-1].as_py() if read.num_rows else None
    if not isinstance(last, str) or "\n" not in last:
        return
    with _open(path, table) as file:
        lines = io.TextIOWrapper(file, encoding=table.encoding)
        text = ""
        for line in lines:
            text = line.strip() or text
        lines.detach()  # Else closing it would close the file a second time.
    if not text.endswith('"'):
        raise DataError(
            f"{path}, row {read.num_rows}: found a quote that is never closed and "
            f"takes in {last.count(chr(10))} lines, expected one row in each line. "
            'Close the quote, or write "" for a quote inside a quoted cell.'
        )


def _unreadable(path: str, name: str, table: Table, err: Exception) -> DataError:
    if "Empty CSV" in str(err):
        return DataError(
            f"{path}: the file is empty, expected a table of {name}. Put the table "
            "there, or name another file."
        )
    if isinstance(err, (EOFError, gzip.BadGzipFile)):
        return DataError(
            f"{path}: expected gzip, as the name says, found a damaged file ({err}). "
            "Fetch or pack it again."
        )
    place = f", line {line}" if (line := _undecodable_line(path, table)) else ""
    return DataError(
        f"{path}{place}: cannot be read as a table separated by {table.separator!r} in "
        f"{table.encoding}: {err}. Mend the row, or set separator and encoding in "
        f"[data.{name}]."
    )


def _undecodable_line(path: str, table: Table) -> int | None:
    with _open(path, table) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(table.encoding)
            except UnicodeError:
                return number
    return None
