"""Statistics at a moment against their definition, from strictly earlier events."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.events import EventLog, count_before, row_starts
from data.statistics import NUM_STATISTICS, Statistics

USERS, ITEMS, DAY_S, WINDOW_S = 3, 4, 86_400, 5 * 86_400


class Event(NamedTuple):
    user: int
    time: int
    item: int
    positive: bool


EVENTS = st.lists(
    st.builds(
        Event,
        user=st.integers(1, USERS),
        time=st.integers(1, 20).map(lambda days: days * DAY_S),
        item=st.integers(1, ITEMS),
        positive=st.booleans(),
    ),
    max_size=25,
)


def _log(events: list[Event]) -> EventLog:
    events = sorted(events, key=lambda e: (e.user, e.time))
    columns = np.array(events, np.int64).reshape(-1, 4).T
    user, time = columns[0].astype(np.int32), columns[1]
    return EventLog(
        user=user,
        item=columns[2].astype(np.int32),
        time=time,
        label=np.zeros(len(events), np.float32),
        positive=columns[3].astype(bool),
        weight=np.ones(len(events), np.float32),
        part=np.zeros(len(events), np.uint8),
        before=count_before(user, time),
        start=row_starts(user, USERS),
    )


def _slow(
    events: list[Event], column: str, row: int, time: int, prior: float
) -> list[float]:
    earlier = [e for e in events if e.time < time]
    base = sum(e.positive for e in earlier) / len(earlier) if earlier else 0.5
    own = [e for e in earlier if getattr(e, column) == row]
    recent = float(sum(e.time >= time - WINDOW_S for e in own))
    if prior:
        inside = sum(e.time >= time - WINDOW_S for e in earlier)
        usual = len(own) / max(len(earlier), 1)
        share = (recent + prior * ITEMS * usual) / (inside + prior * ITEMS)
        recent = share * len(earlier)
    share = (sum(e.positive for e in own) + 5 * base) / (len(own) + 5)
    age = (time - min(e.time for e in own)) / DAY_S if own else 0
    logs = [math.log1p(len(own)) / 5, math.log1p(recent) / 5, math.log1p(age) / 5]
    return [logs[0], logs[1], share, logs[2]]


@given(EVENTS, st.integers(0, 22).map(lambda days: days * DAY_S))
@pytest.mark.parametrize(
    ("column", "prior"), [("item", 0.0), ("item", 0.5), ("item", 3.0), ("user", 0.0)]
)
def test_statistics_are_their_definition(
    column: str, prior: float, events: list[Event], time: int
) -> None:
    log = _log(events)
    statistics = (
        Statistics.of_items(log, ITEMS, WINDOW_S, prior=prior)
        if column == "item"
        else Statistics.of_users(log, WINDOW_S)
    )
    num_rows = ITEMS if column == "item" else USERS
    rows = list(range(num_rows + 1))
    found = statistics.at(np.array(rows), np.array(time))
    expected = [_slow(events, column, row, time, prior) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


@given(EVENTS, st.data())
def test_without_times_a_row_s_first_events_count(
    events: list[Event], data: st.DataObject
) -> None:
    """So much is known of a user before a request, whatever comes after it."""
    log = _log(events)
    rows = np.arange(USERS + 1)
    counts = [data.draw(st.integers(0, int(n))) for n in log.user_counts()]
    statistics = Statistics.of_users(log, WINDOW_S, timeless=True)
    found = statistics.at(rows, np.int64(0), np.array(counts))
    base = log.positive.mean() if len(log) else 0.5
    for row, count in zip(rows, counts, strict=True):
        own = log.positive[log.start[row] : log.start[row] + count]
        share = (own.sum() + 5 * base) / (count + 5)
        expected = [math.log1p(count) / 5, math.log1p(count) / 5, share, 0]
        np.testing.assert_allclose(found[row], expected, rtol=1e-6)
    none = log.where(np.zeros(len(log), bool))
    without = Statistics.of_users(log, WINDOW_S, timeless=True, base=none)
    assert (without.at(rows, np.int64(0), np.zeros(USERS + 1, int))[:, 2] == 0.5).all()


def test_times_are_broadcast_to_rows() -> None:
    log = _log([Event(1, DAY_S, 1, True), Event(2, 3 * DAY_S, 2, False)])
    statistics = Statistics.of_items(log, ITEMS, WINDOW_S)
    rows = np.array([[1, 2, 0], [2, 2, 1]])
    found = statistics.at(rows, np.array([[2 * DAY_S], [9 * DAY_S]]))
    assert found.shape == (2, 3, NUM_STATISTICS)
    alone = statistics.at(np.array([2]), np.array([9 * DAY_S]))
    np.testing.assert_array_equal(found[1, 0], alone[0])


@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_a_quiet_month_is_no_other_taste(prior: float) -> None:
    """Where every item loses the same share of its events, a prior keeps them level."""
    busy = [Event(1 + n % 3, DAY_S + n, 1, True) for n in range(900)]
    busy += [Event(1 + n % 3, DAY_S + n, 2, True) for n in range(90)]
    quiet = [Event(1, 15 * DAY_S + n, 1, True) for n in range(10)]
    quiet += [Event(1, 15 * DAY_S, 2, True)]
    statistics = Statistics.of_items(_log(busy + quiet), ITEMS, WINDOW_S, prior=prior)
    recent = statistics.at(np.array([1, 2]), np.array([[2 * DAY_S], [16 * DAY_S]]))
    apart = recent[:, 0, 1] - recent[:, 1, 1]
    assert (abs(apart[0] - apart[1]) < 0.01) == (prior > 0)
