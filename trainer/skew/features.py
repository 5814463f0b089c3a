"""The features of logged requests: as served, and as training computes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from data.features import DAY_S, Numeric
from trainer.skew.computed import Computed
from trainer.skew.figures import FeatureSkew, share
from trainer.skew.histories import history_skew
from trainer.skew.logs import Asked
from trainer.skew.served import Served
from trainer.skew.shifts import Values, shift
from trainer.skew.tables import Side, sides, table_skew

NEWEST = 0.1
PERIODS_S = {"time of day": DAY_S, "time of week": 7 * DAY_S}


@dataclass(frozen=True)
class Comparison:
    """Requests that one version answered, its tables, and training's."""

    asked: Sequence[Asked]
    served: Served
    computed: Computed

    def features(self) -> Iterator[FeatureSkew]:
        """Yield what there is to say of each feature, those of requests first."""
        yield self._user_ids()
        yield self._item_ids()
        yield from history_skew(self.asked, self._users, self.served, self.computed)
        yield from self._times()
        yield from self._context()
        is_half = self.computed.exported.config.export.table_dtype != "float32"
        owners = self.computed.fitted.prepared.as_happened.user
        for side in self._sides():
            yield from table_skew(side, self.served, owners, is_half=is_half)

    @cached_property
    def _users(self) -> np.ndarray:
        """Return the row of each request's user, 0 = unknown."""
        row = self.computed.user_row
        return np.array([row.get(one.user, 0) for one in self.asked], np.int32)

    @cached_property
    def _owners(self) -> np.ndarray:
        """Return whose each request is: of those that nobody knows, each its own."""
        strangers = -1 - np.arange(len(self._users))
        return np.where(self._users > 0, self._users, strangers)

    def _sides(self) -> Iterator[Side]:
        """Yield the users that ask, and the items that they read or name."""
        users = self._users[self._users > 0]
        history = self.computed.requests(self.asked).history
        owners = np.repeat(self._owners, history.shape[1])
        read, owners = history[history > 0], owners[history.reshape(-1) > 0]
        named = self.computed.rows([i for one in self.asked for i in one.items])
        items = np.concatenate([named[named > 0], read])
        yield from sides(self.computed, users, items, (read, owners))

    def _user_ids(self) -> FeatureSkew:
        ids = [one.user for one in self.asked if one.user]
        log = self.computed.fitted.prepared.as_happened
        return self._ids("user_id", ids, self.computed.user_row, log.user, log.time)

    def _item_ids(self) -> FeatureSkew:
        """Compare the ids that callers send: what is answered is always known."""
        sent = [i for one in self.asked for i in one.history]
        sent += [i for a in self.asked if a.servable == "ranking" for i in a.items]
        log = self.computed.fitted.prepared.as_happened
        return self._ids("item_id", sent, self.computed.item_row, log.item, log.time)

    def _ids(
        self,
        name: str,
        ids: Sequence[str],
        row: Mapping[str, int],
        rows: np.ndarray,
        times: np.ndarray,
    ) -> FeatureSkew:
        """Compare ids. In: `row`: the data set's; `rows`, `times`: its events'."""
        served = self.served.ids(f"{name}s")
        return FeatureSkew(
            name=name,
            rows=len(ids),
            mismatch=share([served.get(i, 0) != row.get(i, 0) for i in ids]),
            unknown=share([i not in served for i in ids]),
            unknown_before=new_among_newest(rows, times),
        )

    def _times(self) -> Iterator[FeatureSkew]:
        prepared = self.computed.fitted.prepared
        log = prepared.as_happened
        given = [place for place, one in enumerate(self.asked) if one.time > 0]
        if not given or not prepared.time_is_known:
            return
        some = [self.asked[place] for place in given]
        times = np.array([one.time for one in some])
        # Beyond lie milliseconds for seconds, and clocks that are wrong.
        latest = [one.logged + DAY_S if one.logged else np.inf for one in some]
        wrong = (times < log.time.min()) | (times > np.array(latest))
        yield FeatureSkew(name="time", rows=len(times), mismatch=float(wrong.mean()))
        for name, period_s in PERIODS_S.items():
            asked = Values(times % int(period_s), self._owners[given])
            before = Values(log.time % int(period_s), log.user)
            apart, chance = shift(asked, before, ordered=True)
            yield FeatureSkew(name=name, rows=len(times), distance=apart, chance=chance)

    def _context(self) -> Iterator[FeatureSkew]:
        log = self.computed.fitted.prepared.as_happened
        for feature in self.computed.fitted.prepared.features.context:
            name, is_number = feature.name, isinstance(feature, Numeric)
            given = [p for p, one in enumerate(self.asked) if name in one.context]
            if not given:
                continue
            raw = pd.Series([self.asked[p].context[name] for p in given], dtype=object)
            codes = feature.encode(raw)
            apart, chance = shift(
                Values.of(feature, codes, self._owners[given]),
                Values.of(feature, log.context[name], log.user),
                ordered=is_number,
            )
            unknown = [] if is_number else (codes[raw != ""] == 0).tolist()
            yield FeatureSkew(
                name=f"context.{name}",
                rows=len(given),
                distance=apart,
                chance=chance,
                unknown=share(unknown),
                unknown_before=0.0,
            )


def new_among_newest(rows: np.ndarray, times: np.ndarray) -> float:
    """Return the share of the newest events whose user or item is new then.

    In: (n,) each.
    """
    cut = np.quantile(times, 1 - NEWEST) if len(times) else 0
    known, newest = np.unique(rows[times < cut]), rows[times >= cut]
    return float((~np.isin(newest, known)).mean()) if len(known) else 0.0
