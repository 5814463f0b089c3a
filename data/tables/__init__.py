"""Reads raw tables: every cell as text, so that what is wrong can be shown.

A table is separated text, JSON lines or Parquet. It comes a block at a time, so that
a file may be longer than memory, and the same cells come out of all three formats.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from data import files
from data.errors import DataError, EmptyTable, nearest
from data.schema import Table
from data.tables import json_lines, parquet, separated

__all__ = ["column_names", "read_batches", "read_table", "table_format", "table_path"]

MAX_ROWS = 1_000_000
_FORMATS = {"csv": separated, "json_lines": json_lines, "parquet": parquet}
_ENDINGS: dict[str, Literal["json_lines", "parquet"]] = {
    ".jsonl": "json_lines",
    ".ndjson": "json_lines",
    ".json": "json_lines",
    ".parquet": "parquet",
}


def read_batches(name: str, table: Table, folder: str) -> Iterator[pa.Table]:
    """Read the columns that a table's description names, block by block.

    In: `name`: "interactions", "items" or "users"; `folder`: where relative paths
    start. Out: tables of at most MAX_ROWS rows in the file's order, their columns
    those of the description in its order, all strings, null for an empty cell.
    Raises: EmptyTable for a file without a row; DataError for an absent or unreadable
    file and an absent column; after the last block for rows that are not what the
    others are.
    """
    path = table_path(table, folder)
    empty = True
    for block in _FORMATS[table_format(table)].read(path, name, table):
        for start in range(0, block.num_rows, MAX_ROWS):
            empty = False
            yield block.slice(start, MAX_ROWS)
    if empty:
        header = "a header and " if table_format(table) == "csv" else ""
        raise EmptyTable(
            f"{path}: found {header}no rows, expected {name}. Put the rows there, "
            "or name another file."
        )


def read_table(name: str, table: Table, folder: str) -> pd.DataFrame:
    """Read a whole table that is known to be small.

    In and raises: as `read_batches`. Out: strings, empty cells as NaN.
    """
    frame: pd.DataFrame = pa.concat_tables(
        read_batches(name, table, folder)
    ).to_pandas()
    return frame


def column_names(table: Table, folder: str) -> list[str]:
    """Return the columns that a file has, in its order; of JSON the first rows' keys.

    Raises: EmptyTable for an empty file; DataError for an absent or unreadable one.
    """
    path = table_path(table, folder)
    names: list[str] = _FORMATS[table_format(table)].column_names(path, table)
    return names


def table_path(table: Table, folder: str) -> str:
    """Return where a table is. Raises: DataError when there is no such file."""
    absolute = files.is_remote(table.path) or Path(table.path).is_absolute()
    path = table.path if absolute else files.join(folder, table.path)
    if not files.exists(path):
        raise DataError(f"{path}: no such file. {_beside(path)}")
    if files.is_folder(path):
        raise DataError(f"{path}: found a folder, expected a file. Name one in it.")
    return path


def _beside(path: str) -> str:
    """Tell what is in the folder in which a file is not."""
    folder, wanted = os.path.split(path)
    folder = folder or "."
    if not files.exists(folder):
        return f"There is no folder {folder} either."
    return nearest(wanted, files.listdir(folder))


def table_format(table: Table) -> Literal["csv", "json_lines", "parquet"]:
    """Return how a table is written; "auto" goes by the file's name."""
    if table.format != "auto":
        return table.format
    name = table.path.lower().removesuffix(".gz")
    ending = name[name.rfind(".") :] if "." in name else ""
    return _ENDINGS.get(ending, "csv")
