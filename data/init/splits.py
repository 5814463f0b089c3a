"""Which split fits the interactions, and shares that leave something in every part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.init.interactions import Interactions
from data.init.wording import percent
from data.schema import Split

SHARE, LARGE_SHARE = 0.1, 0.2
FEW_EVENTS = FEW_USERS = 500
WARM = 0.02
DEFAULT_WINDOW_DAYS = 30.0


@dataclass(frozen=True, kw_only=True)
class SplitChoice:
    """The `[data.split]` table, why it is so, and the window of popularity in days."""

    split: Split
    why: str
    window_days: float | None = None


def choose_split(table: Interactions, names: Sequence[str]) -> SplitChoice:
    """Return the split that fits a table: by time if it tells any.

    In: `names`: what the TOML calls the columns, by place.
    """
    if table.time is None or table.reading is None:
        return _without_time(table, names)
    time = f"'{names[table.time.place]}'"
    share = SHARE if table.sample.num_rows >= FEW_EVENTS else LARGE_SHARE
    seconds = table.reading.seconds[table.time.codes]
    split = Split(kind="temporal", validation=share, test=share)
    cut = _cut(split, seconds)
    if cut is None:
        why = (
            f"{time} holds too few different times to cut at: whole users are held "
            "out, asked for their newest events"
        )
        return SplitChoice(split=_users_split(table), why=why)
    warm = _warm_share(table, seconds, cut)
    if warm < WARM:
        why = (
            f"{time} tells the time, but hardly a user comes back "
            f"({percent(warm)} of those after a cut): nobody would be known, so "
            "whole users are held out and asked for their newest events"
        )
        return SplitChoice(
            split=_users_split(table), why=why, window_days=_window(table)
        )
    why = (
        f"{time} tells the time: trained on the past, asked for what came after; "
        f"{percent(warm)} of the users after the cut were there before"
    )
    return SplitChoice(split=split, why=why, window_days=_window(table))


def _without_time(table: Interactions, names: Sequence[str]) -> SplitChoice:
    why = "no column tells the time"
    if table.unread is not None:
        why += f" so that it can be read ('{names[table.unread.place]}' does not)"
    if table.order is not None:
        why += f", '{names[table.order.place]}' gives an order only"
    split = _users_split(table)
    if split.kind == "temporal":
        why += ", and too few users have two events: cut in the file's order"
    else:
        why += ": whole users are held out, asked for "
        why += _what_is_asked(table, names)
    return SplitChoice(split=split, why=why)


def _what_is_asked(table: Interactions, names: Sequence[str]) -> str:
    if table.sorted_by is not None:
        by = names[table.sorted_by.place]
        return f"some of their events at random, as the rows are sorted by '{by}'"
    return "their last events in the file"


def _users_split(table: Interactions) -> Split:
    """Hold out users if some have two events, else cut the rows in the file's order."""
    sizes = table.ids.user.counts
    several = int((sizes >= 2).sum())
    share = SHARE if several >= FEW_USERS else LARGE_SHARE
    if several < 3 or round(share * several) < 1:
        # Without a time the number of the row stands for it.
        return Split(kind="temporal", validation=share, test=share)
    median = float(np.median(sizes[sizes >= 2]))
    fold_in = 0.8 if median >= 5 else 0.5
    return Split(
        kind="held_out_users",
        validation=share,
        test=share,
        fold_in=fold_in,
        targets="random" if table.sorted_by is not None else "newest",
    )


def _cut(split: Split, seconds: np.ndarray) -> float | None:
    """Return the time at which validation begins; None if a part would be empty."""
    times = np.floor(seconds)
    shares = (1 - split.validation - split.test, 1 - split.test)
    first, second = (np.quantile(times, share, method="higher") for share in shares)
    parts = (times < first, (times >= first) & (times < second), times >= second)
    return float(first) if all(part.any() for part in parts) else None


def _warm_share(table: Interactions, seconds: np.ndarray, cut: float) -> float:
    users = table.ids.user.codes
    after = np.unique(users[(seconds >= cut) & (users >= 0)])
    before = np.unique(users[(seconds < cut) & (users >= 0)])
    return float(np.isin(after, before).mean()) if len(after) else 0.0


def _window(table: Interactions) -> float | None:
    """Return a window for what is popular now, where a month is most of the table."""
    if table.reading is None or not table.reading.is_date:
        return None
    if table.reading.days >= 3 * DEFAULT_WINDOW_DAYS:
        return None
    return max(1.0, float(f"{table.reading.days / 5:.1g}"))
