"""Lists of users and ids inside a graph, against plain Python."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from data.prepared import Prepared
from trainer.models.embeddings import IdSlots
from trainer.models.state import (
    IdLookup,
    Limits,
    Ragged,
    UserState,
    _newest_distinct,
    fit_width,
)

ROWS = st.lists(st.integers(0, 5), max_size=9)


@given(rows=st.lists(ROWS, min_size=1, max_size=4), width=st.integers(1, 8))
def test_fit_width_keeps_the_newest(rows: list[list[int]], width: int) -> None:
    longest = max(map(len, rows))
    padded = [[*row, *[0] * (longest - len(row))] for row in rows]
    found = fit_width(tf.constant(padded, tf.int32, [len(rows), longest]), width)
    expected = []
    for row in rows:
        kept = [item for item in row if item][-width:]
        expected.append(kept + [0] * (width - len(kept)))
    assert found.numpy().tolist() == expected


@given(
    lists=st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=6),
    data=st.data(),
)
def test_ragged_returns_the_lists(lists: list[list[int]], data: st.DataObject) -> None:
    table = Ragged([np.array(x, np.int32) for x in lists], name="lists")
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), min_size=1, max_size=5))
    found = table(tf.constant(rows, tf.int32)).numpy()
    width = max(len(lists[row]) for row in rows)
    expected = [lists[row] + [0] * (width - len(lists[row])) for row in rows]
    assert found.tolist() == expected


@given(items=st.lists(st.integers(1, 6), max_size=12), number=st.integers(1, 8))
def test_newest_distinct(items: list[int], number: int) -> None:
    expected = list(dict.fromkeys(reversed(items)))[:number]
    found = _newest_distinct(np.array(items, np.int32), number)
    assert found.tolist() == expected


@given(counts=st.lists(st.integers(0, 3), min_size=1, max_size=12), later=st.integers())
def test_only_ids_of_the_fit_have_a_slot(counts: list[int], later: int) -> None:
    counts = [0, *counts]
    slots = IdSlots(np.array(counts, np.int64), name="slots")
    found = slots(tf.range(len(counts))).numpy()
    known = [i for i, n in enumerate(counts) if n]
    assert slots.num_slots == len(known) + 1
    assert found[known].tolist() == list(range(1, len(known) + 1))
    assert (np.delete(found, known) == 0).all()
    # Rows of ids that come later change neither sizes nor places.
    more = IdSlots(np.array(counts + [0] * (abs(later) % 5)), name="slots")
    assert more.num_slots == slots.num_slots
    assert more(tf.range(len(counts))).numpy().tolist() == found.tolist()


def test_lookup_of_odd_ids(prepared: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    ids = prepared.item_ids[1:]
    path.write_text("".join(f"{i}\n" for i in ids), encoding="utf-8")
    lookup = IdLookup(str(path), name="ids")
    found = lookup(tf.constant([*ids, "", "no such item", "1", " "])).numpy()
    assert found.tolist() == [*range(1, len(ids) + 1), 0, 0, 0, 0]


def state_of(prepared: Prepared, tmp_path: Path, **limits: int) -> UserState:
    path = tmp_path / "users.txt"
    path.write_text("".join(f"{i}\n" for i in prepared.user_ids[1:]), encoding="utf-8")
    return UserState(prepared, prepared.events, Limits(**limits), str(path))


def test_user_state_is_that_of_the_log(prepared: Prepared, tmp_path: Path) -> None:
    state, log = state_of(prepared, tmp_path, history=7, seen=11), prepared.events
    users = np.arange(prepared.num_users + 1, dtype=np.int32)
    history, seen = state.rows_of_history(users).numpy(), state.seen(users).numpy()
    assert history.shape == (len(users), 7)
    for user in users:
        own = log.item[log.start[user] : log.start[user + 1]].tolist()
        expected = own[-7:]
        assert history[user].tolist() == expected + [0] * (7 - len(expected))
        newest = list(dict.fromkeys(reversed(own)))[:11]
        assert [i for i in seen[user].tolist() if i] == newest
        times = log.time[log.start[user] : log.start[user + 1]]
        last = int(times.max()) if len(times) else 0
        assert int(state.last_time[user]) == last
    assert state.lookup(tf.constant(["nobody", ""])).numpy().tolist() == [0, 0]


def test_histories_may_hold_likes_alone(prepared: Prepared, tmp_path: Path) -> None:
    log = prepared.events.replace(likes_alone=True)
    path = tmp_path / "users.txt"
    path.write_text("".join(f"{i}\n" for i in prepared.user_ids[1:]), encoding="utf-8")
    state = UserState(prepared, log, Limits(history=7, seen=11), str(path))
    whole = state_of(prepared, tmp_path, history=7, seen=11)
    users = np.arange(prepared.num_users + 1, dtype=np.int32)
    history = state.rows_of_history(users).numpy()
    for user in users:
        own = np.arange(log.start[user], log.start[user + 1])
        liked = own[log.positive[own]]
        assert [i for i in history[user] if i] == log.item[liked][-7:].tolist()
        last = int(log.time[liked].max()) if len(liked) else 0
        assert int(state.last_time[user]) == last
    assert (history != whole.rows_of_history(users).numpy()).any()
    np.testing.assert_array_equal(state.seen(users), whole.seen(users))


def test_without_user_state_nothing_is_kept(prepared: Prepared, tmp_path: Path) -> None:
    limits = Limits(history=5, seen=5, user_state=False)
    state = UserState(prepared, prepared.events, limits, str(tmp_path / "none.txt"))
    known = tf.constant([*map(str, prepared.user_ids[1:4]), "nobody"])
    users = state.lookup(known)
    assert users.numpy().tolist() == [0, 0, 0, 0]
    assert not state.rows_of_history(users).numpy().any()
    assert not state.seen(users).numpy().any()
    assert state.last_time.numpy().tolist() == [0]
    assert not state.history.values.numpy().any()
    assert state.history.bounds.shape == (1, 2)
