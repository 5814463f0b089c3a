"""The numbers behind the description of a data set, counted in blocks of events."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.events import TEST, TRAIN, VALIDATION, EventLog
from data.features import Numeric
from data.prepared import Prepared
from data.queries import PART_NAMES

BLOCK_EVENTS = 1 << 20
MOST_BINS = 160
DAY_S = 86_400
WIDTHS = (
    *((60, "minute"), (600, "ten minutes"), (3_600, "hour"), (21_600, "six hours")),
    *((DAY_S, "day"), (7 * DAY_S, "week"), (28 * DAY_S, "four weeks")),
    *((91 * DAY_S, "quarter"), (364 * DAY_S, "year"), (3_640 * DAY_S, "decade")),
)
"""How wide the bins of a history may be, in seconds, and how that is said."""
FOLDED_IN = "fold-in"
"""What is known of held-out users: neither trained on nor asked for."""


def part_name(part: int) -> str:
    """Name a part of the split."""
    return PART_NAMES.get(part, FOLDED_IN)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All numbers of a description.

    `user_counts`, `item_counts`: int64 (users,) and (items,), events of each; `words`:
    int64 (items,), of its text. `tied`: events at the time of their user's event
    before. `history` is None without times, `labels` without labels. `missing`: the
    share of missing values by feature, named as "item year".
    """

    user_counts: np.ndarray
    item_counts: np.ndarray
    words: np.ndarray
    tied: int
    history: "History | None"
    labels: "Labels | None"
    cold: "dict[int, Cold]"
    missing: dict[str, float]


def measure(prepared: Prepared) -> Profile:
    """Measure a prepared data set."""
    log = prepared.events
    same_user = log.user[1:] == log.user[:-1]
    tied = same_user & (log.before[1:] <= log.before[:-1])
    return Profile(
        user_counts=log.user_counts()[1:],
        item_counts=log.item_counts(prepared.num_items)[1:],
        words=words(prepared.texts[1:]),
        tied=int(tied.sum()),
        history=history(log) if prepared.manifest["time"]["known"] else None,
        labels=labels(log),
        cold=cold(prepared),
        missing=missing(prepared),
    )


def _blocks(size: int) -> Iterator[slice]:
    for first in range(0, size, BLOCK_EVENTS):
        yield slice(first, first + BLOCK_EVENTS)


@dataclass(frozen=True, kw_only=True)
class History:
    """Events over time: `edges` int64 (bins + 1,) in Unix seconds, `width` in words.

    `counts`: by part of the split, int64 (bins,).
    """

    edges: np.ndarray
    width: str
    counts: dict[int, np.ndarray]


def history(log: EventLog) -> History:
    """Count events over time in at most so many bins that a page can draw."""
    first, last = int(log.time.min()), int(log.time.max())
    fitting = (w for w in WIDTHS if last // w[0] - first // w[0] < MOST_BINS)
    width, word = next(fitting, WIDTHS[-1])
    start = first // width
    bins = last // width - start + 1
    parts = int(log.part.max()) + 1
    counts = np.zeros(parts * bins, np.int64)
    for block in _blocks(len(log)):
        place = log.time[block] // width - start + log.part[block].astype(int) * bins
        counts += np.bincount(place, minlength=parts * bins)
    by_part = counts.reshape(parts, bins)
    return History(
        edges=(start + np.arange(bins + 1)) * width,
        width=word,
        counts={part: row for part, row in enumerate(by_part) if row.any()},
    )


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels in bins: `edges` float (bins + 1,); or `values` (bins,), if they are few.

    `positive`, `other`: int64 (bins,). `missing`: events without a label.
    """

    edges: np.ndarray
    values: np.ndarray | None
    positive: np.ndarray
    other: np.ndarray
    missing: int

    @property
    def counts(self) -> np.ndarray:
        """Return events by bin. Out: int64 (bins,)."""
        return self.positive + self.other


FEW_VALUES, LABEL_BINS = 20, 40


def labels(log: EventLog) -> Labels | None:
    """Count the labels of all events; None where no event has any."""
    values = _few_values(log.label)
    if values is not None and len(values) == 0:
        return None
    if values is not None:
        steps = np.diff(values) / 2
        middles = values[:-1] + steps
        edges = np.r_[values[0] - 1, middles, values[-1] + 1]
    else:
        low, high = float(np.nanmin(log.label)), float(np.nanmax(log.label))
        edges = np.linspace(low, high, LABEL_BINS + 1)
    sums = np.zeros((2, len(edges) - 1), np.int64)
    missing = 0
    for block in _blocks(len(log)):
        label, positive = log.label[block], log.positive[block]
        there = ~np.isnan(label)
        missing += int((~there).sum())
        for row, mask in enumerate((positive & there, ~positive & there)):
            sums[row] += np.histogram(label[mask], edges)[0]
    return Labels(
        edges=edges, values=values, positive=sums[0], other=sums[1], missing=missing
    )


def _few_values(label: np.ndarray) -> np.ndarray | None:
    """Return the distinct labels in order; None where there are many."""
    found = np.zeros(0, label.dtype)
    for block in _blocks(len(label)):
        part = label[block]
        found = np.union1d(found, part[~np.isnan(part)])
        if len(found) > FEW_VALUES:
            return None
    return found


@dataclass(frozen=True, kw_only=True)
class Cold:
    """How much of a part's users, items and events training has not met, as shares."""

    users: float
    items: float
    events: float


def cold(prepared: Prepared) -> dict[int, Cold]:
    """Compare the validation and test parts with the training part.

    An event is cold if its item is. Parts without events are left out.
    """
    log = prepared.events
    users, items = _met(log, TRAIN, prepared)
    found = {}
    for part in (VALIDATION, TEST):
        own_users, own_items = _met(log, part, prepared)
        if own_users.any():
            is_part = log.part == part
            found[part] = Cold(
                users=float((~users[own_users]).mean()),
                items=float((~items[own_items]).mean()),
                events=float((~items[log.item[is_part]]).mean()),
            )
    return found


def _met(log: EventLog, part: int, prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Tell which users and items have an event in a part. Out: bool by row."""
    users = np.zeros(prepared.num_users + 1, bool)
    items = np.zeros(prepared.num_items + 1, bool)
    for block in _blocks(len(log)):
        is_part = log.part[block] == part
        users[log.user[block][is_part]] = True
        items[log.item[block][is_part]] = True
    return users, items


def missing(prepared: Prepared) -> dict[str, float]:
    """Return the share of missing values by feature, named as "item year"."""
    features = prepared.features
    groups = (
        ("item", features.items, prepared.item_features),
        ("user", features.users, prepared.user_features),
        ("context", features.context, prepared.events.context),
    )
    shares = {}
    if features.text.columns:
        shares["item text"] = float((prepared.texts[1:] == "").mean())
    for group, members, codes in groups:
        for feature in members:
            values = codes[feature.name]
            values = values if group == "context" else values[1:]
            if isinstance(feature, Numeric):
                is_missing = values[:, 1] == 0
            else:
                is_missing = values.reshape(len(values), -1).max(axis=1) == 0
            shares[f"{group} {feature.name}"] = float(is_missing.mean())
    return shares


def words(texts: np.ndarray) -> np.ndarray:
    """Count the words of each text. In: str (n,). Out: int64 (n,)."""
    return np.array([len(text.split()) for text in texts], np.int64)


def head_shares(counts: np.ndarray) -> np.ndarray:
    """Return what the most frequent take.

    In: events by item (n,). Out: float (n + 1,), the share of all events that the
    first 0, 1, ... n items have, the most frequent first.
    """
    ordered = np.sort(counts)[::-1]
    return np.r_[0, np.cumsum(ordered)] / max(int(counts.sum()), 1)
