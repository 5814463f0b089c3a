"""The recall gate: an index that finds too little is not exported."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.events import EventLog
from trainer.config import ExportConfig
from trainer.errors import GateRefused
from trainer.evaluation.scorers import RetrievalScorer
from trainer.inputs.requests import Requests
from trainer.models.index.base import Index
from trainer.models.index.build import items_as_queries
from trainer.models.index.measure import measure

MOST_QUERIES = 512
SEED = 0
KEYS = ("retrieval_index", "recommender_index")


@dataclass(frozen=True)
class IndexQueries:
    """What an index is asked: by whom, to tune it, and others to measure it.

    `tuning`, `measuring`: float32 (n, index width). `of`: whose they are.
    """

    tuning: np.ndarray
    measuring: np.ndarray
    of: str


def index_queries(
    scorer: RetrievalScorer,
    log: EventLog,
    now: int,
    vectors: np.ndarray,
    servable: np.ndarray,
) -> IndexQueries:
    """Ask for users as they stand at `now`, or for items if too few have a past.

    In: `now`: Unix seconds; `vectors` float32 (items + 1, index width); `servable`
    bool (items + 1,).
    """
    counts = log.user_counts()
    users = np.flatnonzero(counts)
    rng = np.random.default_rng(SEED)
    users = rng.permutation(users)[: 2 * MOST_QUERIES].astype(np.int32)
    if len(users) < 2:
        items = items_as_queries(vectors, servable)
        return IndexQueries(items, items, "items")
    times = np.full(len(users), now, np.int64)
    found = scorer.embed(Requests.of(log, users, counts[users], times, scorer.length))
    half = len(users) // 2
    return IndexQueries(found[:half], found[half:], "users")


def checked(
    index: Index,
    vectors: np.ndarray,
    servable: np.ndarray,
    queries: IndexQueries,
    config: ExportConfig,
) -> dict[str, Any]:
    """Measure an index for its manifest.

    Out: recall and latency, as JSON holds it. Raises: GateRefused when its recall is
    under the floor.
    """
    k = min(config.recall_k, max(int(servable.sum()), 1))
    found = measure(index, vectors, servable, queries.measuring, k=k)
    if found.recall < config.recall_floor:
        keys = [key for key in KEYS if getattr(config, key) == index.kind] or KEYS
        remedy = " and ".join(f'[export] {key} = "brute_force"' for key in keys)
        raise GateRefused(
            f"the {index.kind} index finds {found.recall:.4f} of the best {k} of "
            f"{found.queries:,} queries ({queries.of}), expected at least "
            f"{config.recall_floor} ([export] recall_floor); one query takes "
            f"{found.single.median_ms:.2f} ms. Nothing was published. Set {remedy}, or "
            "a lower recall_floor."
        )
    return {**asdict(found), "queries_of": queries.of, "floor": config.recall_floor}
