"""Several values in one cell, and what parts them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from data.init.columns import Profile
from data.init.words import typed_name

SEPARATORS = ("|", ";", ">", ",", "/")
HAS_SEPARATOR = 0.15
RECOMBINED = 0.3
SUFFIXES = frozenset(("inc", "ltd", "llc", "co", "corp", "gmbh", "jr", "sr", "s.a"))
MAX_PART_WORDS, LOOKED_AT = 4, 20_000
REPEATS = 0.5


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Several values in one cell: what parts them, and how many there are.

    `distinct` and `total`: of the values; `share`: of cells with several; `words`: of
    a value on average; `recombined`: see `_recombined`; `most`: values in a cell,
    but for one in a hundred; `top`: the most frequent.
    """

    separator: str
    distinct: int
    total: int
    share: float
    words: float
    recombined: float
    most: int
    top: tuple[str, ...]


def find_parts(column: Profile) -> Parts | None:
    """Find what parts several values in one cell; None if cells hold one each.

    Parts are short and come again in other cells, which pieces of a sentence do not.
    """
    typed = typed_name(column.name)[1]
    if typed == "token":
        return None
    separators = (*SEPARATORS, " ") if typed == "token_seq" else SEPARATORS
    for separator in separators:
        parts = _cut(column, separator)
        if parts is not None:
            return parts
    return None


def _cut(column: Profile, separator: str) -> Parts | None:
    parts = count_parts(column, separator)
    if parts.share < HAS_SEPARATOR or parts.distinct > REPEATS * parts.total:
        return None
    if parts.words > MAX_PART_WORDS or parts.recombined < RECOMBINED:
        return None
    # "A/C" and "Rock/Pop" are names of one thing more often than lists.
    if separator in "/ " and parts.distinct > 0.1 * column.filled:
        return None if parts.distinct > 0.5 * column.distinct else parts
    return parts


def count_parts(column: Profile, separator: str) -> Parts:
    """Cut the cells of a column at a separator and look at what comes out."""
    order = np.argsort(-column.counts, kind="stable")[:LOOKED_AT]
    weights = column.counts[order]
    split = [_split_cell(str(column.values[place]), separator) for place in order]
    several = np.array([len(parts) > 1 for parts in split])
    counts: Counter[str] = Counter()
    for parts, weight in zip(split, weights, strict=True):
        for part in parts:
            counts[part] += int(weight)
    return Parts(
        separator=separator,
        distinct=len(counts),
        total=sum(counts.values()),
        share=float(weights[several].sum() / max(weights.sum(), 1)),
        words=float(np.mean([len(part.split()) for part in counts] or [0])),
        recombined=_recombined(split),
        most=int(np.quantile([len(parts) for parts in split], 0.99)),
        top=tuple(name for name, _ in counts.most_common(3)),
    )


def _recombined(split: list[list[str]]) -> float:
    """Return how many of the places in lists hold what other cells hold as well.

    "Foo, Bar" is one name if neither stands anywhere else.
    """
    cells = Counter(part for parts in split for part in set(parts))
    listed = [part for parts in split if len(parts) > 1 for part in parts]
    return sum(cells[part] > 1 for part in listed) / max(len(listed), 1)


def _split_cell(cell: str, separator: str) -> list[str]:
    """Cut a cell into its values; "Foo, Inc." is one."""
    parts = [part.strip() for part in cell.split(separator) if part.strip()]
    suffixed = any(part.lower().rstrip(".") in SUFFIXES for part in parts[1:])
    return [cell.strip()] if suffixed else parts
