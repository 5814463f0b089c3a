"""What is planted in a generated data set, and the answers that follow from it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.prepared import Prepared


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is planted, and how much of it.

    `follow`: the share of choices that are the successor of the one before; 0 plants
    no order. `low_share`: the share of events that are low ratings of other tastes.
    `cold_share`: the share of items without an event before the test part, a third
    of them without any.
    """

    seed: int = 7
    num_users: int = 240
    num_items: int = 120
    num_tastes: int = 4
    events_per_user: int = 30
    follow: float = 0.75
    low_share: float = 0.15
    cold_share: float = 0.1
    num_late_users: int = 4
    num_silent_users: int = 3
    num_bare_users: int = 6


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A planted data set on disk and the truth about it, by raw ids.

    `successor`: what usually comes after an item; cold items have none.
    `late_items` have events in the test part only, `silent_items` none at all.
    `late_users` have events in the test part only, `silent_users` a row and no event,
    `bare_users` events and no row. `words`: those of each taste, lower case.
    """

    plan: Plan
    folder: Path
    toml: Path
    user_taste: Mapping[str, int]
    item_taste: Mapping[str, int]
    successor: Mapping[str, str]
    late_items: frozenset[str]
    silent_items: frozenset[str]
    better_items: frozenset[str]
    unavailable: frozenset[str]
    late_users: frozenset[str]
    silent_users: frozenset[str]
    bare_users: frozenset[str]
    words: tuple[tuple[str, ...], ...]
    neutral_words: tuple[str, ...]

    @property
    def cold_items(self) -> frozenset[str]:
        """Return the items without an event before the test part."""
        return self.late_items | self.silent_items

    @property
    def all_words(self) -> tuple[str, ...]:
        """Return every word that titles are made of, lower case."""
        return (*itertools.chain(*self.words), *self.neutral_words)

    def same_taste(self, user_id: str, item_id: str) -> bool:
        """Tell whether a user likes an item."""
        return self.user_taste[user_id] == self.item_taste[item_id]

    def rating(self, user_id: str, item_id: str) -> int:
        """Return the rating that a user gives: 4 or 5 of the same taste, else 1 or 2.

        Which of the two is a property of the item.
        """
        better = item_id in self.better_items
        return (4 if self.same_taste(user_id, item_id) else 1) + better

    def chain(self, item_id: str) -> list[str]:
        """Return what follows an item: its successor, the successor's, and so on."""
        following: list[str] = []
        while (item_id := self.successor.get(item_id, "")) not in ("", *following):
            following.append(item_id)
        return following

    def best_ranking(self, user_id: str, history: Sequence[str]) -> list[str]:
        """Rank all items as one who knows the plan would.

        In: `history`: item ids, oldest first. Out: item ids, best first: the chain
        after the newest item of the user's taste, the taste's other items, the rest.
        Items of the history are among them.
        """
        taste = self.user_taste[user_id]
        warm = (item for item in history if item in self.successor)
        own = [item for item in warm if self.item_taste[item] == taste]
        first = self.chain(own[-1]) if own and self.plan.follow > 0 else []
        rest = sorted(
            set(self.item_taste) - set(first),
            key=lambda i: (self.item_taste[i] != taste, i in self.cold_items, i),
        )
        return [*first, *rest]

    def best_recall(self, prepared: Prepared, part: int, k: int = 10) -> float:
        """Return the recall at k of `best_ranking`: what no model should far exceed.

        In: `part`: VALIDATION or TEST. Out: the mean over queries of the share of
        relevant items among the first k, items met and unservable ones removed.
        """
        queries, log = prepared.queries(part), prepared.events
        row_of = {item: row for row, item in enumerate(prepared.item_ids)}
        recalls = []
        for q, user in enumerate(queries.users):
            start = log.start[user]
            met = log.item[start : start + queries.counts[q]]
            ids = list(prepared.item_ids[met])
            ranked = self.best_ranking(prepared.user_ids[user], ids)
            rows = [row_of[item] for item in ranked if item in row_of]
            open_ = [r for r in rows if prepared.servable[r] and r not in set(met)]
            hits = np.isin(queries.relevant[q], open_[:k])
            recalls.append(float(hits.mean()))
        return float(np.mean(recalls))
