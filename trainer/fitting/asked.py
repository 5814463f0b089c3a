"""Requests to learn ranking from: who asked when, and what was chosen afterwards."""

from dataclasses import dataclass

import numpy as np

from data.events import EventLog
from data.prepared import Prepared
from trainer.config import RankingConfig

SPARE = 4  # So many times the examples wanted are looked at: some have no answer.


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Requests with what became of them.

    `user` int32, `time` int64 (Unix seconds), `count` int64 (how many of the user's
    events are earlier): (n,). Of the items met afterwards, t each: `item` int32, 0
    where there are fewer; `like`, `weight`, of an event in the like's loss; `label`,
    NaN where missing, and `rated`, its weight: (n, t). `context`: codes, zeros where
    no event stands at the request's time.
    """

    user: np.ndarray
    time: np.ndarray
    count: np.ndarray
    item: np.ndarray
    like: np.ndarray
    weight: np.ndarray
    label: np.ndarray
    rated: np.ndarray
    context: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.user)

    def where(self, rows: np.ndarray) -> "Asked":
        """Return the requests at places, or those that a mask keeps."""
        columns = {n: v[rows] for n, v in vars(self).items() if n != "context"}
        context = {name: codes[rows] for name, codes in self.context.items()}
        return Asked(**columns, context=context)

    @classmethod
    def joined(cls, parts: list["Asked"]) -> "Asked":
        """Put requests together, all as wide as the widest."""
        width = max(part.item.shape[1] for part in parts)
        columns = {
            name: np.concatenate([_widened(getattr(p, name), width) for p in parts])
            for name in vars(parts[0])
            if name != "context"
        }
        context = {
            name: np.concatenate([p.context[name] for p in parts])
            for name in parts[0].context
        }
        return cls(**columns, context=context)


def _widened(values: np.ndarray, width: int) -> np.ndarray:
    if values.ndim == 1:
        return values
    return np.pad(values, [(0, 0), (0, width - values.shape[1])])


def next_events(log: EventLog, places: np.ndarray) -> Asked:
    """Ask at the time of events, which alone are what was chosen then."""
    return _asked(log, log.user[places], log.time[places], places[:, None], places)


def shown_only(prepared: Prepared, log: EventLog, begin: int, end: int) -> Asked:
    """Ask at the time of impressions that were not chosen."""
    shown = prepared.impressions
    keep = (shown["time"] >= begin) & (shown["time"] < end)
    user, item, time = (shown[n][keep] for n in ("user", "item", "time"))
    none = np.full((len(user), 1), -1)
    asked = _asked(log, user, time, none, none[:, 0])
    columns = {"item": item[:, None].astype(np.int32), "weight": asked.weight + 1}
    return Asked(**{**vars(asked), **columns})


def later_events(
    log: EventLog,
    begin: int,
    end: int,
    horizon_s: int,
    config: RankingConfig,
    rng: np.random.Generator,
) -> Asked:
    """Ask between two times, with what was met within a horizon as the answer.

    Half of it is as an evaluation asks: all users with a past, at `slices` moments
    that part the events evenly. The other half, at most `requests_per_user` of each
    user, is at the time of events. Only items that are new to a user are answers;
    who likes none of them later is not asked.

    In: `begin`, `end`: Unix seconds; nothing from `end` on is read.
    """
    known = log.earlier_than(end)
    user, time, place = _moments(known, begin, end, config, rng)
    count = known.counts_before(user, time)
    until = known.counts_before(user, np.minimum(time + horizon_s, end))
    places = _chosen(known, user, count, until, config, rng)
    liked = (known.positive[places] & (places >= 0)).any(axis=1) & (count > 0)
    asked = _asked(known, user, time, places, place)
    return asked.where(liked)


def slice_moments(log: EventLog, begin: int, end: int, number: int) -> np.ndarray:
    """Part the events between two times evenly. Out: int64 (m,), `begin` first."""
    inside = np.sort(log.time[(log.time >= begin) & (log.time < end)])
    if len(inside) == 0 or number == 0:
        return np.zeros(0, np.int64)
    places = np.arange(1, number) * len(inside) // number
    return np.unique(np.r_[begin, inside[places]]).astype(np.int64)


def new_to_user(log: EventLog) -> np.ndarray:
    """Tell which events are their user's first with the item. Out: bool (n,)."""
    width = int(log.item.max(initial=0)) + 1
    first = np.zeros(len(log), bool)
    pairs = log.user.astype(np.int64) * width + log.item
    first[np.unique(pairs, return_index=True)[1]] = True
    return first


def _moments(
    log: EventLog,
    begin: int,
    end: int,
    config: RankingConfig,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return users, times and the places of events at those times, -1 if none."""
    moments = slice_moments(log, begin, end, config.slices)
    everyone = np.flatnonzero(log.user_counts() > 0)
    users, times = np.repeat(everyone, len(moments)), np.tile(moments, len(everyone))
    inside = np.flatnonzero((log.time >= begin) & (log.time < end) & (log.before > 0))
    inside = inside[_first_of(log.user[inside], config.requests_per_user, rng)]
    user, time = np.r_[users, log.user[inside]], np.r_[times, log.time[inside]]
    place = np.r_[np.full(len(users), -1), inside]
    limit = SPARE * config.max_examples
    if len(user) > limit:  # All events after all requests would not fit in memory.
        kept = np.sort(rng.choice(len(user), limit, replace=False))
        user, time, place = user[kept], time[kept], place[kept]
    return user, time, place


def _first_of(group: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw at most so many of each group. Out: bool."""
    order = np.argsort(rng.random(len(group)), kind="stable")
    order = order[np.argsort(group[order], kind="stable")]
    sorted_group = group[order]
    start = np.searchsorted(sorted_group, sorted_group)
    keep = np.zeros(len(group), bool)
    keep[order] = np.arange(len(group)) - start < number
    return keep


def _chosen(
    log: EventLog,
    user: np.ndarray,
    count: np.ndarray,
    until: np.ndarray,
    config: RankingConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw what was chosen. Out: places in the log (n, likes + dislikes), -1: none."""
    request, place = log.places_between(user, count, until)
    new = new_to_user(log)[place]
    request, place = request[new], place[new]
    columns = []
    for positive, number in ((True, config.likes), (False, config.dislikes)):
        kind = log.positive[place] == positive
        one, at = request[kind], place[kind]
        drawn = _first_of(one, number, rng)
        one, at = one[drawn], at[drawn]
        table = np.full((len(user), number), -1)
        table[one, np.arange(len(one)) - np.searchsorted(one, one)] = at
        columns.append(table)
    return np.concatenate(columns, axis=1)


def _asked(
    log: EventLog,
    user: np.ndarray,
    time: np.ndarray,
    places: np.ndarray,
    own: np.ndarray,
) -> Asked:
    """In: `places` of what was chosen (n, t), `own` (n,): -1 where none is."""
    there = places >= 0
    label = np.where(there, log.label[places], np.nan)
    rated = np.isfinite(label) * log.weight[places]
    return Asked(
        user=user.astype(np.int32),
        time=time.astype(np.int64),
        count=log.counts_before(user, time),
        item=np.where(there, log.item[places], 0).astype(np.int32),
        like=there & log.positive[places],
        weight=np.where(there, log.weight[places], 0).astype(np.float32),
        label=label.astype(np.float32),
        rated=np.where(there, rated, 0).astype(np.float32),
        context={
            name: np.where(
                (own >= 0).reshape(-1, *[1] * (codes.ndim - 1)), codes[own], 0
            ).astype(codes.dtype)
            for name, codes in log.context.items()
        },
    )
