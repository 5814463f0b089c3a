"""The questions of an evaluation against their definition."""

import random
from typing import NamedTuple

import numpy as np
import pytest

from data.events import TEST, VALIDATION, EventLog, count_before, row_starts
from data.queries import evaluation_queries
from data.schema import Split
from data.split import leave_one_out, temporal, temporal_fold

USERS, ITEMS = 8, 9


class Event(NamedTuple):
    user: int
    time: int
    item: int
    positive: bool


def _random_log(seed: int, kind: str) -> tuple[list[Event], EventLog, int | None]:
    pick = random.Random(seed)
    events = [
        Event(
            pick.randint(1, USERS),
            pick.randint(0, 40),
            pick.randint(1, ITEMS),
            pick.random() < 0.6,
        )
        for _ in range(60)
    ]
    events.sort(key=lambda e: (e.user, e.time))
    columns = np.array(events).T
    user, time = columns[0].astype(np.int32), columns[1]
    fold = temporal_fold(time, Split(validation=0.25, test=0.25))
    part = temporal(time, fold) if kind == "temporal" else leave_one_out(user)
    log = EventLog(
        user=user,
        item=columns[2].astype(np.int32),
        time=time,
        label=np.zeros(len(events), np.float32),
        positive=columns[3].astype(bool),
        weight=np.ones(len(events), np.float32),
        part=part,
        before=count_before(user, time),
        start=row_starts(user, USERS),
    )
    return events, log, fold.test if kind == "temporal" else None


@pytest.mark.parametrize("kind", ["temporal", "leave_one_out"])
@pytest.mark.parametrize("part", [VALIDATION, TEST])
@pytest.mark.parametrize("seed", range(6))
def test_queries_are_their_definition(kind: str, part: int, seed: int) -> None:
    events, log, at = _random_log(seed, kind)
    servable = np.array([False, *[item != 3 for item in range(1, ITEMS + 1)]])
    queries = evaluation_queries(log, part, at=at, servable=servable)
    parts = log.part.tolist()
    pairs = list(zip(events, parts, strict=True))
    trained = {e.item for e, p in pairs if p == 0}
    expected, cold_users, cold_items = {}, 0, 0
    for user in range(1, USERS + 1):
        past = [e for e, p in pairs if e.user == user and p < part]
        now = [e for e, p in pairs if e.user == user and p == part]
        met = {e.item for e in past}
        wanted = {e.item for e in now if e.positive and servable[e.item]} - met
        cold_items += len(wanted - trained)
        if not wanted & trained:
            continue
        if not past:
            cold_users += 1
            continue
        time = now[0].time if at is None else at
        expected[user] = (len(past), time, sorted(wanted & trained), sorted(met))
    found = {
        int(user): (
            int(queries.counts[q]),
            int(queries.times[q]),
            queries.relevant[q].tolist(),
            queries.seen[q].tolist(),
        )
        for q, user in enumerate(queries.users)
    }
    assert found == expected
    assert (queries.num_cold_users, queries.num_cold_items) == (cold_users, cold_items)
    assert len(queries) == len(expected)
