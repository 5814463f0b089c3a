"""The events of a planted data set: who chooses what, and when."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from data.planted.truth import Planted
from data.schema import Split
from data.split import temporal_fold

START_S = 1_700_000_000
SPAN_S = 100 * 86_400
LATE_S = 96 * 86_400  # The test part begins near day 90.
TIE_SHARE, COLD_CHOICE_SHARE = 0.02, 0.25
DEVICES = ("phone", "desktop", "tv")


def planted_events(truth: Planted, rng: np.random.Generator) -> pd.DataFrame:
    """Return events in order of time; each user's ties in the order of choice."""
    users, times = _times(truth, rng)
    test_time = temporal_fold(times, Split()).test
    walks = {user: _Walk(truth, user, rng) for user in truth.user_taste}
    rows = []
    for user, time in zip(users, times.tolist(), strict=True):
        item = walks[user].choose(cold=time >= test_time)
        rating = truth.rating(user, item)
        device = rng.choice(DEVICES)
        rows.append((user, item, rating, time, device))
    names = ["user_id", "item_id", "rating", "timestamp", "device"]
    return pd.DataFrame(rows, columns=names)


def _times(truth: Planted, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    users, times = [], []
    mean = truth.plan.events_per_user
    for user in truth.user_taste:
        if user in truth.silent_users:
            continue
        count = rng.integers(mean // 2, mean + mean // 2 + 1)
        first = LATE_S if user in truth.late_users else 0
        own = np.sort(rng.integers(first, SPAN_S, count))
        ties = np.flatnonzero(rng.random(count - 1) < TIE_SHARE)
        own[ties + 1] = own[ties]
        users += [user] * count
        times.append(START_S + own)
    joined = np.concatenate(times)
    order = np.argsort(joined, kind="stable")
    return [users[i] for i in order], joined[order]


class _Walk:
    """One user's choices, each depending on the one before."""

    def __init__(self, truth: Planted, user: str, rng: np.random.Generator) -> None:
        self.truth, self.rng = truth, rng
        own = [i for i in truth.item_taste if truth.same_taste(user, i)]
        self.warm = [i for i in own if i in truth.successor]
        self.late = [i for i in own if i in truth.late_items]
        self.others = [i for i in truth.successor if not truth.same_taste(user, i)]
        self.place = ""

    def choose(self, *, cold: bool) -> str:
        """Return the next item; `cold`: whether late items may be chosen by now."""
        if self.others and self.rng.random() < self.truth.plan.low_share:
            return self._any(self.others)
        if cold and self.late and self.rng.random() < COLD_CHOICE_SHARE:
            return self._any(self.late)
        follows = self.place and self.rng.random() < self.truth.plan.follow
        self.place = (
            self.truth.successor[self.place] if follows else self._any(self.warm)
        )
        return self.place

    def _any(self, items: Sequence[str]) -> str:
        return items[int(self.rng.integers(len(items)))]
