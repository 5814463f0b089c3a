"""Checks raw tables and says in one report what must be mended and what is dropped."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from data.errors import DataError
from data.schema import Column, DataConfig, Table

SHOWN_ROWS = 10
SECONDS_PER = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong in a table: `row` counts data rows from 1, as a person does."""

    table: str
    column: str
    rows: tuple[int, ...]
    num_rows: int
    found: str
    expected: str
    advice: str

    def __str__(self) -> str:
        rows = ", ".join(str(row) for row in self.rows)
        more = ", ..." if self.num_rows > len(self.rows) else ""
        noun = "row" if self.num_rows == 1 else "rows"
        return (
            f"{self.table}, column '{self.column}', {self.num_rows} {noun} "
            f"({rows}{more}): found {self.found}, expected {self.expected}. "
            f"{self.advice}"
        )


@dataclass
class Report:
    """What was found: errors stop the preparation, warnings say what is dropped."""

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def raise_errors(self) -> None:
        """Raise one DataError that lists all errors, if there are any."""
        if self.errors:
            raise DataError("\n".join(str(finding) for finding in self.errors))


def validate(config: DataConfig, tables: dict[str, pd.DataFrame]) -> Report:
    """Check the raw tables of a data set.

    In: strings, as `read_table` returns them.
    """
    report = Report()
    for name, frame in tables.items():
        table: Table = getattr(config, name)
        for column, spec in table.columns.items():
            report.errors += _check_values(table.path, column, spec, frame[column])
        for column in (*table.of_role("user_id"), *table.of_role("item_id")):
            report.warnings += _missing_ids(table.path, column, frame[column])
            if name != "interactions":
                report.errors += _duplicates(table.path, column, frame[column])
    report.errors += _label_coverage(config, tables["interactions"])
    report.warnings += _unknown_items(config, tables)
    return report


def _check_values(
    path: str, column: str, spec: Column, values: pd.Series
) -> Iterator[Finding]:
    if spec.role == "time":
        bad = values.isna() | parse_times(values, spec).isna()
        expected = {"iso": "a date and time, such as 2024-05-01T12:00:00Z"}.get(
            spec.unit, f"a time as a number of {spec.unit} since 1970 (UTC)"
        )
        yield from _finding(path, column, values, bad, expected, _TIME_ADVICE)
    elif spec.role in ("label", "weight") or spec.kind == "numeric":
        numbers = pd.to_numeric(values, errors="coerce")
        bad = ~np.isfinite(numbers) & values.notna()
        yield from _finding(path, column, values, bad, "a number", _NUMBER_ADVICE)


_TIME_ADVICE = "Mend these rows, or set the column's unit: s, ms, us or iso."
_NUMBER_ADVICE = "Mend these cells or empty them."


def parse_times(values: pd.Series, spec: Column) -> pd.Series:
    """Parse a time column into Unix seconds, NaN where a cell is no time.

    In: strings. Out: float64, seconds UTC.
    """
    if spec.unit == "iso":
        parsed = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
        seconds = (parsed - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        return seconds.astype(np.float64)
    numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
    seconds = numbers * SECONDS_PER[spec.unit]
    # Years 1900 to 2200: outside them the unit is wrong, and so would be the order.
    return seconds.where((seconds > -2.2e9) & (seconds < 7.3e9))


def _missing_ids(path: str, column: str, values: pd.Series) -> Iterator[Finding]:
    yield from _finding(
        path, column, values, values.isna(), "an id", "These rows are left out."
    )


def _duplicates(path: str, column: str, values: pd.Series) -> Iterator[Finding]:
    repeated = values.notna() & values.duplicated(keep=False)
    advice = "Keep one row for each id."
    yield from _finding(path, column, values, repeated, "each id once", advice)


def _label_coverage(config: DataConfig, frame: pd.DataFrame) -> Iterator[Finding]:
    column = config.interactions.column("label")
    if column and frame[column].isna().all():
        empty = frame[column].isna()
        advice = "Name the column that holds the label, or drop its role."
        path = config.interactions.path
        yield from _finding(path, column, frame[column], empty, "numbers", advice)


def _unknown_items(
    config: DataConfig, tables: dict[str, pd.DataFrame]
) -> Iterator[Finding]:
    if "items" not in tables or config.items is None:
        return
    column = config.interactions.column("item_id") or ""
    values = tables["interactions"][column]
    known = tables["items"][config.items.column("item_id") or ""]
    unknown = values.notna() & ~values.isin(known)
    expected = f"an item of {config.items.path}"
    advice = "They count as history and are never recommended."
    path = config.interactions.path
    yield from _finding(path, column, values, unknown, expected, advice)


def _finding(
    path: str,
    column: str,
    values: pd.Series,
    bad: pd.Series,
    expected: str,
    advice: str,
) -> Iterator[Finding]:
    if not bad.any():
        return
    rows = np.flatnonzero(bad.to_numpy()) + 1
    example = values.iloc[rows[0] - 1]
    yield Finding(
        table=path,
        column=column,
        rows=tuple(int(row) for row in rows[:SHOWN_ROWS]),
        num_rows=len(rows),
        found="nothing" if pd.isna(example) else repr(example),
        expected=expected,
        advice=advice,
    )
