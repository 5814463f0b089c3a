"""From scores to ranks and lists, over the whole catalogue.

A query's candidates are the servable items that its user had not met; `mask` gives
everything else the score -inf.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEW_RELEVANT = 8


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """The ranks of relevant items, each query's together and best first.

    `query`, `rank`, `place`: int64 (r,): the query's row, the rank from 1 among the
    candidates, and how many of the query's relevant items stand at or before it.
    `num_relevant`: int64 (q,).
    """

    query: np.ndarray
    rank: np.ndarray
    place: np.ndarray
    num_relevant: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["Ranks"]) -> "Ranks":
        """Put the ranks of further queries behind those of the first ones."""
        sizes = np.array([len(part.num_relevant) for part in parts], np.int64)
        firsts = np.cumsum(sizes) - sizes
        moved = [p.query + first for p, first in zip(parts, firsts, strict=True)]
        none = [np.zeros(0, np.int64)]
        return cls(
            query=np.concatenate([*none, *moved]),
            rank=np.concatenate([*none, *(p.rank for p in parts)]),
            place=np.concatenate([*none, *(p.place for p in parts)]),
            num_relevant=np.concatenate([*none, *(p.num_relevant for p in parts)]),
        )

    @classmethod
    def of(cls, rank: np.ndarray, num_relevant: np.ndarray) -> "Ranks":
        """Read ranks that stand together by query, best first.

        In: `rank`: int (r,); `num_relevant`: int (q,), which add up to r.
        """
        query = np.repeat(np.arange(len(num_relevant)), num_relevant)
        starts = np.cumsum(num_relevant) - num_relevant
        place = np.arange(len(rank)) - starts[query] + 1
        return cls(query=query, rank=rank, place=place, num_relevant=num_relevant)


def mask(
    scores: np.ndarray, servable: np.ndarray, seen: Sequence[np.ndarray]
) -> np.ndarray:
    """Return scores (q, n) with -inf where an item is seen or not servable.

    In: `servable`: bool (n,); `seen`: int rows, one array a query.
    """
    # An infinite score of a scorer's own would pass for a masked one.
    limit = np.finfo(np.float32).max
    masked = np.where(servable, np.clip(scores, -limit, limit), -np.inf)
    masked[_places(seen)] = -np.inf
    return masked.astype(np.float32, copy=False)


def _places(items: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    sizes = [len(some) for some in items]
    joined = np.concatenate([np.zeros(0, np.int64), *items])
    return np.repeat(np.arange(len(sizes)), sizes), joined


def ranks_of_relevant(scores: np.ndarray, relevant: Sequence[np.ndarray]) -> Ranks:
    """Rank the relevant items among all candidates, ties against us.

    An item that is tied with a relevant one ranks ahead of it; relevant items tied
    with one another take successive ranks.

    In: `scores`: float32 (q, n), masked; `relevant`: int rows, one array a query.
    """
    query, item = _places(relevant)
    wanted = scores[query, item]
    others = scores.copy()
    others[query, item] = -np.inf
    order = np.lexsort((-wanted, query))
    wanted = wanted[order]
    num_relevant = np.bincount(query, minlength=len(scores))
    starts = np.r_[0, np.cumsum(num_relevant)]
    ahead = np.empty(len(wanted), np.int64)
    for row, values in enumerate(others):
        own = slice(starts[row], starts[row + 1])
        if num_relevant[row] <= FEW_RELEVANT:  # To count is faster than to sort.
            ahead[own] = (values >= wanted[own, None]).sum(axis=1)
        else:
            values.sort()
            ahead[own] = len(values) - np.searchsorted(values, wanted[own])
    place = np.arange(len(wanted)) - starts[query] + 1
    return Ranks(
        query=query, rank=ahead + place, place=place, num_relevant=num_relevant
    )


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the best candidates, exact ties to the lower row.

    In: `scores`: float32 (q, n), masked. Out: int64 (q, k), highest score first,
    filled with 0 where there are fewer candidates.
    """
    num_items = scores.shape[1]
    bits = (scores + np.float32(0)).view(np.uint32)  # + 0 turns -0.0 into 0.0
    sign = np.uint32(1 << 31)
    # The bits of a float, turned so that they ascend as unsigned numbers do, and
    # the row below them: keys without ties, which partition as fast as any.
    key = np.where(bits & sign, ~bits, bits | sign).astype(np.uint64) << np.uint64(32)
    key |= np.arange(num_items, 0, -1, dtype=np.uint64)
    there = min(k, num_items)
    best = np.partition(key, num_items - there, axis=1)[:, num_items - there :]
    best = np.sort(best, axis=1)[:, ::-1]
    rows = num_items - (best & np.uint64(0xFFFFFFFF)).astype(np.int64)
    rows[np.isneginf(np.take_along_axis(scores, rows, axis=1))] = 0
    return np.pad(rows, ((0, 0), (0, k - there)))
