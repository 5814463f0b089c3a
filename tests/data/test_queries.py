"""The questions of an evaluation against their definition."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.events import (
    FOLD_IN,
    TEST,
    VALIDATION,
    EventLog,
    count_before,
    row_starts,
)
from data.queries import Queries, Targets, evaluation_queries
from data.schema import Split
from data.split import Fold, Parting, ask_last, leave_one_out, temporal

USERS, ITEMS = 6, 8
FOLD = Fold(validation=24, test=32)

EVENTS = st.lists(
    st.tuples(
        st.integers(1, USERS), st.integers(0, 40), st.integers(1, ITEMS), st.booleans()
    ),
    min_size=1,
    max_size=60,
)
KINDS = ("temporal", "leave_one_out", "held_out_users", "cold_items")


def _log(events: list[tuple[int, int, int, bool]], kind: str) -> EventLog:
    ordered = sorted(events, key=lambda e: e[:2])
    user, time, item, positive = (np.array(c) for c in zip(*ordered, strict=True))
    if kind == "temporal":
        part = temporal(time, FOLD)
    elif kind == "leave_one_out":
        part = leave_one_out(user)
    else:
        split = Split(kind=kind, targets="random", fold_in=0.5)  # type: ignore[arg-type]
        parting = Parting(
            split=split,
            user_part=np.arange(USERS + 1, dtype=np.uint8) % 3,
            item_part=np.arange(ITEMS + 1, dtype=np.uint8) % 3,
        )
        part = parting.part(user, item, time, np.arange(len(user)))
    log = EventLog(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        time=time.astype(np.int64),
        label=np.zeros(len(user), np.float32),
        positive=positive,
        weight=np.ones(len(user), np.float32),
        part=part,
        before=count_before(user, time),
        start=row_starts(user, USERS),
    )
    return log if kind in ("temporal", "leave_one_out") else ask_last(log)


def plain_queries(
    log: EventLog, part: int, at: int | None, servable: np.ndarray, targets: Targets
) -> dict[str, Any]:
    """Ask user by user, as the words of the protocol go."""
    trained = set(log.item[log.part == 0].tolist())
    found: dict[str, Any] = {"asked": {}, "cold_users": 0, "cold_items": 0}
    for user in range(1, USERS + 1):
        own = range(int(log.start[user]), int(log.start[user + 1]))
        known = [e for e in own if log.part[e] < part or log.part[e] == FOLD_IN]
        met = {int(log.item[e]) for e in list(own)[: len(known)]}
        now = [e for e in own if log.part[e] == part and log.positive[e]]
        wanted = {int(log.item[e]) for e in now if servable[log.item[e]]} - met
        warm, cold = wanted & trained, wanted - trained
        asked = warm if targets == "warm" else cold
        if targets == "warm":
            found["cold_items"] += len(cold)
        if not asked:
            continue
        if not known:
            found["cold_users"] += 1
            continue
        last = int(log.time[own[len(known) - 1]])
        time = last if at is None else at
        found["asked"][user] = (len(known), time, sorted(asked), sorted(met))
    return found


def _as_plain(queries: Queries) -> dict[str, Any]:
    asked = {
        int(user): (
            int(queries.counts[q]),
            int(queries.times[q]),
            queries.relevant[q].tolist(),
            queries.seen[q].tolist(),
        )
        for q, user in enumerate(queries.users)
    }
    assert len(asked) == len(queries)
    cold_users, cold_items = queries.num_cold_users, queries.num_cold_items
    return {"asked": asked, "cold_users": cold_users, "cold_items": cold_items}


@given(
    EVENTS,
    st.sampled_from(KINDS),
    st.sampled_from([VALIDATION, TEST]),
    st.sampled_from(["warm", "cold"]),
)
def test_queries_are_their_definition(
    events: list[tuple[int, int, int, bool]], kind: str, part: int, targets: Targets
) -> None:
    log = _log(events, kind)
    servable = np.array([False, *[item != 3 for item in range(1, ITEMS + 1)]])
    at = (FOLD.validation, FOLD.test)[part - 1] if kind == "temporal" else None
    found = evaluation_queries(log, part, at=at, servable=servable, targets=targets)
    assert _as_plain(found) == plain_queries(log, part, at, servable, targets)
    assert found.users.dtype == np.int32
    assert found.counts.dtype == found.times.dtype == np.int64
    assert all(a.dtype == np.int32 for a in [*found.relevant, *found.seen])


@given(EVENTS, st.sampled_from(KINDS[1:]), st.integers(1, 10**6))
def test_a_request_reads_nothing_of_its_targets_time(
    events: list[tuple[int, int, int, bool]], kind: str, later: int
) -> None:
    log = _log(events, kind)
    everything = np.ones(ITEMS + 1, bool)
    delayed = log.replace(time=np.where(log.part == TEST, log.time + later, log.time))
    for targets in ("warm", "cold"):
        asked = [
            _as_plain(
                evaluation_queries(
                    one,
                    TEST,
                    at=None,
                    servable=everything,
                    targets=targets,  # type: ignore[arg-type]
                )
            )
            for one in (log, delayed)
        ]
        assert asked[0] == asked[1]


def test_some_queries_can_be_taken() -> None:
    events = [
        (u, t, 1 + (3 * u + t) % ITEMS, True) for u in (1, 2, 3) for t in range(5)
    ]
    log = _log(events, "leave_one_out")
    found = evaluation_queries(log, TEST, at=None, servable=np.ones(ITEMS + 1, bool))
    assert len(found) >= 2
    last = found.take(np.array([len(found) - 1]))
    assert last.users.tolist() == [found.users[-1]]
    assert last.relevant[0].tolist() == found.relevant[-1].tolist()


@pytest.mark.parametrize("part", [VALIDATION, TEST])
def test_nobody_asked_makes_no_query(part: int) -> None:
    log = _log([(1, 1, 1, True)], "leave_one_out")
    found = evaluation_queries(log, part, at=None, servable=np.ones(ITEMS + 1, bool))
    assert (len(found), found.num_cold_users, found.relevant) == (0, 0, [])
