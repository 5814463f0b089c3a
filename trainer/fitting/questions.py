"""Questions of the validation part, as an evaluation asks them of the test part.

At a few more moments: what will a user like until the part's end?
"""

from dataclasses import dataclass

import numpy as np

from data.events import TEST, VALIDATION, EventLog
from data.prepared import Prepared
from data.queries import Queries
from trainer.fitting.asked import new_to_user, slice_moments

MOMENTS = 4


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Requests of the validation part and what was liked after them.

    `user` int32, `time`, `count` int64: (q,); `liked`: int64 (m, 2), pairs of a place
    among them and an item's row, each once.
    """

    user: np.ndarray
    time: np.ndarray
    count: np.ndarray
    liked: np.ndarray

    @classmethod
    def of(cls, prepared: Prepared, limit: int, seed: int) -> "Questions":
        """Ask at most so many questions, a random choice where there are more."""
        begin, end = prepared.cut(VALIDATION), prepared.cut(TEST)
        if begin is None or end is None:
            found = _of_queries(prepared)
        else:
            found = _of_moments(prepared, begin, end)
        number = len(found.user)
        if number <= limit:
            return found
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(number, limit, replace=False))
        place = np.full(number, -1)
        place[rows] = np.arange(limit)
        liked = np.stack([place[found.liked[:, 0]], found.liked[:, 1]], axis=1)
        return cls(
            user=found.user[rows],
            time=found.time[rows],
            count=found.count[rows],
            liked=liked[liked[:, 0] >= 0],
        )

    def __len__(self) -> int:
        return len(self.user)

    def queries(self, log: EventLog) -> Queries:
        """Return the requests as an evaluation asks them, seen items by a log."""
        by_request = np.argsort(self.liked[:, 0], kind="stable")
        number = np.bincount(self.liked[:, 0], minlength=len(self))
        liked = np.split(self.liked[by_request, 1], np.cumsum(number)[:-1])
        first = log.start[self.user]
        return Queries(
            users=self.user,
            counts=self.count,
            times=self.time,
            relevant=[np.sort(items) for items in liked] if len(self) else [],
            seen=[
                np.unique(log.item[start : start + count])
                for start, count in zip(first, self.count, strict=True)
            ],
            num_cold_users=0,
            num_cold_items=0,
        )


def _of_queries(prepared: Prepared) -> Questions:
    queries = prepared.queries(VALIDATION)
    pairs = [(row, item) for row, r in enumerate(queries.relevant) for item in r]
    return Questions(
        user=queries.users,
        time=queries.times,
        count=queries.counts,
        liked=np.array(pairs, np.int64).reshape(-1, 2),
    )


def _of_moments(prepared: Prepared, begin: int, end: int) -> Questions:
    log = prepared.events.earlier_than(end)
    moments = slice_moments(log, begin, end, MOMENTS)
    everyone = np.flatnonzero(log.user_counts() > 0)
    user, time = np.repeat(everyone, len(moments)), np.tile(moments, len(everyone))
    count = log.counts_before(user, time)
    user, time, count = (x[count > 0] for x in (user, time, count))
    request, place = log.places_between(user, count, log.user_counts()[user])
    trained = log.earlier_than(begin).item_counts(prepared.num_items)
    wanted = new_to_user(log) & log.positive
    wanted &= prepared.servable[log.item] & (trained[log.item] > 0)
    request, place = request[wanted[place]], place[wanted[place]]
    asking, row = np.unique(request, return_inverse=True)
    return Questions(
        user=user[asking].astype(np.int32),
        time=time[asking],
        count=count[asking],
        liked=np.stack([row, log.item[place].astype(np.int64)], axis=1),
    )
