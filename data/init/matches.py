"""Which column of a table holds the ids that another table speaks of."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from data.init.columns import Profile
from data.init.words import ID_WORDS, entity_hint, words_of

UNIQUE = 0.9
DENSE = 0.05
ROLES: tuple[Literal["user", "item"], ...] = ("user", "item")
NEAR_MISSES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("without the spaces around them", str.strip),
    ("without leading zeros", lambda value: value.lstrip("0") or "0"),
    ("without a trailing .0", lambda value: re.sub(r"\.0+$", "", value)),
    ("in lower case", str.lower),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """How far a column of the interactions holds the values of a table's column.

    `share`: of the interactions' rows whose value the table has; `used`: of the
    table's values that occur; `proves`: whether such a share could not come about
    because both columns count from one.
    """

    column: Profile
    key: Profile
    share: float
    used: float
    proves: bool

    @property
    def strength(self) -> float:
        """Return how much the match speaks for the two columns: 0 to 100."""
        if self.share < 0.05:
            return 0.0
        if self.proves:
            return 100 * self.share
        return 12 * self.share + 6 * self.used

    @property
    def key_score(self) -> float:
        """Return how much speaks for this key among a table's columns."""
        same_name = 4 * (words_of(self.column.name) == words_of(self.key.name) != ())
        plain = 2 * bool(ID_WORDS & set(words_of(self.key.name)))
        hints = (entity_hint(self.key.name, role) for role in ROLES)
        plain += max(hints)
        first = 1 / (1 + self.key.place)
        unique = 20 * (self.key.uniqueness >= UNIQUE)
        return self.strength + unique + same_name + plain + first


def match(column: Profile, key: Profile) -> Match:
    """Compare the values of an interactions' column with those of a table's."""
    values = pa.array(column.values, pa.string())
    known = pc.is_in(values, value_set=pa.array(key.values, pa.string())).to_numpy(
        zero_copy_only=False
    )
    return Match(
        column=column,
        key=key,
        share=float(column.counts[known].sum() / max(column.filled, 1)),
        used=float(known.sum() / max(key.distinct, 1)),
        proves=not (column.is_integer and _is_dense(key)),
    )


def _is_dense(key: Profile) -> bool:
    """Tell whether the values are many of the whole numbers between their ends.

    Then nearly every small number is among them, be it an age or a count.
    """
    if key.numeric_share < 0.5:
        return False
    span = key.quantile(0.98) - key.quantile(0.02) + 1
    return key.distinct > DENSE * span


def best_match(column: Profile, table: Iterable[Profile]) -> Match | None:
    """Return the column of a table that a column of the interactions refers to."""
    matches = [match(column, key) for key in table if may_be_key(key)]
    found = [m for m in matches if m.strength > 0]
    return max(found, key=lambda m: m.key_score, default=None)


def may_be_key(key: Profile) -> bool:
    """Tell whether a column of a table of items or users can be its key."""
    fractions = key.is_numeric and not key.is_integer
    return key.distinct > 1 and not key.is_nested and not fractions


def near_miss(values: Sequence[str], keys: Iterable[Profile]) -> str | None:
    """Tell what would make most ids match that do not, such as leading zeros."""
    for key in filter(may_be_key, keys):
        for what, change in NEAR_MISSES:
            known = {change(str(value)) for value in key.values}
            there = sum(change(str(value)) in known for value in values)
            if there > 0.5 * len(values):
                return f"{what} they are those of column '{key.key}'"
    return None
