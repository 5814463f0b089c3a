"""Reads what a person hands in: rows of items, or the ids of some."""

import collections
import dataclasses
from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from data.changes.changes import item_columns
from data.errors import DataError, nearest
from data.schema import Column, DataConfig, Table
from data.tables import column_names, read_table, table_format, table_path
from data.tables.source import blocks
from data.validate import NUMBER_ADVICE, ONE_LINE, Findings, broken_ids, no_number

ITEM_ID = "item_id"
SEPARATORS = (",", "\t", ";", "|")


def item_id_column(config: DataConfig) -> str:
    """Return what the data set calls the column of items' ids."""
    table = config.items or config.interactions
    return table.column("item_id") or ITEM_ID


def read_items(path: str, config: DataConfig) -> pd.DataFrame:
    """Read rows of items, described as the data set's own items are.

    Out: strings by id, None for an empty cell, of the columns that the file has.
    Raises: DataError for an absent, empty or unreadable file, unknown columns, an
    absent, repeated or broken id, and what is no number in a numeric column.
    """
    described = config.items.columns if config.items else {}
    table, names = _describe(path, config)
    own = item_id_column(config)
    id_column = _id_column(names, own)
    if id_column is None:
        raise _no_ids(path, own, names)
    for name in names:
        if name != id_column and name not in item_columns(config):
            raise DataError(
                f"{path}: unknown column '{name}', which the data set's items do not "
                f"have. {nearest(name, [own, *item_columns(config)])} Rename it or "
                "leave it out."
            )
    columns = {n: described.get(n, Column(role="item_id")) for n in names}
    frame = read_table("items", dataclasses.replace(table, columns=columns), "")
    _check(path, frame, id_column, columns)
    frame = frame.astype(object).where(frame.notna(), None)
    return frame.set_index(id_column)


def read_ids(path: str, config: DataConfig) -> list[str]:
    """Read ids: a table with their column, or one id a line.

    Out: each id once, in the file's order. Raises: as `read_items`.
    """
    table, names = _describe(path, config)
    own = item_id_column(config)
    id_column = _id_column(names, own)
    if id_column is None:
        if table_format(table) != "csv" or len(names) != 1:
            raise _no_ids(path, own, names)
        id_column = own
        table = dataclasses.replace(table, header=False, names=(own,))
    columns = {id_column: Column(role="item_id")}
    frame = read_table("items", dataclasses.replace(table, columns=columns), "")
    ids = frame[id_column]
    findings = Findings()
    _check_ids(findings, id_column, ids)
    _raise(findings, path, len(frame))
    return list(dict.fromkeys(ids))


def check_known(path: str, ids: list[str], column: str, known: Iterable[str]) -> None:
    """Raise DataError, naming the ids that no item of the catalogue has."""
    cells = pd.Series(ids, dtype=object)
    unknown = ~cells.isin(set(known)).to_numpy(bool)
    findings = Findings()
    advice = f"Leave these out; if it is a header, call it '{column}'."
    texts = pa.array(cells, pa.string())
    findings.add(column, texts, unknown, "an item of the catalogue", advice, 1)
    _raise(findings, path, len(ids))


def _describe(path: str, config: DataConfig) -> tuple[Table, list[str]]:
    """Describe a file that has a header. Out: its columns, too."""
    table = Table(path=path, columns={})
    table_path(table, "")
    if table_format(table) != "csv":
        return table, column_names(table, "")
    table = dataclasses.replace(table, encoding=_encoding(path, config))
    separators = list(SEPARATORS)
    if config.items is not None and table_format(config.items) == "csv":
        separators.insert(0, config.items.separator)
    for separator in dict.fromkeys(separators):
        tried = dataclasses.replace(table, separator=separator)
        names = column_names(tried, "")
        if _id_column(names, item_id_column(config)) is not None:
            return tried, names
    return table, column_names(table, "")


def _encoding(path: str, config: DataConfig) -> str:
    """Return UTF-8, or the encoding of the items' own table if it is not that."""
    usual = Table(path=path, columns={}).encoding
    if config.items is None or config.items.encoding == usual:
        return usual
    try:
        collections.deque(blocks(path, usual), maxlen=0)
    except UnicodeError:
        return config.items.encoding
    return usual


def _id_column(names: list[str], own: str) -> str | None:
    """Find the ids: by the data set's name of them, or by that of the servables."""
    return next((name for name in (own, ITEM_ID) if name in names), None)


def _no_ids(path: str, own: str, names: list[str]) -> DataError:
    return DataError(
        f"{path}: no column '{own}', expected a header that names it. "
        f"{nearest(own, names)}"
    )


def _check(
    path: str, frame: pd.DataFrame, id_column: str, columns: dict[str, Column]
) -> None:
    findings, ids = Findings(), frame[id_column]
    _check_ids(findings, id_column, ids)
    repeated = (ids.notna() & ids.duplicated(keep=False)).to_numpy(bool)
    advice = "Keep one row for each id."
    texts = pa.array(ids, pa.string())
    findings.add(id_column, texts, repeated, "each id once", advice, 1)
    for name, column in columns.items():
        if column.kind == "numeric":
            bad, cells = no_number(frame[name]), pa.array(frame[name], pa.string())
            findings.add(name, cells, bad, "a number", NUMBER_ADVICE, 1)
    _raise(findings, path, len(frame))


def _check_ids(findings: Findings, column: str, ids: pd.Series) -> None:
    texts = pa.array(ids, pa.string())
    advice = "Give each row an id."
    findings.add(column, texts, ids.isna().to_numpy(bool), "an id", advice, 1)
    findings.add(column, texts, broken_ids(texts), *ONE_LINE, 1)


def _raise(findings: Findings, path: str, total: int) -> None:
    found = [str(finding) for finding in findings.listed(path, total)]
    if found:
        raise DataError("\n".join(found))
