"""Reads Parquet files, some row groups' pages at a time."""

import contextlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from data import files
from data.errors import DataError
from data.schema import Column, Table
from data.tables.problems import OddRows, check_columns, empty_file
from data.tables.source import GZIP_MARK, place_in_toml
from data.tables.text import BadCells, as_text

BATCH_ROWS, BATCH_BYTES = 1 << 17, 1 << 25
_BUFFER_BYTES = 1 << 20
_MEND = "Mend these rows, or write the column as text."


def column_names(path: str, table: Table, name: str | None = None) -> list[str]:
    """Return the columns that the file has. Raises: DataError."""
    with _open(path, name) as file:
        return list(file.schema_arrow.names)


def read(path: str, name: str, table: Table) -> Iterator[pa.Table]:
    """Read a table's columns block by block. For the rest see `read_batches`."""
    odd, num_read = OddRows(path), 0
    with _open(path, name) as file:
        check_columns(path, name, table, file.schema_arrow.names)
        for column, spec in table.columns.items():
            _check_kind(path, column, spec, file.schema_arrow.field(column).type)
        batches = file.iter_batches(
            _batch_rows(file, table), columns=list(table.columns), use_threads=False
        )
        for batch in batches:
            yield _block(batch, table, num_read, odd)
            num_read += batch.num_rows
    odd.raise_any(_MEND)


@contextlib.contextmanager
def _open(path: str, name: str | None) -> Iterator[pq.ParquetFile]:
    with files.open_file(path) as raw:
        head = raw.peek(4)  # type: ignore[attr-defined]
        if not head:
            raise empty_file(path, name)
        if head.startswith(GZIP_MARK):
            raise DataError(
                f"{path}: found gzip, expected Parquet, which is packed itself. Unpack "
                "the file."
            )
        try:
            # Pages are read as they are needed: a row group may be the whole file.
            yield pq.ParquetFile(raw, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except (pa.ArrowException, OSError) as err:
            raise DataError(
                f"{path}: cannot be read as Parquet: {err}. Fetch or write it again, "
                f"or set format{place_in_toml(name)}."
            ) from err


def _check_kind(path: str, name: str, column: Column, kind: pa.DataType) -> None:
    """Raise DataError for a column whose type has no text."""
    try:
        as_text(pa.array([], kind), column)
    except pa.ArrowException as err:
        raise DataError(
            f"{path}, column '{name}': found values of type {kind}, expected text, "
            "numbers, times or lists of them. Write the column as text."
        ) from err


def _batch_rows(file: pq.ParquetFile, table: Table) -> int:
    """Return how many rows of the named columns are read at a time."""
    largest = 1.0
    for group in map(file.metadata.row_group, range(file.num_row_groups)):
        chunks = map(group.column, range(group.num_columns))
        size = sum(
            chunk.total_uncompressed_size
            for chunk in chunks
            if chunk.path_in_schema.split(".")[0] in table.columns
        )
        largest = max(largest, size / max(group.num_rows, 1))
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / largest)))


def _block(batch: pa.RecordBatch, table: Table, before: int, odd: OddRows) -> pa.Table:
    """Return the text of a batch. In: `before`: how many rows come before it."""
    cells = {}
    for name, column in table.columns.items():
        problems = {}
        try:
            cells[name] = as_text(batch.column(name), column)
        except BadCells as err:
            problems = {f"row {before + i + 1}": p for i, p in err.problems.items()}
        except pa.ArrowInvalid as err:
            rows = f"rows {before + 1} to {before + batch.num_rows}"
            problems = {rows: f"found what is no text: {err}."}
        if problems:
            cells[name] = pa.nulls(batch.num_rows, pa.string())
        for place, problem in problems.items():
            odd.add(f"{place}, column '{name}'", problem)
    return pa.table(cells)
