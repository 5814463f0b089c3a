"""What counts as a positive: by a label's scale, or by the names of events."""

from dataclasses import dataclass, field

import numpy as np

from data.init.columns import Profile, depends_on
from data.init.ids import Ids
from data.init.wording import number, percent
from data.init.words import Meaning, means, words_of

RISE = 0.75  # On a scale from 1 to 5 that is 4, from 1 to 10 it is 8.
FEW, MANY, FEW_ABOVE = 0.05, 0.85, 0.2
SENTINEL_SHARE = 0.05
FEW_STEPS = 21
# Plainer names first: a table may hold several.
LABEL_ORDER = (
    *("rating", "ratings", "bewertung", "score", "stars", "star", "overall", "grade"),
    *("label", "target", "y", "like", "liked", "likes", "thumbs", "thumb", "rate"),
    *("preference", "pref", "response", "reward", "feedback", "engaged", "click"),
    *("clicked", "clk", "value", "val", "interested", "recommended", "satisfaction"),
)
NO_LABEL: tuple[Meaning, ...] = (
    *("time", "count", "order", "amount", "context", "personal", "weight", "event"),
    *("code", "year", "available", "impression"),
)
SCALES = (
    *({1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5}, set(range(1, 11)), set(range(11))),
    {step / 2 for step in range(1, 11)},
)


@dataclass(frozen=True, kw_only=True)
class Positives:
    """The `[data.label]` table and what tells that it should be so."""

    positive: str | tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    why: str


def labels_among(columns: list[Profile], has_names: bool, ids: Ids) -> list[Profile]:
    """Return the columns that rate, the plainest first.

    In: the columns that are neither an id nor the time.
    """
    named = [c for c in columns if c.is_numeric and is_label_name(c.name)]
    named = [c for c in named if _may_be_label(c)]
    if named:
        return sorted(named, key=_rank)
    unnamed = [c for c in columns if c.is_numeric and not _is_known(c.name)]
    scaled = [c for c in unnamed if _is_scale(c, has_names)]
    if has_names:
        owners = (ids.item, ids.user)
        scaled = [c for c in scaled if not any(depends_on(c, o) for o in owners)]
    return scaled if len(scaled) == 1 else []


def best_label(labels: list[Profile]) -> Profile | None:
    """Return the label to learn from: a scale, else a yes or no that is not rare.

    In: the plainest first.
    """
    scales = [c for c in labels if c.distinct > 2]
    common = [c for c in labels if c.distinct == 2 and c.share_above(c.high) >= FEW]
    return next(iter([*scales, *common, *labels]), None)


def is_label_name(name: str) -> bool:
    """Tell whether a name is that of a rating, and not of how many there are."""
    return means(name, "label") and not means(name, "count") and not means(name, "time")


def _is_known(name: str) -> bool:
    return any(means(name, meaning) for meaning in NO_LABEL)


def _may_be_label(column: Profile) -> bool:
    if column.distinct < 2 and column.gaps == 0:
        return False
    if column.distinct == 0 or column.gaps > 0.99:
        return False
    return column.distinct <= FEW_STEPS or not (column.is_integer and column.high > 100)


def _rank(column: Profile) -> tuple[int, int, int]:
    words = set(words_of(column.name))
    places = [i for i, word in enumerate(LABEL_ORDER) if word in words]
    return min(places, default=len(LABEL_ORDER)), len(words), column.place


def _is_scale(column: Profile, has_names: bool) -> bool:
    """Tell a scale by its steps; what has a name of its own must be a whole one."""
    steps = set(column.numbers.tolist())
    if has_names:
        whole = max(steps) in (5, 10) and len(steps) >= 4
        return whole and any(steps <= scale for scale in SCALES)
    if steps in ({0.0, 1.0}, {-1.0, 1.0}):
        return True
    return len(steps) >= 3 and any(steps <= scale for scale in SCALES)


def rated_positives(label: Profile) -> Positives:
    """Return the comparison that a label's scale and its distribution suggest."""
    there = ~np.isnan(label.numbers)
    # "4" and "4.0" are one step.
    steps, where = np.unique(label.numbers[there], return_inverse=True)
    counts = np.bincount(where, label.counts[there])
    above = np.cumsum(counts[::-1])[::-1] / label.rows
    low, note = _lowest(steps, counts, label)
    bound = _bound(steps, low)
    moved = _moved(steps, above, bound)
    scale = f"the scale is {number(low)} to {number(steps[-1])}"
    if len(steps) <= 2:
        scale = f"the values are {' and '.join(map(number, steps))}"
    why = f"{scale}; {percent(label.share_above(moved))} of the events are positives"
    if moved != bound:
        share = percent(label.share_above(bound))
        why += f" (>= {_plain(bound)} would make it {share})"
    if label.filled < label.rows:
        why += f"; {percent(label.gaps)} have no label and are none"
    return Positives(positive=f">= {_plain(moved)}", why=why + note)


def _plain(value: float) -> str:
    """Write a number without an exponent, which a comparison does not know."""
    return str(np.format_float_positional(value, trim="-"))


def _lowest(steps: np.ndarray, counts: np.ndarray, label: Profile) -> tuple[float, str]:
    """Return the scale's lower end: 0 or -1 below 1 often means that nobody rated."""
    apart = (
        len(steps) > 3 and steps[0] in (0, -1) and steps[1] >= 0.5 and steps[-1] >= 5
    )
    # An honest 0 on a scale from 0 to 10 is rare.
    odd = steps[0] < 0 or counts[0] / label.rows > SENTINEL_SHARE
    if apart and odd and counts[0] > counts[1]:
        share = percent(counts[0] / label.rows)
        return float(steps[1]), f"; {steps[0]:g} ({share}) probably means 'not rated'"
    return float(steps[0]), ""


def _bound(steps: np.ndarray, low: float) -> float:
    if len(steps) <= 2:
        return float(steps[-1])
    wanted = low + RISE * (steps[-1] - low)
    if len(steps) > FEW_STEPS:
        return _rounded(wanted)
    return float(steps[np.searchsorted(steps, wanted - 1e-9)])


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")  # A round number reads better than 75.25.


def _moved(steps: np.ndarray, above: np.ndarray, bound: float) -> float:
    """Move a bound that nearly every event reaches, or hardly any.

    In: `above`: the share of the events at each step or above, (steps,).
    """
    place = int(np.searchsorted(steps, bound - 1e-9))
    if len(steps) <= 2 or FEW <= above[place] <= MANY:
        return bound
    if above[place] > MANY:
        better = np.flatnonzero((steps > bound) & (above > FEW_ABOVE))[:1]
    else:
        better = np.flatnonzero((steps < bound) & (above > 2 * FEW))[-1:]
        better = better[better > 0]  # The lowest step would make all positives.
    if len(better) == 0:
        return bound
    chosen = float(steps[better[0]])
    return _rounded(chosen) if len(steps) > FEW_STEPS else chosen


def is_weight(column: Profile) -> bool:
    """Tell weights from counts: small, even numbers that no loss would drown in."""
    if not (means(column.name, "weight") and column.is_numeric and column.distinct > 1):
        return False
    median = column.quantile(0.5)
    return (
        column.low >= 0
        and median > 0
        and column.high <= 20 * median
        and (column.high <= 100)
    )


def is_count(column: Profile, has_names: bool) -> bool:
    """Tell a column that says how often or how long."""
    if not column.is_numeric:
        return False
    if has_names:
        return means(column.name, "count")
    return column.low >= 0 and column.distinct > 20 and column.high > 100
