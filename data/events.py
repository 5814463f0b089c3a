"""The events of a data set in arrays, each user's together and in order of time."""

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
FOLD_IN = 3  # Known of a held-out user; trained on by nothing, asked for by nothing.
EVENT_COLUMNS = (
    *("user", "item", "time", "label"),
    *("positive", "weight", "part", "before"),
)


@dataclass(frozen=True, kw_only=True)
class EventLog:
    """Events sorted by user, time and as `[data.split] ties` says.

    `user`, `item`: int32 (n,), rows of the users' and items' tables, from 1.
    `time`: int64 (n,), Unix seconds UTC. `label`: float32 (n,), NaN where missing.
    `positive`: bool (n,). `weight`: float32 (n,), of the event in a loss. `part`:
    uint8 (n,), TRAIN, VALIDATION, TEST or FOLD_IN.
    `before`: int32 (n,), how many of the user's events are strictly earlier.
    `context`: encoded context columns, (n,) or (n, 2).
    `start`: int64 (users + 2,): events of user u are [start[u], start[u + 1]).
    `likes_alone`: whether a history holds the positives alone.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    label: np.ndarray
    positive: np.ndarray
    weight: np.ndarray
    part: np.ndarray
    before: np.ndarray
    start: np.ndarray
    context: dict[str, np.ndarray] = field(default_factory=dict)
    likes_alone: bool = False

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_users(self) -> int:
        """Return the number of rows of the users' table, row 0 not counted."""
        return len(self.start) - 2

    def where(self, keep: np.ndarray) -> "EventLog":
        """Return the events that a mask keeps, or those at places in their order.

        `before` counts among them. In: bool (n,), or int64 (m,) by user.
        """
        kept = {name: getattr(self, name)[keep] for name in EVENT_COLUMNS}
        kept["before"] = count_before(kept["user"], kept["time"])
        context = {name: column[keep] for name, column in self.context.items()}
        start = row_starts(kept["user"], self.num_users)
        return self.replace(**kept, start=start, context=context)

    def through(self, part: int) -> "EventLog":
        """Return the events of a part and of those before it."""
        return self.where(self.part <= part)

    def earlier_than(self, time: int) -> "EventLog":
        """Return the events strictly before a time in Unix seconds."""
        return self.where(self.time < time)

    def counts_before(self, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Count each user's events strictly before a time.

        In: `users`: rows (q,); `times`: int64 (q,). Out: int64 (q,).
        """
        ranks = np.unique(self.time)
        key = self.user.astype(np.int64) * (len(ranks) + 1)
        key += np.searchsorted(ranks, self.time)
        wanted = users.astype(np.int64) * (len(ranks) + 1)
        wanted += np.searchsorted(ranks, times)
        return np.asarray(np.searchsorted(key, wanted) - self.start[users])

    @cached_property
    def read(self) -> "EventLog":
        """Return the events that histories hold: all, or the positives alone."""
        if not self.likes_alone:
            return self
        return self.where(self.positive).replace(likes_alone=False)

    def read_counts(self, users: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Count the events of `read` among each user's first `counts`.

        In: `users`: rows (q,); `counts`: (q,). Out: int64 (q,).
        """
        if not self.likes_alone:
            return np.asarray(counts, np.int64)
        start = self.start[users]
        return self._likes_before[start + counts] - self._likes_before[start]

    @cached_property
    def _likes_before(self) -> np.ndarray:
        return np.r_[0, np.cumsum(self.positive, dtype=np.int64)]

    def places_between(
        self, users: np.ndarray, counts: np.ndarray, until: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the events of users from number `counts` to before number `until`.

        In: (q,) each. Out: int64 (m,) each: which of the q, and the place in the log.
        """
        number = until - counts
        request = np.repeat(np.arange(len(users)), number)
        before = np.repeat(np.cumsum(number) - number, number)
        offset = np.arange(len(request)) - before
        return request, (self.start[users] + counts)[request] + offset

    def histories(
        self, users: np.ndarray, counts: np.ndarray, length: int
    ) -> np.ndarray:
        """Return the newest items among each user's first `counts` events.

        In: `users`: rows (q,); `counts`: (q,). Out: int32 (q, length), oldest first,
        padded with 0 at the end.
        """
        if self.likes_alone:
            counts = self.read_counts(users, counts)
            return self.read.histories(users, counts, length)
        taken = np.minimum(counts, length)
        places = (self.start[users] + counts - taken)[:, None] + np.arange(length)
        valid = np.arange(length) < taken[:, None]
        if len(self.item) == 0:
            return np.zeros(valid.shape, np.int32)
        items = self.item[np.minimum(places, len(self.item) - 1)]
        return np.where(valid, items, 0).astype(np.int32)

    def last_times(self, users: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return the time of each user's event number `counts`, 0 where 0.

        In: `users`: rows (q,); `counts`: (q,). Out: int64 (q,), Unix seconds.
        """
        if len(self.time) == 0:
            return np.zeros(len(users), np.int64)
        place = np.maximum(self.start[users] + counts - 1, 0)
        return np.where(counts > 0, self.time[place], 0)

    def item_counts(self, num_items: int, positives_only: bool = False) -> np.ndarray:
        """Count events by item. Out: int64 (num_items + 1,), row 0 stays 0."""
        items = self.item[self.positive] if positives_only else self.item
        return np.bincount(items, minlength=num_items + 1)

    def user_counts(self) -> np.ndarray:
        """Count events by user. Out: int64 (num_users + 1,), row 0 stays 0."""
        return np.diff(self.start)

    def replace(self, **columns: Any) -> "EventLog":
        """Return a copy with some columns replaced."""
        return dataclasses.replace(self, **columns)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Which events of a data set a model may know.

    `part`: those of parts up to it; `end`: those before it, Unix seconds;
    `likes_alone`: the positives among them.
    """

    part: int | None = None
    end: int | None = None
    likes_alone: bool = False

    def of(self, log: EventLog) -> EventLog:
        """Return the events of a log that lie in it."""
        keep = np.ones(len(log), bool)
        if self.part is not None:
            keep &= log.part <= self.part
        if self.end is not None:
            keep &= log.time < self.end
        if self.likes_alone:
            keep &= log.positive
        return log.where(keep)


def row_starts(sorted_rows: np.ndarray, num_rows: int) -> np.ndarray:
    """Return where each row's run begins. Out: int64 (num_rows + 2,)."""
    return np.searchsorted(sorted_rows, np.arange(num_rows + 2))


def untied(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Put times that are level within a user one second after another.

    In: (n,) each, in their final order. Out: int64 (n,), rising within each user.
    """
    if len(user) == 0:
        return time
    index = np.arange(len(user))
    level = time - index
    # Users are stacked so that one running maximum serves all.
    span = int(level.max() - level.min()) + 1
    stack = np.cumsum(np.r_[0, user[1:] != user[:-1]]) * span
    return np.asarray(np.maximum.accumulate(level + stack) - stack + index)


def count_before(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Count, for events sorted by user and time, the user's strictly earlier ones.

    In: `user`: (n,), `time`: int64 (n,). Out: int32 (n,).
    """
    if len(user) == 0:
        return np.zeros(0, np.int32)
    index = np.arange(len(user))
    new_user = np.r_[True, user[1:] != user[:-1]]
    new_time = new_user | np.r_[True, time[1:] != time[:-1]]
    first_of_user = np.maximum.accumulate(np.where(new_user, index, 0))
    first_of_tie = np.maximum.accumulate(np.where(new_time, index, 0))
    return (first_of_tie - first_of_user).astype(np.int32)
