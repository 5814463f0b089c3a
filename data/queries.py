"""The questions that an evaluation asks: who, when, what was met, what came next."""

from dataclasses import dataclass

import numpy as np

from data.events import FOLD_IN, TEST, TRAIN, VALIDATION, EventLog


@dataclass(frozen=True, kw_only=True)
class Queries:
    """One query per user of a part of the split.

    `users`: int32 (q,), rows. `counts`: int64 (q,), the history is the user's first
    so many events. `times`: int64 (q,), when the request is made. `relevant`,
    `seen`: for each query an int32 array of item rows, ascending; relevant are
    positives of the part that the user had not met. `num_cold_users`: users with
    relevant items and no earlier event, left out. `num_cold_items`: relevant items
    without a training event, left out of `relevant`.
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


def evaluation_queries(
    log: EventLog,
    part: int,
    *,
    at: int | None,
    servable: np.ndarray,
    cold_targets: bool = False,
) -> Queries:
    """Ask about VALIDATION or TEST with everything before it as the history.

    In: `at`: the time of all requests under a temporal split; None under the others,
    where each request comes at the time of its first target. `servable`: bool
    (items + 1,). Unservable items are no target, nor are those without a training
    event unless `cold_targets` says that they are what is asked for.
    """
    known = log.through(TRAIN).item_counts(len(servable) - 1) > 0
    known |= cold_targets
    columns: dict[str, list[int]] = {"users": [], "counts": [], "times": []}
    relevant, seen = [], []
    cold_users = cold_items = 0
    for user in np.unique(log.user[log.part == part]):
        events = slice(log.start[user], log.start[user + 1])
        parts, items = log.part[events], log.item[events]
        count = int(((parts < part) | (parts == FOLD_IN)).sum())
        met = np.unique(items[:count])
        wanted = np.unique(items[(parts == part) & log.positive[events]])
        wanted = np.setdiff1d(wanted, met)
        wanted = wanted[servable[wanted]]
        targets = wanted[known[wanted]]
        cold_items += len(wanted) - len(targets)
        if len(targets) == 0:
            continue
        if count == 0:
            cold_users += 1
            continue
        first = int(log.time[events][count])
        columns["users"].append(int(user))
        columns["counts"].append(count)
        columns["times"].append(first if at is None else at)
        relevant.append(targets.astype(np.int32))
        seen.append(met.astype(np.int32))
    return Queries(
        users=np.array(columns["users"], np.int32),
        counts=np.array(columns["counts"], np.int64),
        times=np.array(columns["times"], np.int64),
        relevant=relevant,
        seen=seen,
        num_cold_users=cold_users,
        num_cold_items=cold_items,
    )


PART_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
