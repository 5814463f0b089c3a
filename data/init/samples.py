"""The rows of a table that are looked at, each column's values numbered."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from data import files
from data.errors import ConfigError
from data.init.cells import Cells, encoded, of_arrow, of_values
from data.init.formats import SHOWN_CHARACTERS, Layout, decode, find_layout
from data.init.raw import WHOLE_BYTES, read_raw

UNIT_SEPARATOR = "\x1f"
PARQUET_ROWS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A table's rows, or so many as tell what it holds.

    `columns`: dictionary-encoded strings (rows,), null for an empty cell, in the
    file's order, with `names` as the file has them; "" where it has none. `nested`:
    places of columns that hold objects or lists of lists; `lists`: what joins the
    texts of those that hold lists, by place. `odd`: rows of another number of
    fields than the header's. `is_whole`: whether these are all rows.
    """

    layout: Layout
    names: tuple[str, ...]
    columns: tuple[pa.DictionaryArray, ...]
    num_rows: int
    is_whole: bool
    nested: frozenset[int] = frozenset()
    lists: Mapping[int, str] = field(default_factory=dict)
    odd: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Return the file's path, as it was given."""
        return self.layout.path


def read_sample(path: str) -> Sample:
    """Find out how a table is written and read its rows, or a sample of many.

    Raises: ConfigError for what is no table of at least one row and two columns.
    """
    raw = read_raw(path)
    layout = find_layout(raw)
    if layout.format == "parquet":
        sample = _read_parquet(layout)
    elif layout.format == "json_lines":
        sample = _read_json_lines(layout, decode(raw, layout.encoding), raw.is_whole)
    else:
        whole = raw.is_whole
        sample = _read_separated(layout, decode(raw, layout.encoding), whole)
    if sample.num_rows == 0:
        raise ConfigError(
            f"{path}: found no rows, expected a table. Put the rows there, or name "
            "another file."
        )
    if len(sample.names) < 2:
        raise ConfigError(
            f"{path}: found one column, {sample.names[0]!r}, expected several. Name "
            "another file."
        )
    return sample


def _read_separated(layout: Layout, texts: list[str], is_whole: bool) -> Sample:
    tables, odd = [], []
    for number, text in enumerate(texts):
        skipped = 1 if number == 0 and layout.header is not None else 0
        table, odd_here = _parse(layout, text, skipped)
        # A piece cut inside a quoted cell of several lines reads as garbage.
        if number and len(odd_here) > 0.01 * table.num_rows:
            continue
        tables.append(table)
        odd += odd_here
    table = pa.concat_tables(tables)
    return Sample(
        layout=layout,
        names=layout.header or ("",) * layout.num_columns,
        columns=tuple(encoded(column) for column in table.columns),
        num_rows=table.num_rows,
        is_whole=is_whole,
        odd=tuple(odd),
    )


def _parse(layout: Layout, text: str, skipped: int) -> tuple[pa.Table, list[str]]:
    names = [str(place) for place in range(layout.num_columns)]
    long = len(layout.separator) > 1
    if long:
        text = text.replace(layout.separator, UNIT_SEPARATOR)
    odd: list[str] = []

    def note(row: Any) -> str:
        shown = row.text.replace(UNIT_SEPARATOR, layout.separator)
        odd.append(f"{row.actual_columns} fields in {shown[:SHOWN_CHARACTERS]!r}")
        return "skip"

    if not text.strip():
        return pa.table({name: pa.array([], pa.string()) for name in names}), odd
    try:
        table = pa.csv.read_csv(
            io.BytesIO(text.encode("utf-8", "replace")),
            read_options=pa.csv.ReadOptions(
                column_names=names,
                skip_rows_after_names=skipped,
                block_size=max(WHOLE_BYTES // 4, 1 << 20),
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=UNIT_SEPARATOR if long else layout.separator,
                quote_char=False if long else '"',
                newlines_in_values=not long,
                invalid_row_handler=note,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as err:
        raise ConfigError(
            f"{layout.path}: cannot be read as a table separated by "
            f"{layout.separator!r} in {layout.encoding}: {err}. Mend the row."
        ) from err
    return table, odd


def _read_json_lines(layout: Layout, texts: list[str], is_whole: bool) -> Sample:
    cells: dict[str, list[Any]] = {}
    rows = 0
    for text in texts:
        for line in text.split("\n"):
            if line.strip():
                for name, cell in _object(layout.path, line).items():
                    column = cells.setdefault(name, [])
                    column += [None] * (rows - len(column))
                    column.append(cell)
                rows += 1
    for values in cells.values():
        values += [None] * (rows - len(values))
    columns = dict(enumerate(map(of_values, cells.values())))
    return _of_cells(layout, columns, list(cells), is_whole)


def _of_cells(
    layout: Layout, cells: dict[int, Cells], names: list[str], is_whole: bool
) -> Sample:
    separators = {place: column.separator for place, column in cells.items()}
    return Sample(
        layout=layout,
        names=tuple(names),
        columns=tuple(column.texts for column in cells.values()),
        num_rows=len(cells[0].texts) if cells else 0,
        is_whole=is_whole,
        nested=frozenset(i for i, column in cells.items() if column.is_nested),
        lists={i: s for i, s in separators.items() if s is not None},
    )


def _object(path: str, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as err:
        raise ConfigError(
            f"{path}: found {line[:SHOWN_CHARACTERS]!r}, expected one JSON object in "
            f"each line ({err}). Mend the line."
        ) from err
    if not isinstance(value, dict):
        raise ConfigError(
            f"{path}: found {line[:SHOWN_CHARACTERS]!r}, expected one JSON object in "
            "each line. Mend the line."
        )
    return value


def _read_parquet(layout: Layout) -> Sample:
    try:
        with files.open_file(layout.path) as file:
            parquet = pq.ParquetFile(file)
            table, is_whole = _row_groups(parquet)
    except (pa.ArrowInvalid, OSError) as err:
        raise ConfigError(
            f"{layout.path}: expected Parquet, as the first bytes say, found a damaged "
            f"file ({err}). Fetch or write it again."
        ) from err
    columns = dict(enumerate(map(of_arrow, table.columns)))
    return _of_cells(layout, columns, table.column_names, is_whole)


def _row_groups(parquet: pq.ParquetFile) -> tuple[pa.Table, bool]:
    """Read all row groups, or some at equal distances of a long file."""
    number = parquet.num_row_groups
    if parquet.metadata.num_rows <= PARQUET_ROWS or number < 2:
        return parquet.read().slice(0, PARQUET_ROWS), (
            parquet.metadata.num_rows <= PARQUET_ROWS
        )
    kept = max(1, number * PARQUET_ROWS // parquet.metadata.num_rows)
    chosen = np.unique(np.linspace(0, number - 1, kept).astype(int)).tolist()
    return parquet.read_row_groups(chosen), False
