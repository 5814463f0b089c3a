"""The arrays of events against definitions in plain Python."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.events import EventLog, count_before, row_starts, untied

USERS, ITEMS = 4, 5


class Event(NamedTuple):
    user: int
    time: int
    item: int
    positive: bool
    part: int


EVENTS = st.lists(
    st.builds(
        Event,
        user=st.integers(1, USERS),
        time=st.integers(0, 12),
        item=st.integers(1, ITEMS),
        positive=st.booleans(),
        part=st.integers(0, 2),
    ),
    max_size=30,
)


def _log(events: list[Event]) -> tuple[list[Event], EventLog]:
    """Sort events as `prepare` does; parts rise with time, as every split's do."""
    events = sorted(events, key=lambda e: (e.user, e.time))
    cut = sorted(e.time for e in events)
    ranked = {t: 3 * cut.index(t) // len(cut) for t in cut}
    events = [e._replace(part=ranked[e.time]) for e in events]
    columns = np.array(events, np.int64).reshape(-1, 5).T
    user, time = columns[0].astype(np.int32), columns[1]
    log = EventLog(
        user=user,
        item=columns[2].astype(np.int32),
        time=time,
        label=np.arange(len(events), dtype=np.float32),
        positive=columns[3].astype(bool),
        weight=np.ones(len(events), np.float32),
        part=columns[4].astype(np.uint8),
        before=count_before(user, time),
        start=row_starts(user, USERS),
        context={"where": np.arange(len(events), dtype=np.int32)},
    )
    return events, log


@given(EVENTS)
def test_before_counts_the_strictly_earlier(raw: list[Event]) -> None:
    events, log = _log(raw)
    expected = [
        sum(o.user == e.user and o.time < e.time for o in events) for e in events
    ]
    np.testing.assert_array_equal(log.before, expected)
    assert log.before.dtype == np.int32


@given(EVENTS)
def test_start_bounds_each_users_run(raw: list[Event]) -> None:
    events, log = _log(raw)
    for user in range(USERS + 1):
        own = log.item[log.start[user] : log.start[user + 1]]
        assert own.tolist() == [e.item for e in events if e.user == user]
    assert log.num_users == USERS


@given(EVENTS, st.integers(-1, 14))
def test_counts_before_and_last_times(raw: list[Event], time: int) -> None:
    events, log = _log(raw)
    users = np.arange(USERS + 1)
    counts = log.counts_before(users, np.full(len(users), time))
    times = [[e.time for e in events if e.user == u and e.time < time] for u in users]
    assert counts.tolist() == [len(own) for own in times]
    expected = [own[-1] if own else 0 for own in times]
    assert log.last_times(users, counts).tolist() == expected


@given(EVENTS, st.integers(0, 6), st.data())
def test_histories(raw: list[Event], length: int, data: st.DataObject) -> None:
    events, log = _log(raw)
    users = np.arange(USERS + 1)
    sizes = np.diff(log.start)
    counts = np.array([data.draw(st.integers(0, int(n))) for n in sizes])
    found = log.histories(users, counts, length)
    for user, count, row in zip(users, counts, found, strict=True):
        own = [e.item for e in events if e.user == user][:count]
        newest = own[max(0, len(own) - length) :]
        assert row.tolist() == newest + [0] * (length - len(newest))


@given(EVENTS, st.integers(0, 6), st.data())
def test_histories_of_likes(raw: list[Event], length: int, data: st.DataObject) -> None:
    events, log = _log(raw)
    log = log.replace(likes_alone=True)
    users = np.arange(USERS + 1)
    counts = np.array([data.draw(st.integers(0, int(n))) for n in np.diff(log.start)])
    found = log.histories(users, counts, length)
    for user, count, row in zip(users, counts, found, strict=True):
        own = [e for e in events if e.user == user][:count]
        liked = [e.item for e in own if e.positive]
        assert log.read_counts(np.array([user]), np.array([count]))[0] == len(liked)
        newest = liked[max(0, len(liked) - length) :]
        assert row.tolist() == newest + [0] * (length - len(newest))
    assert log.read.item.tolist() == [e.item for e in events if e.positive]
    # What is kept of a log still holds likes alone.
    half = log.through(1)
    assert half.read.item.tolist() == log.read.through(1).item.tolist()


@given(EVENTS)
def test_item_and_user_counts(raw: list[Event]) -> None:
    events, log = _log(raw)
    for positives_only in (False, True):
        kept = [e.item for e in events if e.positive or not positives_only]
        expected = [kept.count(i) for i in range(ITEMS + 1)]
        assert log.item_counts(ITEMS, positives_only).tolist() == expected
    users = [e.user for e in events]
    assert log.user_counts().tolist() == [users.count(u) for u in range(USERS + 1)]


def _check_kept(log: EventLog, kept: EventLog, keep: Callable[[int], bool]) -> None:
    places = [i for i in range(len(log)) if keep(i)]
    for name in ("user", "item", "time", "label", "positive", "part", "before"):
        expected = getattr(log, name)[places]
        np.testing.assert_array_equal(getattr(kept, name), expected, err_msg=name)
    assert kept.context["where"].tolist() == places
    np.testing.assert_array_equal(kept.start, row_starts(kept.user, USERS))
    np.testing.assert_array_equal(kept.before, count_before(kept.user, kept.time))


@given(EVENTS, st.integers(0, 13))
def test_earlier_than(raw: list[Event], time: int) -> None:
    events, log = _log(raw)
    _check_kept(log, log.earlier_than(time), lambda i: events[i].time < time)


@given(EVENTS, st.integers(0, 2))
def test_through(raw: list[Event], part: int) -> None:
    events, log = _log(raw)
    _check_kept(log, log.through(part), lambda i: events[i].part <= part)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(-50, 50)), min_size=1, max_size=60
    )
)
def test_untied_times_rise_and_keep_the_order(pairs: list[tuple[int, int]]) -> None:
    user, time = np.array(sorted(pairs)).T
    moved = untied(user, time)
    same = user[1:] == user[:-1]
    assert (np.diff(moved)[same] > 0).all()
    assert (moved >= time).all()
    first = np.r_[True, ~same]
    np.testing.assert_array_equal(moved[first], time[first])
    for place in np.flatnonzero(~first):  # No further than the one before demands.
        assert moved[place] == max(time[place], moved[place - 1] + 1)
