"""Counts and shares of items and users as they stood at a moment."""

from dataclasses import dataclass

import numpy as np

from data.events import EventLog
from data.features import DAY_S

NAMES = ("log_count", "log_recent_count", "positive_share", "log_age_days")
NUM_STATISTICS = len(NAMES)
PRIOR_EVENTS = 5.0
_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Statistics:
    """Looks up statistics of table rows at any time, using earlier events only.

    Each is a small number of about unit size: log of 1 + events so far, log of
    1 + events in the window before, the share of positives shrunk towards that of
    all events so far by a prior of five, log of 1 + days since the first event.

    `timeless`: the times are none, only an order of rows; every moment then reads the
    counts of the whole log, or of a row's first events, and an age of 0.

    `prior`: 0, or how many events, spread as all events so far are, stand beside
    those in the window; the count of the window is then what the row would have so far
    had all events been spread so. It means the same in a busy month as in a quiet one:
    events of the window alone are fewer in a quiet one, and a model that learnt how
    much each is worth takes rare items for popular ones.
    """

    key: np.ndarray
    ranks: np.ndarray
    positives: np.ndarray
    first_time: np.ndarray
    start: np.ndarray
    window_s: int
    base_shares: np.ndarray
    events_before: np.ndarray
    timeless: bool = False
    prior: float = 0.0

    @classmethod
    def of_items(
        cls,
        log: EventLog,
        num_items: int,
        window_s: int,
        *,
        timeless: bool = False,
        prior: float = 0.0,
        prior_items: int | None = None,
    ) -> "Statistics":
        """Index the events of a log by item.

        In: `prior_items`: how many items the prior is of, `num_items` unless others
        came after the fit.
        """
        spread = prior * (num_items if prior_items is None else prior_items)
        return cls._of(log.item, log, num_items, window_s, timeless, spread)

    @classmethod
    def of_users(
        cls,
        log: EventLog,
        window_s: int,
        *,
        timeless: bool = False,
        base: EventLog | None = None,
    ) -> "Statistics":
        """Index the events of a log by user.

        In: `base`: those of them that shares are shrunk towards; None for all.
        """
        return cls._of(log.user, log, log.num_users, window_s, timeless, base=base)

    @classmethod
    def _of(
        cls,
        rows: np.ndarray,
        log: EventLog,
        num_rows: int,
        window_s: int,
        timeless: bool,
        prior: float = 0.0,
        base: EventLog | None = None,
    ) -> "Statistics":
        order = np.lexsort((log.time, rows))
        rows, time = rows[order], log.time[order]
        ranks = np.unique(time)
        key = rows.astype(np.int64) * (len(ranks) + 1) + np.searchsorted(ranks, time)
        start = np.searchsorted(rows, np.arange(num_rows + 2))
        padded = np.r_[time, 0]
        events_before, base_shares = _before(ranks, log if base is None else base)
        has_any = np.diff(start) > 0
        return cls(
            key=key,
            ranks=ranks,
            positives=np.r_[0, np.cumsum(log.positive[order])],
            first_time=np.where(has_any, padded[start[:-1]], 0),
            start=start,
            window_s=window_s,
            base_shares=base_shares,
            events_before=events_before,
            timeless=timeless,
            prior=prior,
        )

    def at(
        self,
        rows: np.ndarray,
        times: np.ndarray | np.int64,
        counts: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return statistics of rows at times.

        In: `rows`: int (...); `times`: int64, broadcast to rows, Unix seconds;
        `counts`: int (...), how many of each row's first events are known, which
        matters where the times are none; None for all.
        Out: float32 (..., NUM_STATISTICS), from events strictly before each time.
        """
        rows, times = np.broadcast_arrays(rows, times)
        start = self.start[rows]
        if self.timeless:
            times = np.full(rows.shape, _END)
        now = self._place(rows, times)
        if self.timeless and counts is not None:
            now = np.minimum(now, start + counts)
        past = start if self.timeless else self._place(rows, times - self.window_s)
        count = now - start
        positives = self.positives[now] - self.positives[start]
        base = self.base_shares[np.searchsorted(self.ranks, times)]
        share = (positives + PRIOR_EVENTS * base) / (count + PRIOR_EVENTS)
        dated = (count > 0) & (not self.timeless)
        age = np.where(dated, (times - self.first_time[rows]) / DAY_S, 0)
        recent = now - past
        if self.prior and not self.timeless:
            recent = self._as_ever(recent, count, times)
        columns = [np.log1p(count), np.log1p(recent), share, np.log1p(age)]
        scaled = [columns[0] / 5, columns[1] / 5, columns[2], columns[3] / 5]
        return np.stack(scaled, axis=-1).astype(np.float32)

    def _as_ever(
        self, recent: np.ndarray, count: np.ndarray, times: np.ndarray
    ) -> np.ndarray:
        """Return how many events rows would have so far, had all been as recent ones.

        In: events in the window before each time and so far, (...). Out: float64.
        """
        so_far = self.events_before[np.searchsorted(self.ranks, times)]
        until = np.searchsorted(self.ranks, times - self.window_s)
        inside = so_far - self.events_before[until] + self.prior
        return np.asarray((so_far * recent + self.prior * count) / inside)

    def _place(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        rank = np.searchsorted(self.ranks, times)
        wanted = rows.astype(np.int64) * (len(self.ranks) + 1) + rank
        return np.asarray(np.searchsorted(self.key, wanted))


def _before(ranks: np.ndarray, log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Return what comes before each distinct time and before the end.

    Out: events, int64 (distinct times + 1,), and the share of positives among them,
    float64, one half where nothing is earlier.
    """
    place = np.searchsorted(ranks, log.time)
    events = np.cumsum(np.bincount(place, minlength=len(ranks)))
    positives = np.cumsum(np.bincount(place, log.positive, minlength=len(ranks)))
    shares = np.where(events > 0, positives / np.maximum(events, 1), 0.5)
    return np.r_[0, events], np.r_[0.5, shares]
