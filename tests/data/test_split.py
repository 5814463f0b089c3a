"""Which part each event falls into."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data.errors import DataError
from data.events import (
    FOLD_IN,
    TEST,
    TRAIN,
    VALIDATION,
    EventLog,
    count_before,
    row_starts,
)
from data.schema import Split
from data.split import (
    Parting,
    ask_last,
    at_random,
    final_order,
    leave_one_out,
    num_targets,
    plan,
    quantiles,
    temporal,
    temporal_fold,
)


@given(
    st.lists(st.integers(0, 1_000), min_size=1, max_size=60),
    st.sampled_from([(0.1, 0.1), (0.2, 0.3), (0.01, 0.4)]),
)
def test_temporal_parts_are_ordered_and_about_as_large_as_asked(
    times: list[int], shares: tuple[float, float]
) -> None:
    time = np.array(times, np.int64)
    split = Split(validation=shares[0], test=shares[1])
    try:
        fold = temporal_fold(time, split)
    except DataError:  # Ties can leave a part empty.
        assume(False)
    part = temporal(time, fold)
    assert (np.diff(part[np.argsort(time, kind="stable")].astype(int)) >= 0).all()
    for moment in set(times):
        assert len(set(part[time == moment])) == 1
    if len(set(times)) == len(times):
        wanted = (shares[1], shares[0] + shares[1])
        found = ((part == TEST).mean(), (part != TRAIN).mean())
        assert np.abs(np.subtract(found, wanted)).max() <= 1 / len(times) + 1e-9


def test_a_temporal_split_of_one_moment_is_refused() -> None:
    with pytest.raises(DataError, match=r"no event falls into train \(cuts at 5 and 5"):
        temporal_fold(np.full(20, 5), Split())


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(0, 3)), max_size=30
    ),
    st.sampled_from(["file", "item"]),
    st.randoms(use_true_random=False),
)
def test_the_final_order_is_its_definition_whatever_came_first(
    events: list[tuple[int, int, int]], ties: Any, random: Any
) -> None:
    places = list(range(len(events)))
    random.shuffle(places)
    columns = np.array(events, np.int64).reshape(-1, 3).T
    order = final_order(Split(ties=ties), *columns, np.array(places, np.int64))

    def key(row: int) -> tuple[int, ...]:
        user, item, time = events[row]
        tie = (places[row],) if ties == "file" else (item, places[row])
        return (user, time, *tie)

    assert order.tolist() == sorted(range(len(events)), key=key)


def _slow_leave_one_out(user: list[int]) -> list[int]:
    part = [TRAIN] * len(user)
    for one in set(user):
        places = [i for i, u in enumerate(user) if u == one]
        if len(places) >= 3:
            part[places[-1]], part[places[-2]] = TEST, VALIDATION
    return part


@given(st.lists(st.integers(1, 6), max_size=40))
def test_leave_one_out_is_its_definition(users: list[int]) -> None:
    ordered = sorted(users)
    expected = _slow_leave_one_out(ordered)
    part = leave_one_out(np.array(ordered, np.int32))
    np.testing.assert_array_equal(part, expected)


@given(
    st.lists(
        st.lists(st.integers(-(10**12), 10**12) | st.integers(0, 3), max_size=9),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
def test_quantiles_over_blocks_are_those_of_all(
    blocks: list[list[int]], shares: list[float]
) -> None:
    arrays = [np.array(block, np.int64) for block in blocks]
    values = np.sort(np.concatenate(arrays))
    assume(len(values))
    places = [int(np.ceil(round(s * (len(values) - 1), 9))) for s in shares]
    assert quantiles(lambda: arrays, shares) == values[places].tolist()


@given(st.integers(0, 2**40), st.integers(1, 2**40))
def test_quantiles_narrow_down_to_one_value(low: int, width: int) -> None:
    rng = np.random.default_rng(3)
    values = low + rng.integers(0, width, 200)
    import data.split

    limit, data.split.EXACT_VALUES = data.split.EXACT_VALUES, 3
    try:
        found = quantiles(lambda: [values[:90], values[90:]], [0.0, 0.25, 0.5, 1.0])
    finally:
        data.split.EXACT_VALUES = limit
    expected = np.quantile(values, [0, 0.25, 0.5, 1], method="higher")
    assert found == expected.astype(np.int64).tolist()


EVENTS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(0, 20)),
    min_size=20,
    max_size=60,
)


def _parted(split: Split, events: list[tuple[int, int, int]]) -> tuple[Any, ...]:
    user, item, time = (np.array(c) for c in zip(*events, strict=True))
    counts = np.bincount(user, minlength=7), np.bincount(item, minlength=6)
    try:
        parting = plan(split, lambda: [time], *counts)
    except DataError:
        assume(False)
    order = np.lexsort((time, user))
    user, item, time = user[order].astype(np.int32), item[order], time[order]
    log = EventLog(
        user=user,
        item=item.astype(np.int32),
        time=time,
        label=order.astype(np.float32),  # To tell afterwards which event is which.
        positive=np.ones(len(user), bool),
        weight=np.ones(len(user), np.float32),
        part=parting.part(user, item, time, order),
        before=count_before(user, time),
        start=row_starts(user, 6),
    )
    asked = ask_last(log)
    true_time = time[np.argsort(order)][asked.label.astype(int)]
    return asked.user, asked.item, true_time, asked.time, asked.part, asked.label


@given(
    EVENTS,
    st.sampled_from(["newest", "random"]),
    st.sampled_from([0.5, 0.8]),
    st.integers(0, 3),
)
def test_held_out_users_train_nothing_and_keep_a_history(
    events: list[tuple[int, int, int]], targets: Any, fold_in: float, seed: int
) -> None:
    split = Split(
        kind="held_out_users",
        validation=0.25,
        test=0.25,
        fold_in=fold_in,
        targets=targets,
        seed=seed,
    )
    user, _, time, moved, part, order = _parted(split, events)
    assert sorted(order) == list(range(len(events)))
    for one in np.unique(user):
        own = part[user == one]
        if TRAIN in own:
            assert set(own) == {TRAIN}
            np.testing.assert_array_equal(moved[user == one], time[user == one])
            continue
        asked = own != FOLD_IN
        assert asked.sum() == num_targets(np.array([len(own)]), fold_in)[0]
        assert len(set(own[asked])) == 1
        # What is known comes first, in the order of the log and of its times.
        assert not asked[: len(own) - asked.sum()].any()
        assert (np.diff(moved[user == one]) >= 0).all()
        if targets == "newest":
            np.testing.assert_array_equal(moved[user == one], time[user == one])


@given(EVENTS, st.integers(0, 3))
def test_cold_items_train_nothing(
    events: list[tuple[int, int, int]], seed: int
) -> None:
    split = Split(kind="cold_items", validation=0.2, test=0.2, seed=seed)
    user, item, _, moved, part, _ = _parted(split, events)
    for one in np.unique(item):
        assert len(set(part[item == one])) == 1
    assert {TRAIN, VALIDATION, TEST} >= set(part)
    for one in np.unique(user):
        assert (np.diff(part[user == one].astype(int)) >= 0).all()
        assert (np.diff(moved[user == one]) >= 0).all()


def test_random_targets_do_not_depend_on_who_else_is_sorted() -> None:
    rng = np.random.default_rng(1)
    user = np.sort(rng.integers(1, 9, 200))
    item, time = rng.integers(1, 30, 200), rng.integers(0, 99, 200)
    place = rng.permutation(200)
    parts = np.full(9, TEST, np.uint8)
    split = Split(kind="held_out_users", targets="random")
    parting = Parting(split=split, user_part=parts)
    part, some = parting.part(user, item, time, place), user >= 5
    few = parting.part(user[some], item[some], time[some], place[some])
    np.testing.assert_array_equal(few, part[some])
    assert (part == FOLD_IN).any()


def test_rolling_folds_tile_the_end() -> None:
    time = np.arange(1_000, dtype=np.int64)
    split = Split(kind="rolling", validation=0.1, test=0.05, cuts=4)
    folds = plan(split, lambda: [time[:300], time[300:]], *[np.ones(3, int)] * 2).folds
    assert [fold.end for fold in folds] == [*[f.test for f in folds[1:]], None]
    assert np.allclose([fold.test for fold in folds], [800, 850, 900, 950], atol=1)
    assert all(90 < f.test - f.validation < 110 for f in folds)


def test_too_few_to_hold_out_is_an_error() -> None:
    counts = np.array([0, 3, 3])
    with pytest.raises(DataError, match=r"found 2 users with two events or more, of"):
        plan(Split(kind="held_out_users"), lambda: [np.arange(6)], counts, counts)


@given(st.integers(0, 5), st.integers(1, 400))
def test_random_parts_depend_on_place_and_seed_alone(seed: int, number: int) -> None:
    split = Split(kind="random", validation=0.1, test=0.2, seed=seed)
    place = np.arange(4_000)
    part = at_random(place, split)
    shares = np.bincount(part, minlength=3) / len(part)
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.05)
    some = np.random.default_rng(seed).permutation(place)[:number]
    np.testing.assert_array_equal(at_random(some, split), part[some])
