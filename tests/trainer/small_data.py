"""Small data sets built straight from arrays, with no files and no preparation."""

from dataclasses import dataclass, replace

import numpy as np

from data.events import TEST, EventLog, count_before, row_starts
from data.queries import Queries, Targets, evaluation_queries
from data.split import Fold, temporal

DAY = 86_400
CUTS = (60 * DAY, 80 * DAY)


@dataclass(frozen=True)
class SmallData:
    """What an evaluation reads of a prepared data set, split at `CUTS`."""

    events: EventLog
    num_items: int
    servable: np.ndarray

    @property
    def headline_targets(self) -> Targets:
        """Return which relevant items the split is about."""
        return "warm"

    def cut(self, part: int) -> int:
        """Return when VALIDATION or TEST begins."""
        return CUTS[part - 1]

    def queries(self, part: int, targets: Targets | None = None) -> Queries:
        """Ask about VALIDATION or TEST."""
        at = CUTS[part - 1]
        return evaluation_queries(
            self.events, part, at=at, servable=self.servable, targets=targets or "warm"
        )


def make_log(
    user: np.ndarray, item: np.ndarray, time: np.ndarray, positive: np.ndarray
) -> EventLog:
    """Build a log of events in any order. In: (n,) each, `time` in seconds."""
    order = np.lexsort((time, user))
    user, item, time = user[order], item[order], time[order]
    return EventLog(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        time=time.astype(np.int64),
        label=positive[order].astype(np.float32),
        positive=positive[order].astype(bool),
        weight=np.ones(len(user), np.float32),
        part=temporal(time, Fold(validation=CUTS[0], test=CUTS[1])),
        before=count_before(user, time),
        start=row_starts(user, int(user.max())),
    )


def random_data(
    seed: int = 0, *, users: int = 40, items: int = 30, events: int = 1_200
) -> SmallData:
    """Draw events of users who like items of their own parity, popular ones more."""
    rng = np.random.default_rng(seed)
    user = rng.integers(1, users + 1, events)
    item = np.minimum(rng.geometric(0.12, events), items)
    item = np.where((user + item) % 2 == 0, item, np.maximum(item - 1, 1))
    time = rng.integers(0, 100 * DAY, events)
    servable = np.r_[False, np.ones(items, bool)]
    log = make_log(user, item, time, rng.random(events) < 0.7)
    return SmallData(log, items, servable)


def with_other_test_events(data: SmallData) -> SmallData:
    """Return the same past with another future."""
    log = data.events
    in_test = log.part == TEST
    item = np.where(in_test, data.num_items + 1 - log.item, log.item)
    changed = log.replace(
        item=item.astype(np.int32), positive=np.where(in_test, True, log.positive)
    )
    return replace(data, events=changed)


@dataclass(frozen=True)
class TableScorer:
    """Scores every query by one row of numbers. `row`: float32 (items + 1,)."""

    row: np.ndarray

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, items + 1)."""
        return np.tile(self.row.astype(np.float32), (len(rows), 1))
