"""Shards hold every user once, none is empty, and none holds many more than asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.prepare import shards
from data.prepare.shards import plan_shards


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=30),
    st.lists(st.integers(0, 29), max_size=3),
    st.integers(1, 60),
)
def test_every_user_with_events_is_in_one_shard(
    counts: list[int], heavy: list[int], bound: int
) -> None:
    user_counts = np.array([0, *counts])
    for user in heavy:
        user_counts[1 + user % len(counts)] = 500
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_EVENTS", bound)
        planned = plan_shards("out", "events", user_counts)
    users = [u for shard in planned for u in range(shard.first, shard.end)]
    assert users == list(range(1, len(user_counts)))
    sizes = [int(user_counts[s.first : s.end].sum()) for s in planned]
    if user_counts.sum():
        assert all(sizes)
    assert max(sizes) <= bound + user_counts.max()
    endings = {shard.path.rpartition("-of-")[2] for shard in planned}
    assert endings == {f"{len(planned):05d}.parquet"}
