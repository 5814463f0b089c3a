"""Which part each event falls into."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data.errors import DataError
from data.events import TEST, TRAIN, VALIDATION
from data.schema import Split
from data.split import leave_one_out, temporal, temporal_cuts


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
        cuts = temporal_cuts(time, split)
    except DataError:  # Ties can leave a part empty.
        assume(False)
    part = temporal(time, cuts)
    assert (np.diff(part[np.argsort(time, kind="stable")].astype(int)) >= 0).all()
    for moment in set(times):
        assert len(set(part[time == moment])) == 1
    if len(set(times)) == len(times):
        wanted = (shares[1], shares[0] + shares[1])
        found = ((part == TEST).mean(), (part != TRAIN).mean())
        assert np.abs(np.subtract(found, wanted)).max() <= 1 / len(times) + 1e-9


def test_a_temporal_split_of_one_moment_is_refused() -> None:
    with pytest.raises(DataError, match=r"no event falls into train \(cuts at 5 and 5"):
        temporal_cuts(np.full(20, 5), Split())


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
    if TEST not in expected:
        with pytest.raises(DataError, match="no user has three events or more"):
            leave_one_out(np.array(ordered, np.int32))
        return
    part = leave_one_out(np.array(ordered, np.int32))
    np.testing.assert_array_equal(part, expected)
