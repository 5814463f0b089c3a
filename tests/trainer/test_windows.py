"""Sequence batches against a slow reading of the same log."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data.events import EventLog
from data.pipelines import (
    NARROWER,
    NARROWEST,
    BatchPlan,
    EpochBatches,
    array_batches,
    plan_windows,
    sequence_batches,
)
from tests.trainer.small_data import make_log

EVENTS = st.lists(
    # user, item, time in few values so that ties are many, liked
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(0, 12), st.booleans()),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40)
@given(events=EVENTS, length=st.integers(1, 8))
def test_every_liked_event_is_asked_for_once(
    events: list[tuple[int, int, int, bool]], length: int
) -> None:
    user, item, time, liked = (np.array(column) for column in zip(*events, strict=True))
    log = make_log(user, item, time, liked)
    windows = plan_windows(log, length)
    batches = sequence_batches(log, max_length=length, batch_size=4, seed=1)
    found = batches.gather(tf.range(len(windows), dtype=tf.int64))
    columns = {name: value.numpy() for name, value in found.items()}
    asked: list[int] = []
    for row, start in enumerate(windows.start.tolist()):
        one = {name: column[row] for name, column in columns.items()}
        asked += _events_of(log, one, start, length)
    assert sorted(asked) == np.flatnonzero(log.positive).tolist()


def _events_of(
    log: EventLog, window: dict[str, np.ndarray], start: int, length: int
) -> list[int]:
    """List the events that a window asks for, and check what it reads for each."""
    user = int(window["user"])
    own = range(int(log.start[user]), int(log.start[user + 1]))
    assert start in own
    read = [e for e in range(start, start + length) if e in own]
    history = log.item[read].tolist()
    assert window["history"].tolist() == history + [0] * (length - len(history))
    asked = []
    for place in np.flatnonzero(window["target"]):
        event = start + int(place)
        assert event in own
        assert log.item[event] == window["target"][place]
        assert log.time[event] == window["time"][place]
        assert window["weight"][place] == log.weight[event]
        earlier = [e for e in own if log.time[e] < log.time[event]]
        slot = int(window["slot"][place])
        assert read[:slot] == [e for e in earlier if e >= start]
        # All of the user's past, or at least half a window up to the event.
        assert start == own[0] or event - start >= length - max(length // 2, 1)
        asked.append(event)
    assert not window["weight"][window["target"] == 0].any()
    return asked


@pytest.mark.parametrize("size", [1, 3, 8, 9])
def test_an_epoch_holds_every_window_once(size: int) -> None:
    count = 20
    user = np.repeat(np.arange(1, 4), count)
    time = np.tile(np.arange(count), 3)
    item = np.arange(len(user)) + 1
    log = make_log(user, item, time, np.ones(len(user), bool))
    windows = plan_windows(log, 6)
    batches = sequence_batches(log, max_length=6, batch_size=size, seed=1)
    asked = [b["target"].ravel() for b in batches.epoch(0).as_numpy_iterator()]
    targets = np.concatenate(asked)
    assert sorted(targets[targets > 0].tolist()) == item.tolist()
    assert len(asked) == batches.num_batches <= -(-len(windows) // size)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 100), min_size=1, max_size=80),
    max_length=st.integers(100, 120),
    batch_size=st.integers(1, 10),
)
def test_batches_hold_windows_of_about_one_length(
    lengths: list[int], max_length: int, batch_size: int
) -> None:
    length = np.array(lengths)
    plan = BatchPlan.of(length, max_length, batch_size)
    order = plan.order(np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (plan.width >= length).all()
    # Padded to the next step, and no further.
    assert (plan.width <= np.maximum(length / NARROWER + 1, NARROWEST)).all()
    ends = np.cumsum(plan.sizes)
    assert ends[-1] == len(lengths)
    for end, size, width in zip(ends, plan.sizes, plan.widths, strict=True):
        assert length[order[end - size : end]].max() <= width
        assert size * width <= batch_size * max_length
        full = size == batch_size * max_length // width
        assert full or end == len(lengths)
    again = plan.order(np.random.default_rng(0))
    np.testing.assert_array_equal(order, again)


def batches_of(size: int, seed: int = 3) -> EpochBatches:
    return array_batches({"x": np.arange(size)}, batch_size=4, seed=seed)


def read(batches: EpochBatches, epoch: int) -> list[int]:
    parts = [batch["x"] for batch in batches.epoch(epoch).as_numpy_iterator()]
    return np.concatenate(parts).tolist()


def test_the_order_comes_from_seed_and_epoch() -> None:
    one, same, other = batches_of(50), batches_of(50), batches_of(50, seed=4)
    assert read(one, 2) == read(one, 2) == read(same, 2)
    assert len({tuple(x) for x in (read(one, 0), read(one, 1), read(other, 0))}) == 3
    assert sorted(read(one, 1)) == list(range(50))
    assert one.num_batches == 13


def test_skipped_batches_are_those_seen_before() -> None:
    batches = batches_of(50)
    rest = [b["x"].tolist() for b in batches.epoch(1).skip(5).as_numpy_iterator()]
    assert [x for part in rest for x in part] == read(batches, 1)[20:]


def test_gather_takes_any_rows() -> None:
    found = batches_of(50).gather(tf.constant([7, 7, 0], tf.int64))
    assert found["x"].numpy().tolist() == [7, 7, 0]
