"""Rows of items and users: a new row of a known id takes the place of the old one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import files
from data.errors import EmptyTable
from data.ingest.given import FEW, Given, misfit
from data.schema import Table
from data.states.finding import Finding
from data.tables import read_table
from data.thresholds import Drift
from data.validate import NUMBER_ADVICE, ONE_LINE, Findings, broken_ids, no_number

ID_ROLES = {"items": "item_id", "users": "user_id"}


@dataclass(kw_only=True)
class Grown:
    """A table of items or users with new rows: what it holds, what is found of them."""

    frame: pd.DataFrame
    counts: dict[str, int]
    findings: list[Finding]


def grow(
    name: str, table: Table, folder: str, new: Sequence[Given], bounds: Drift
) -> Grown:
    """Lay new rows over a table, the last row given of each id.

    In: `table`, `folder`: the rows that stood. Out: their order kept, new ids after
    them in the order in which they came.
    """
    id_column = next(n for n, c in table.columns.items() if c.role == ID_ROLES[name])
    grown = Grown(
        frame=read_table(name, table, folder),
        counts={"rows": 0, "new": 0, "changed": 0, "same": 0, "refused": 0},
        findings=[],
    )
    for one in new:
        try:
            frame = read_table(name, one.table, "")
        except EmptyTable:
            continue
        grown.counts["rows"] += len(frame)
        good = _usable(one, frame, id_column, bounds, grown)
        _lay_over(grown, good, id_column)
    return grown


def _usable(
    new: Given, frame: pd.DataFrame, id_column: str, bounds: Drift, grown: Grown
) -> pd.DataFrame:
    refused, bad = Findings(), np.zeros(len(frame), bool)

    def refuse(column: str, wrong: np.ndarray, expected: str, advice: str) -> None:
        nonlocal bad
        cells = pa.array(frame[column], pa.string())
        refused.add(column, cells, wrong, expected, advice, 1)
        bad |= wrong

    ids = frame[id_column]
    refuse(id_column, ids.isna().to_numpy(bool), "an id", "Mend or drop the rows.")
    refuse(id_column, broken_ids(pa.array(ids, pa.string())), *ONE_LINE)
    for column, spec in new.table.columns.items():
        if spec.kind == "numeric":
            refuse(column, no_number(frame[column]), "a number", NUMBER_ADVICE)
    count, total = int(bad.sum()), len(frame)
    grown.counts["refused"] += count
    is_many = count > bounds.refuse_bad_rows * total
    severe = is_many and (count > FEW or 2 * count > total)
    for found in refused.listed(new.path, total):
        grown.findings.append(misfit("refuse" if severe else "warn", "rows", found))
    return frame[~bad]


def _lay_over(grown: Grown, new: pd.DataFrame, id_column: str) -> None:
    new = new.drop_duplicates(id_column, keep="last")
    old = grown.frame
    known = new[id_column].isin(old[id_column]).to_numpy(bool)
    both = new[known].set_index(id_column)
    stood = old.drop_duplicates(id_column).set_index(id_column).loc[both.index]
    differs = (both.fillna("") != stood[both.columns].fillna("")).any(axis=1)
    changed = both.index[differs.to_numpy(bool)]
    grown.counts["new"] += int((~known).sum())
    grown.counts["changed"] += len(changed)
    grown.counts["same"] += int(known.sum()) - len(changed)
    if len(changed):
        place = old[id_column].isin(changed).to_numpy(bool)
        rows = both.loc[old.loc[place, id_column]].reset_index()
        old = old.copy()
        old.loc[place, list(rows.columns)] = rows.to_numpy(object)
    grown.frame = pd.concat([old, new[~known]], ignore_index=True)


def write_frame(path: str, frame: pd.DataFrame, table: Table) -> None:
    """Write a table of strings as Parquet."""
    columns = {
        n: pa.array(frame[n], pa.string(), from_pandas=True) for n in table.columns
    }
    with files.open_file(path, "wb") as file:
        pq.write_table(pa.table(columns), file)
