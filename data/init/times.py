"""Whether a column tells the time, and in which unit a TOML says so."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from data.init.columns import Profile
from data.init.orders import sorts_rows
from data.init.wording import shown
from data.init.words import entity_hint, means
from data.prepare.rows import parse_times
from data.schema import Column

Unit = Literal["s", "ms", "us", "iso"]

YEAR_1990, YEAR_2100 = 631_152_000, 4_102_444_800
DAY_S = 86_400
EPOCHS: tuple[tuple[Unit | None, float, str], ...] = (
    ("s", 1, "Unix seconds"),
    ("ms", 1e3, "Unix milliseconds"),
    ("us", 1e6, "Unix microseconds"),
    (None, 1e9, "Unix nanoseconds"),
)
# Digits, so that parsers do not take words such as "May" for a time.
ISO_LIKE = re.compile(r"\s*\d{4}[-/.]?\d{1,2}([-/.]?\d{1,2})?([T ].*)?", re.IGNORECASE)
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DATE_LIKE = re.compile(
    r"(?i)\s*(\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b.*"
    rf"|(\w{{3,9}},? )?(\d{{1,2}}\.? )?({MONTHS})\w*\.? .*\d.*"
    r"|\d{1,2} \d{1,2}, \d{4}|\d{14}|\d{1,2}:\d{2}(:\d{2})?( ?[ap]m)?)"
)
ADVICE = "write it as 2010-12-01T08:26:00 or in Unix seconds to use it"


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A column read as times.

    `unit`: what the TOML must say, None if no unit reads it; `what`: the format, or
    why it cannot be used. `seconds`: float64 (distinct,), of the column's values.
    `is_date`: whether they count from 1970, so that they have an hour and a weekday.
    """

    unit: Unit | None
    what: str
    seconds: np.ndarray
    is_date: bool = True

    @property
    def days(self) -> float:
        """Return how many days the times span."""
        return float(np.nanmax(self.seconds) - np.nanmin(self.seconds)) / DAY_S

    @property
    def span(self) -> str:
        """Return the first and the last day, or number."""
        if not self.is_date:
            return f"{self.seconds.min():g} to {self.seconds.max():g}"
        ends = (np.nanmin(self.seconds), np.nanmax(self.seconds))
        first, last = (f"{pd.Timestamp(end, unit='s'):%Y-%m-%d}" for end in ends)
        return f"{first} to {last}"


def read_times(column: Profile) -> Reading | None:
    """Read a column as times; None if it does not look like any.

    A column of times that no unit reads, or with cells that are none, comes back with
    the reason instead of a unit.
    """
    if column.distinct == 0 or column.holds_several:
        return None
    if column.numeric_share >= 0.9:
        reading = _read_numbers(column)
    elif column.share_of(ISO_LIKE) >= 0.9:
        reading = _read_dates(column)
    elif column.share_of(DATE_LIKE) >= 0.8:
        reading = _unusable(
            column, f"{column.examples(1)} is in no format that is read"
        )
    else:
        return None
    return reading if reading is None else _checked(column, reading)


def _read_numbers(column: Profile) -> Reading | None:
    low, high = column.quantile(0.02), column.quantile(0.98)
    named = means(column.name, "time")
    for unit, per_second, what in EPOCHS if named or not _is_id(column) else ():
        if YEAR_1990 <= low / per_second and high / per_second <= YEAR_2100:
            if unit is None and named:
                return _unusable(column, f"{what} have no unit here: divide by 1,000")
            if unit is not None:
                return Reading(unit=unit, what=what, seconds=_parse(column, unit))
    if column.is_integer and 19_000_101 <= low and high <= 21_001_231:
        seconds = _parse(column, "iso")
        if np.isfinite(seconds).mean() > 0.99:
            return Reading(unit="iso", what="dates as yyyymmdd", seconds=seconds)
    if 19_900_101e6 <= low and high <= 21_001_231e6:
        return _unusable(column, f"{column.examples(1)} is no number of seconds")
    if named and 25_569 <= low and high <= 60_000 and "day" not in column.name.lower():
        return _unusable(column, f"{column.examples(1)} looks like a workbook's day")
    return None


def _is_id(column: Profile) -> bool:
    """Tell by its name an id, whose number may look like a time's."""
    roles: tuple[Literal["user", "item"], ...] = ("user", "item")
    hinted = any(entity_hint(column.name, role) for role in roles)
    return hinted or means(column.name, "id")


def _read_dates(column: Profile) -> Reading:
    seconds = _parse(column, "iso")
    if not np.isfinite(seconds).any():
        return _unusable(column, f"{column.examples(1)} is in no format that is read")
    what = (
        "dates" if (seconds[np.isfinite(seconds)] % DAY_S == 0).all() else "ISO times"
    )
    return Reading(unit="iso", what=what, seconds=seconds)


def _checked(column: Profile, reading: Reading) -> Reading:
    """Refuse what would stop the preparation: cells that are no time."""
    if reading.unit is None:
        return reading
    bad = ~np.isfinite(reading.seconds)
    if bad.any():
        number = int(column.counts[bad].sum())
        example = shown(str(column.values[bad][0]))
        what = f"{number:,} cells, such as {example}, are no time ({reading.what} else)"
        return _unusable(column, what)
    if column.filled < column.rows:
        empty = column.rows - column.filled
        return _unusable(column, f"{empty:,} cells are empty ({reading.what} else)")
    if column.distinct == 1:
        return _unusable(column, f"every row says {column.examples(1)}")
    return reading


def _unusable(column: Profile, why: str) -> Reading:
    return Reading(unit=None, what=why, seconds=np.full(column.distinct, np.nan))


def _parse(column: Profile, unit: Unit) -> np.ndarray:
    values = pd.Series(column.values, dtype=object)
    try:
        seconds = parse_times(values, Column(role="time", unit=unit))
    except (pd.errors.OutOfBoundsDatetime, OverflowError, ValueError):
        return np.full(column.distinct, np.nan)
    return np.asarray(seconds, np.float64)


def read_relative(
    column: Profile, user: Profile, *, is_wanted: bool = False
) -> Reading | None:
    """Read numbers that a name calls times and that do not count from 1970.

    Such as a day's number: they order events. Rows that stand in their order tell
    them from durations and hours of the day. None if they are no numbers from 0 up,
    or begin anew with every user, which orders no two users' events.
    In: `is_wanted`: whether it is known to be the time.
    """
    if not column.is_numeric or column.gaps or column.distinct < 2 or column.low < 0:
        return None
    named = means(column.name, "time") and sorts_rows(column, user, upwards=True)
    if not (is_wanted or (named and column.distinct >= 10)):
        return None
    if column.high > YEAR_1990 or _restarts(column, user):
        return None
    what = "numbers that order events, though not counted from 1970"
    return Reading(unit="s", what=what, seconds=column.numbers, is_date=False)


def _restarts(column: Profile, user: Profile) -> bool:
    first = np.full(user.distinct, np.inf)
    both = user.codes >= 0
    np.minimum.at(first, user.codes[both], column.numbers[column.codes[both]])
    return bool((first == column.low).mean() > 0.5)
