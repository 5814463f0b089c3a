"""Parts events into train, validation and test.

What a part needs to know of all events (cuts in time, who is held out) is settled
first, as a `Parting`; it then parts the events of any set of whole users, in any
process, the same way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from data.errors import DataError
from data.events import FOLD_IN, TEST, TRAIN, VALIDATION, EventLog, count_before
from data.schema import Split

Blocks = Callable[[], Iterable[np.ndarray]]
"""Gives the same int64 times anew at each call, a block at a time."""

EXACT_VALUES = 1 << 20  # So many values are sorted to find one among them.
BINS = 1 << 12


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One temporal split: what is before `validation` trains, `end` bounds the test.

    Unix seconds; `end` None is the end of the events.
    """

    validation: int
    test: int
    end: int | None = None


@dataclass(frozen=True, kw_only=True)
class Parting:
    """Which part each event falls into.

    `folds`: temporal splits, the newest last; empty for the other kinds.
    `user_part`, `item_part`: uint8 (users + 1,) and (items + 1,), of those held out.
    """

    split: Split
    folds: tuple[Fold, ...] = ()
    user_part: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    item_part: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))

    @property
    def train_end(self) -> int | None:
        """Return the time before which events train in every fold."""
        return self.folds[0].validation if self.folds else None

    def part(
        self, user: np.ndarray, item: np.ndarray, time: np.ndarray, place: np.ndarray
    ) -> np.ndarray:
        """Part the events of whole users.

        In: (n,) each, in the final order (`final_order`); `place`: the row in the
        file. Out: uint8 (n,).
        """
        kind = self.split.kind
        if kind == "leave_one_out":
            return leave_one_out(user)
        if kind == "cold_items":
            return self.item_part[item]
        if kind == "held_out_users":
            return self._held_out(user, place)
        if kind == "random":
            return at_random(place, self.split)
        return temporal(time, self.folds[-1])

    def _held_out(self, user: np.ndarray, place: np.ndarray) -> np.ndarray:
        part = self.user_part[user]
        order = np.arange(len(user))
        if self.split.targets == "random":
            order = np.lexsort((_scatter(place, self.split.seed), user))
        starts = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
        sizes = np.diff(np.r_[starts, len(user)])
        number = np.arange(len(user)) - np.repeat(starts, sizes)
        known = sizes - num_targets(sizes, self.split.fold_in)
        is_known = np.empty(len(user), bool)
        is_known[order] = number < np.repeat(known, sizes)
        return np.where((part != TRAIN) & is_known, FOLD_IN, part).astype(np.uint8)


def final_order(
    split: Split,
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    place: np.ndarray,
) -> np.ndarray:
    """Return the order in which events stand: by user, time, then as ties are broken.

    In: (n,) each; `place`: the row in the file, which decides among events that are
    level in everything else too. Out: int64 (n,).
    """
    keys = (time, user) if split.ties == "file" else (item, time, user)
    return np.lexsort((place, *keys))


def num_targets(sizes: np.ndarray, fold_in: float) -> np.ndarray:
    """Return how many of so many events of a held-out user are asked for."""
    return np.maximum(np.floor(sizes * (1 - fold_in) + 1e-9).astype(np.int64), 1)


def ask_last(log: EventLog) -> EventLog:
    """Put what each user is asked for after what is known of them.

    Where targets are not the newest events they move behind the others, and their
    times to the second after: a history is then always a user's first so many events.
    """
    known_first = np.where(log.part == FOLD_IN, TRAIN, log.part)
    order = np.lexsort((np.arange(len(log)), known_first, log.user))
    moved = log.where(order)
    time = _in_order(moved.user, moved.time)
    return moved.replace(time=time, before=count_before(moved.user, time))


def _in_order(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Move times that lie before an earlier event's to the second after it."""
    if len(time) == 0:
        return time
    # Users are stacked so that one running maximum serves all.
    span = int(time.max() - time.min()) + 2
    rank = np.cumsum(np.r_[0, user[1:] != user[:-1]])
    stacked = (time - time.min()) + rank * span
    highest = np.maximum.accumulate(stacked)
    moved = np.maximum.accumulate(np.where(highest > stacked, highest + 1, stacked))
    return np.asarray(moved - rank * span + time.min())


def _scatter(place: np.ndarray, seed: int) -> np.ndarray:
    """Give each row a number at random that depends on nothing but it and the seed.

    Source: Steele et al. 2014, SplitMix64's output function.
    """
    with np.errstate(over="ignore"):
        z = place.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def plan(
    split: Split, times: Blocks, user_counts: np.ndarray, item_counts: np.ndarray
) -> Parting:
    """Settle what parts the events.

    In: `times`: of all events; the counts: int64 (users + 1,) and (items + 1,).
    Raises: DataError when a part would be empty.
    """
    if split.kind in ("temporal", "rolling"):
        return Parting(split=split, folds=_folds(split, times))
    if split.kind == "held_out_users":
        parts = _choose(user_counts, 2, split, "users with two events or more")
        return Parting(split=split, user_part=parts)
    if split.kind == "cold_items":
        parts = _choose(item_counts, 1, split, "items with an event")
        return Parting(split=split, item_part=parts)
    return Parting(split=split)


def _choose(counts: np.ndarray, least: int, split: Split, noun: str) -> np.ndarray:
    parts = np.full(len(counts), TRAIN, np.uint8)
    rows = np.flatnonzero(counts >= least)
    rows = rows[rows > 0]
    sizes = {VALIDATION: split.validation, TEST: split.test}
    wanted = {part: round(share * len(rows)) for part, share in sizes.items()}
    if min(wanted.values()) < 1 or sum(wanted.values()) >= len(rows):
        raise DataError(
            f"[data.split] {split.kind}: found {len(rows)} {noun}, of which validation "
            f"= {split.validation} and test = {split.test} make {wanted[VALIDATION]} "
            f"and {wanted[TEST]}; expected at least one each, and some to train on. "
            "Take other shares, or another kind."
        )
    chosen = np.random.default_rng(split.seed).permutation(rows)
    parts[chosen[: wanted[TEST]]] = TEST
    parts[chosen[wanted[TEST] :][: wanted[VALIDATION]]] = VALIDATION
    return parts


def _folds(split: Split, times: Blocks) -> tuple[Fold, ...]:
    """Cut the time into folds whose test parts lie one after the other at the end."""
    number = split.cuts if split.kind == "rolling" else 1
    starts = [1 - split.test * (number - i) for i in range(number)]
    shares = [start - split.validation for start in starts] + starts
    cuts = quantiles(times, shares)
    folds = [
        Fold(
            validation=cuts[i],
            test=cuts[number + i],
            end=cuts[number + i + 1] if i + 1 < number else None,
        )
        for i in range(number)
    ]
    for fold in folds:
        _check_not_empty(split, fold, times)
    return tuple(folds)


def temporal_fold(time: np.ndarray, split: Split) -> Fold:
    """Cut events that are in memory. In: `time`: int64 (n,). Raises: as `plan`."""
    return _folds(split, lambda: [time])[-1]


def _check_not_empty(split: Split, fold: Fold, times: Blocks) -> None:
    counts, low, high = np.zeros(3, np.int64), np.inf, -np.inf
    for time in times():
        if len(time) == 0:
            continue
        low, high = min(low, time.min()), max(high, time.max())
        inside = time if fold.end is None else time[time < fold.end]
        counts += np.bincount(temporal(inside, fold), minlength=3)
    for name, count in zip(("train", "validation", "test"), counts, strict=True):
        if count == 0:
            raise DataError(
                f"[data.split] {split.kind}: no event falls into {name} (cuts at "
                f"{fold.validation} and {fold.test}, times from {low:.0f} to "
                f"{high:.0f}). Take another kind of split, or larger shares."
            )


def quantiles(times: Blocks, shares: Iterable[float]) -> list[int]:
    """Return the values at these shares of all, each the next higher that occurs.

    Exact, with one block in memory at a time: blocks are counted into bins until few
    enough values are left to sort. Out: as `np.quantile(..., method="higher")`.
    """
    total, low, high = 0, np.iinfo(np.int64).max, np.iinfo(np.int64).min
    for time in times():
        if len(time):
            total += len(time)
            low, high = min(low, int(time.min())), max(high, int(time.max()))
    # As numpy places a share among the values; rounding lets 0.7 * 10 be 7.
    ranks = [int(np.ceil(np.round(s * (total - 1), 9))) for s in shares]
    return [_value_at(times, rank, low, high) for rank in ranks]


def _value_at(times: Blocks, rank: int, low: int, high: int) -> int:
    """Return the value at a place, from 0, among those from low to high."""
    while low < high:
        width = (high - low) // BINS + 1
        counts = np.zeros(BINS, np.int64)
        for time in times():
            inside = time[(time >= low) & (time <= high)]
            counts += np.bincount((inside - low) // width, minlength=BINS)
        ends = np.cumsum(counts)
        bin_ = int(np.searchsorted(ends, rank, side="right"))
        rank -= int(ends[bin_ - 1]) if bin_ else 0
        low, high = low + bin_ * width, min(high, low + (bin_ + 1) * width - 1)
        if counts[bin_] <= EXACT_VALUES:
            left = [time[(time >= low) & (time <= high)] for time in times()]
            return int(np.sort(np.concatenate(left))[rank])
    return low


def temporal(time: np.ndarray, fold: Fold) -> np.ndarray:
    """Part events by time. Out: uint8 (n,), TRAIN, VALIDATION or TEST."""
    part = np.full(len(time), TRAIN, np.uint8)
    part[time >= fold.validation] = VALIDATION
    part[time >= fold.test] = TEST
    return part


def at_random(place: np.ndarray, split: Split) -> np.ndarray:
    """Part events by chance. In: `place`: (n,), rows in the file. Out: uint8 (n,)."""
    draw = _scatter(place, split.seed) / 2.0**64
    part = np.full(len(place), TRAIN, np.uint8)
    part[draw < split.test + split.validation] = VALIDATION
    part[draw < split.test] = TEST
    return part


def leave_one_out(user: np.ndarray) -> np.ndarray:
    """Part events so that each user's last tests and the last but one validates.

    In: `user`: (n,), in the final order (`final_order`). Users of one or two events
    train only. Out: uint8 (n,).
    """
    part = np.full(len(user), TRAIN, np.uint8)
    last_of_user = np.ones(len(user), bool)
    last_of_user[:-1] = user[1:] != user[:-1]
    ends = np.flatnonzero(last_of_user)
    sizes = np.diff(np.r_[-1, ends])
    ends = ends[sizes >= 3]
    part[ends], part[ends - 1] = TEST, VALIDATION
    return part
