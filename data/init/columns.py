"""What the cells of a column look like, whatever its name is."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from data.init.samples import Sample
from data.init.wording import number, shown

LOOKED_AT = 2_000
SHOWN_VALUES = 3
URL = re.compile(r"(?i)(https?://|www\.)\S+|\S+\.(jpg|jpeg|png|gif|webp)")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}", re.IGNORECASE)
CODE = re.compile(r"[0-9a-f-]{16,}|(?=\S*\d)[\w.:#/-]+", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
LEADING_ZERO = re.compile(r"0\d+")
YES = ("1", "true", "t", "yes", "y")
NO = ("0", "false", "f", "no", "n")


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """The cells of one column.

    `name`: as the file has it, "" if it has none; `key`: a name that no other column
    has. `codes`: int32 (rows,), places in `values`, -1 for an empty cell; `values`:
    the distinct strings, by first appearance. `separator`: what joins the texts of
    lists, where cells are such.
    """

    name: str
    key: str
    place: int
    codes: np.ndarray
    values: np.ndarray
    is_nested: bool = False
    separator: str | None = None

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    @property
    def distinct(self) -> int:
        """Return the number of distinct values."""
        return len(self.values)

    @cached_property
    def counts(self) -> np.ndarray:
        """Return how often each value stands: int64 (distinct,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=self.distinct)

    @cached_property
    def filled(self) -> int:
        """Return the number of cells that are not empty."""
        return int((self.codes >= 0).sum())

    @property
    def gaps(self) -> float:
        """Return the share of empty cells."""
        return 1 - self.filled / max(self.rows, 1)

    @property
    def uniqueness(self) -> float:
        """Return distinct values per filled cell: 1 where no value comes twice."""
        return self.distinct / max(self.filled, 1)

    @cached_property
    def numbers(self) -> np.ndarray:
        """Return the values as numbers: float64 (distinct,), NaN for what is none."""
        parsed = pd.to_numeric(pd.Series(self.values, dtype=object), errors="coerce")
        numbers = parsed.to_numpy(np.float64, na_value=np.nan)
        return np.where(np.isfinite(numbers), numbers, np.nan)

    @cached_property
    def numeric_share(self) -> float:
        """Return the share of filled cells that are numbers."""
        return float(self.counts[~np.isnan(self.numbers)].sum() / max(self.filled, 1))

    @property
    def is_numeric(self) -> bool:
        """Tell whether every filled cell is a number."""
        return self.distinct > 0 and not np.isnan(self.numbers).any()

    @cached_property
    def is_integer(self) -> bool:
        """Tell whether every filled cell is a whole number, 17850.0 included."""
        return self.is_numeric and bool((self.numbers == np.floor(self.numbers)).all())

    @property
    def low(self) -> float:
        """Return the smallest number."""
        return float(np.nanmin(self.numbers))

    @property
    def high(self) -> float:
        """Return the largest number."""
        return float(np.nanmax(self.numbers))

    def quantile(self, share: float) -> float:
        """Return the number below which a share of the cells lies."""
        there = ~np.isnan(self.numbers)
        numbers, counts = self.numbers[there], self.counts[there]
        order = np.argsort(numbers)
        place = np.searchsorted(np.cumsum(counts[order]), share * counts.sum())
        return float(numbers[order][min(place, len(order) - 1)])

    @cached_property
    def some(self) -> list[str]:
        """Return some of the distinct values, from all over the table."""
        step = max(1, self.distinct // LOOKED_AT)
        return [str(value) for value in self.values[::step][:LOOKED_AT]]

    def share_of(self, pattern: re.Pattern[str]) -> float:
        """Return the share of some distinct values that a pattern matches whole."""
        matched = sum(bool(pattern.fullmatch(value)) for value in self.some)
        return matched / max(len(self.some), 1)

    @cached_property
    def mean_length(self) -> float:
        """Return the mean number of characters of a value."""
        return float(np.mean([len(value) for value in self.some] or [0]))

    @cached_property
    def mean_words(self) -> float:
        """Return the mean number of words of a value."""
        return float(np.mean([len(value.split()) for value in self.some] or [0]))

    @cached_property
    def is_json(self) -> bool:
        """Tell whether the values are JSON lists or objects."""
        return self._mostly(_is_json)

    @cached_property
    def is_list(self) -> bool:
        """Tell whether the values are lists in brackets, as Python writes them."""
        return not self.is_json and self._mostly(_is_list)

    @property
    def holds_several(self) -> bool:
        """Tell whether cells hold lists or objects, however they are written."""
        is_list = self.separator is not None or self.is_list
        return self.is_nested or is_list or self.is_json

    def _mostly(self, test: Callable[[str], bool]) -> bool:
        some = self.some[:200]
        return bool(some) and sum(map(test, some)) >= 0.8 * len(some)

    @property
    def is_yes_no(self) -> bool:
        """Tell whether there are a word for yes and a word for no, and no other."""
        lower = {str(value).strip().lower() for value in self.values[:10]}
        return bool(lower & set(YES)) and bool(lower & set(NO)) and self.distinct <= 4

    def top(self, number: int = SHOWN_VALUES) -> list[str]:
        """Return the most frequent values."""
        order = np.argsort(-self.counts, kind="stable")[:number]
        return [str(self.values[place]) for place in order]

    def share_above(self, bound: float) -> float:
        """Return the share of all rows whose number is a bound or more."""
        with np.errstate(invalid="ignore"):
            above = self.numbers >= bound
        return float(self.counts[above].sum() / max(self.rows, 1))

    @property
    def span(self) -> str:
        """Return the smallest and the largest number, for people."""
        return f"{number(self.low)} to {number(self.high)}"

    @cached_property
    def are_codes(self) -> bool:
        """Tell numbers that begin with a zero, as postal codes do, from amounts."""
        return self.share_of(LEADING_ZERO) > 0.01

    def share_with(self, wanted: set[str]) -> float:
        """Return the share of filled cells that hold one of some values."""
        there = np.fromiter((value in wanted for value in self.values), bool)
        return float(self.counts[there].sum() / max(self.filled, 1))

    def examples(self, number: int = SHOWN_VALUES) -> str:
        """Return some values, quoted and cut: the most frequent, if any come often."""
        often = self.uniqueness <= 0.5
        values = self.top(number) if often else map(str, self.values[:number])
        return ", ".join(shown(value) for value in values) or "(nothing)"


def _is_json(value: str) -> bool:
    if value[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(value), (dict, list))
    except ValueError:
        return False


def _is_list(value: str) -> bool:
    return (value[:1], value[-1:]) in (("[", "]"), ("{", "}"))


def profiles_of(sample: Sample) -> list[Profile]:
    """Return the columns of a sample, in the file's order."""
    keys = _unique_keys(sample.names)
    return [
        Profile(
            name=sample.names[place],
            key=keys[place],
            place=place,
            codes=column.indices.fill_null(-1).to_numpy(zero_copy_only=False),
            values=np.asarray(column.dictionary.to_pylist(), object),
            is_nested=place in sample.nested,
            separator=sample.lists.get(place),
        )
        for place, column in enumerate(sample.columns)
    ]


def _unique_keys(names: tuple[str, ...]) -> list[str]:
    """Give each column a name of its own: `c3` for none, `x_2` for a second `x`."""
    keys: list[str] = []
    for place, name in enumerate(names, 1):
        key, number = name or f"c{place}", 2
        while key in keys or (key != name and key in names):
            key, number = f"{name or f'c{place}'}_{number}", number + 1
        keys.append(key)
    return keys


def pairs(left: Profile, right: Profile) -> int:
    """Return how many distinct pairs of values two columns of a table make."""
    both = (left.codes >= 0) & (right.codes >= 0)
    joined = left.codes[both].astype(np.int64) * (right.distinct + 1)
    return len(np.unique(joined + right.codes[both]))


def depends_on(column: Profile, other: Profile) -> bool:
    """Tell whether a column says the same wherever another one does.

    Only if values of the other come again often enough to tell.
    """
    both = (column.codes >= 0) & (other.codes >= 0)
    seen = len(np.unique(other.codes[both]))
    return both.sum() >= 1.5 * seen and pairs(column, other) <= 1.02 * seen


def is_row_number(column: Profile) -> bool:
    """Tell whether a column counts the rows."""
    if not column.is_integer or column.filled < column.rows or column.rows < 3:
        return False
    steps = np.diff(column.numbers[column.codes])
    return bool((steps == 1).mean() > 0.99)
