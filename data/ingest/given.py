"""New files: how they are written, and what of them cannot be used."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from data import files
from data.errors import EmptyTable, nearest
from data.ingest.former import Former
from data.prepare.rows import Rows
from data.schema import Column, DataConfig, Table
from data.states.finding import Finding, Severity
from data.states.ids import described, is_other
from data.tables import column_names, read_batches, table_path
from data.validate import ONE_LINE, Findings, bad_values, broken_ids
from data.validate import Finding as Misfit

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
FEW = 10  # So many bad rows of a small file are mended by hand.


@dataclass(frozen=True, kw_only=True)
class Given:
    """A new file: for which table, how it is written, its bytes' SHA-256."""

    name: str
    table: Table
    sha256: str

    @property
    def path(self) -> str:
        """Return where the file is."""
        return self.table.path


def given(name: str, table: Table, path: str) -> Given:
    """Describe a new file of a table.

    One with the ending of the table's own file, or with none of ENDINGS, is written as
    that is; .csv and .tsv are UTF-8 with a header, separated by commas and tabs.
    Raises: DataError where there is no such file.
    """
    written = dataclasses.replace(table, path=path)
    ending = _ending(path)
    if ending in ENDINGS and ending != _ending(table.path):
        plain = Table(path=path, columns=table.columns)
        tabs = ending == ".tsv"
        written = dataclasses.replace(plain, separator="\t") if tabs else plain
    return Given(name=name, table=written, sha256=files.sha256(table_path(written, "")))


def _ending(path: str) -> str:
    return PurePosixPath(path.lower().removesuffix(".gz")).suffix


def schema_findings(new: Given, known: Iterable[str]) -> list[Finding]:
    """Compare a file's columns with those of the data set.

    In: `known`: the columns that the data set's own file had, used or not. An empty
    file has none, and nothing is found of it: a day without events is no drift.
    """
    try:
        found = column_names(new.table, "")
    except EmptyTable:
        return []
    findings = []
    for column in new.table.columns:
        if found.count(column) != 1:
            times = "no" if column not in found else f"{found.count(column)} times the"
            findings.append(
                Finding(
                    severity="refuse",
                    check="columns",
                    place=f"{new.path}, header",
                    said=f"found {times} column '{column}', expected it once, as "
                    f"[data.{new.name}.columns] names it",
                    advice=nearest(column, found),
                )
            )
    for column in dict.fromkeys(found):
        if column not in known and column not in new.table.columns:
            findings.append(
                Finding(
                    severity="warn",
                    check="columns",
                    place=f"{new.path}, header",
                    said=f"found a column '{column}', which the data set never had, "
                    "and expected none",
                    advice="It is left out. To use it, describe it in the TOML and "
                    "start a new data set from whole tables.",
                )
            )
    return findings


@dataclass
class Checked:
    """What a file's rows are like: counts, and where the bad ones are."""

    given: Given
    num_rows: int = 0
    num_refused: int = 0
    num_other_ids: int = 0
    num_other_labels: int = 0
    refused: Findings = field(default_factory=Findings)
    other: Findings = field(default_factory=Findings)


def usable_rows(
    new: Given, config: DataConfig, former: Former, checked: Checked
) -> Iterator[tuple[pa.Table, Rows]]:
    """Yield the rows of a file of interactions that can be used, block by block.

    Out: the columns as strings, and what they say. `checked` is told of all rows.
    """
    described = dataclasses.replace(config, interactions=new.table)
    for block in _blocks(new):
        first_row = checked.num_rows + 1
        rows = Rows.of(described, block, first_row)
        bad = _bad_rows(new.table, block, rows, checked.refused, first_row)
        _note_others(new.table, block, rows, ~bad, former, checked)
        checked.num_rows += block.num_rows
        checked.num_refused += int(bad.sum())
        if bad.any():
            block = block.filter(pa.array(~bad))
            rows = Rows.of(described, block, first_row)
        if block.num_rows:
            yield block, rows


def _blocks(new: Given) -> Iterator[pa.Table]:
    with contextlib.suppress(EmptyTable):
        yield from read_batches(new.name, new.table, "")


def _bad_rows(
    table: Table, block: pa.Table, rows: Rows, refused: Findings, first_row: int
) -> np.ndarray:
    bad = np.zeros(block.num_rows, bool)
    for name, spec in table.columns.items():
        cells = block[name].combine_chunks()
        for wrong, expected, advice in _wrong(spec, cells, rows):
            refused.add(name, cells, wrong, expected, advice, first_row)
            bad |= wrong
    return bad


def _wrong(
    spec: Column, cells: pa.Array, rows: Rows
) -> Iterator[tuple[np.ndarray, str, str]]:
    yield from bad_values(spec, cells, rows)
    if spec.role in ("user_id", "item_id"):
        yield np.asarray(cells.is_null()), "an id", "Mend the rows or drop them."
        ids = rows.user if spec.role == "user_id" else rows.item
        broken = np.r_[broken_ids(ids.dictionary), False]
        yield broken[ids.indices.fill_null(-1).to_numpy()], *ONE_LINE


def _note_others(
    table: Table,
    block: pa.Table,
    rows: Rows,
    good: np.ndarray,
    former: Former,
    checked: Checked,
) -> None:
    first_row, others = checked.num_rows + 1, np.zeros(len(good), bool)
    for role, ids in (("user_id", rows.user), ("item_id", rows.item)):
        name = next(n for n, c in table.columns.items() if c.role == role)
        usual = former.forms[role]
        if not len(usual):
            continue
        other = np.r_[is_other(ids.dictionary, usual), False]
        other = other[ids.indices.fill_null(-1).to_numpy()] & good
        cells, expected = block[name].combine_chunks(), described(usual)
        advice = (
            "Bring the ids to the form of the data set's, or, if they are right, "
            "raise [data.drift] refuse_other_ids."
        )
        checked.other.add(
            name, cells, other, f"{expected}, as before", advice, first_row
        )
        others |= other
    checked.num_other_ids += int(others.sum())
    if label := table.column("label"):
        other = former.is_other_label(rows.label) & good
        cells, expected = block[label].combine_chunks(), former.labels_said
        checked.other.add(label, cells, other, expected, _LABEL_ADVICE, first_row)
        checked.num_other_labels += int(other.sum())


_LABEL_ADVICE = (
    "Bring the labels to the former scale, or, if they are right, raise [data.drift] "
    "refuse_other_labels."
)


def file_findings(checked: Checked, config: DataConfig) -> Iterator[Finding]:
    """Yield what a whole file's rows are found to be."""
    total, path, bounds = checked.num_rows, checked.given.path, config.drift
    bad = checked.num_refused
    is_many = bad > bounds.refuse_bad_rows * total and (bad > FEW or 2 * bad > total)
    for found in checked.refused.listed(path, total):
        yield misfit("refuse" if is_many else "warn", "rows", found)
    for found in checked.other.listed(path, total):
        is_label = found.column == config.interactions.column("label")
        bound = bounds.refuse_other_labels if is_label else bounds.refuse_other_ids
        count = checked.num_other_labels if is_label else checked.num_other_ids
        severe = count > bound * total and (count > FEW or 2 * count > total)
        check = "labels" if is_label else "ids"
        yield misfit("refuse" if severe else "warn", check, found)


def misfit(severity: Severity, check: str, found: Misfit) -> Finding:
    """Return as a finding what rows of a file were found to hold."""
    rows = ", ".join(f"{row:,}" for row in found.rows[:3])
    more = ", ..." if found.num_rows > 3 else ""
    return Finding(
        severity=severity,
        check=check,
        place=f"{found.table}, column '{found.column}'",
        said=f"found {found.found} in row{'s'[: found.num_rows > 1]} {rows}{more} "
        f"({found.num_rows:,} of "
        f"{found.of:,} rows), expected {found.expected}",
        advice=found.advice,
        value=found.share,
    )
