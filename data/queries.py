"""The questions that an evaluation asks: who, when, what was met, what came next."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.events import FOLD_IN, TEST, TRAIN, VALIDATION, EventLog

PART_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
Targets = Literal["warm", "cold"]
"""Which relevant items are asked for: those with a training event, or without one."""


@dataclass(frozen=True, kw_only=True)
class Queries:
    """One query per user of a part of the split.

    `users`: int32 (q,), rows. `counts`: int64 (q,), the history is the user's first
    so many events. `times`: int64 (q,), when the request is made. `relevant`,
    `seen`: for each query an int32 array of item rows, ascending; relevant are
    positives of the part that the user had not met. `num_cold_users`: users with
    relevant items and no earlier event, left out. `num_cold_items`: relevant items
    without a training event, if they are left out of `relevant`, else 0.
    """

    users: np.ndarray
    counts: np.ndarray
    times: np.ndarray
    relevant: list[np.ndarray]
    seen: list[np.ndarray]
    num_cold_users: int
    num_cold_items: int

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: np.ndarray) -> "Queries":
        """Return the queries at these places; what was left out stays counted."""
        return Queries(
            users=self.users[rows],
            counts=self.counts[rows],
            times=self.times[rows],
            relevant=[self.relevant[row] for row in rows],
            seen=[self.seen[row] for row in rows],
            num_cold_users=self.num_cold_users,
            num_cold_items=self.num_cold_items,
        )


def evaluation_queries(
    log: EventLog,
    part: int,
    *,
    at: int | None,
    servable: np.ndarray,
    targets: Targets = "warm",
) -> Queries:
    """Ask about VALIDATION or TEST with everything before it as the history.

    In: `at`: the time of all requests under a temporal split; None under the others,
    where a request comes at the time of the last event known of its user: nothing of
    a target is read, its time neither. `servable`: bool (items + 1,); unservable
    items are no target. `targets`: items with a training event, or those without.
    """
    width = len(servable)
    known = num_known(log, part)
    asked = log.positive & (log.part == part) & servable[log.item]
    # Few users are asked; only their events are looked at again.
    of_asked = np.zeros(len(known), bool)
    of_asked[log.user[asked]] = True
    own = np.flatnonzero(of_asked[log.user])
    met = own[own - log.start[log.user[own]] < known[log.user[own]]]
    met_pairs = _distinct(log.user[met].astype(np.int64) * width + log.item[met])
    pairs = _distinct(log.user[asked].astype(np.int64) * width + log.item[asked])
    pairs = pairs[~_stand_in(pairs, met_pairs)]
    trains = np.bincount(log.item[log.part == TRAIN], minlength=width) > 0
    trained = trains[pairs % width]
    wanted = pairs[trained if targets == "warm" else ~trained]
    asking = _distinct(wanted // width).astype(np.int32)
    users = asking[known[asking] > 0]
    counts = known[users]
    if at is None:
        times = log.last_times(users, counts)
    else:
        times = np.full(len(users), at, np.int64)
    return Queries(
        users=users,
        counts=counts,
        times=times,
        relevant=_of_users(wanted, users, width),
        seen=_of_users(met_pairs, users, width),
        num_cold_users=len(asking) - len(users),
        num_cold_items=int((~trained).sum()) if targets == "warm" else 0,
    )


def num_known(log: EventLog, part: int) -> np.ndarray:
    """Count what is known of each user when a part is asked about.

    Those are a user's first events. Out: int64 (users + 1,).
    """
    is_known = (log.part < part) | (log.part == FOLD_IN)
    return np.bincount(log.user[is_known], minlength=log.num_users + 1)


def _distinct(values: np.ndarray) -> np.ndarray:
    """Return each value once, ascending: a third of the time of `np.unique`'s hash."""
    ascending = np.sort(values)
    new = np.ones(len(ascending), bool)
    new[1:] = ascending[1:] != ascending[:-1]
    return ascending[new]


def _stand_in(values: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Tell which values another array holds; far faster than `np.isin` for few."""
    if len(ascending) == 0:
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[place] == values)


def _of_users(pairs: np.ndarray, users: np.ndarray, width: int) -> list[np.ndarray]:
    """Return each user's items, ascending. In: `pairs`: user * width + item, sorted."""
    first = np.searchsorted(pairs, users.astype(np.int64) * width)
    end = np.searchsorted(pairs, (users.astype(np.int64) + 1) * width)
    items = (pairs % width).astype(np.int32)
    return [items[a:b] for a, b in zip(first, end, strict=True)]
