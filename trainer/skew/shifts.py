"""How far the values of requests are distributed from those of training's events."""

from dataclasses import dataclass

import numpy as np

from data.drift.distance import MOST_ROWS, by_chance, distance
from data.features import Feature, Numeric


@dataclass(frozen=True)
class Values:
    """Values, one each, and whose they are: (n,) both; `owners`: rows of users."""

    values: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, feature: Feature, codes: np.ndarray, owners: np.ndarray) -> "Values":
        """Take the known values out of codes; several of one row count each.

        In: codes as the feature encodes them, (m, ...); `owners`: (m,).
        """
        if isinstance(feature, Numeric):
            there = codes[:, 1] > 0
            return cls(codes[there, 0].astype(np.float64), owners[there])
        codes = codes.reshape(len(owners), -1)
        owners = np.repeat(owners, codes.shape[1])
        there = codes.reshape(-1) > 0
        return cls(codes.reshape(-1)[there], owners[there])

    def thinned(self, per_owner: int) -> "Values":
        """Draw so many of each owner, and in all as many as are enough."""
        order = np.random.default_rng(0).permutation(len(self.values))
        order = order[np.argsort(self.owners[order], kind="stable")]
        owners = self.owners[order]
        place = np.arange(len(owners)) - np.searchsorted(owners, owners)
        order = order[place < per_owner]
        order = np.random.default_rng(1).permutation(order)[:MOST_ROWS]
        return Values(self.values[order], self.owners[order])


def shift(asked: Values, before: Values, *, ordered: bool) -> tuple[float, float]:
    """Return the distance of two distributions, and what chance would give, 0 to 1.

    Of events as many are taken of each user as the requests have: who has had thousands
    would else stand for all, in what chance gives too.
    In: `ordered`: numbers, not categories.
    """
    number = max(len(np.unique(asked.owners)), 1)
    before = before.thinned(max(round(len(asked.values) / number), 1))
    sides = (asked.values, before.values)
    chance = by_chance(*sides, asked.owners, before.owners, ordered=ordered)
    return distance(*sides, ordered=ordered), chance
