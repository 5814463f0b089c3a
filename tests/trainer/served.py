"""Servables over small random tables, with towers that are tables, too.

Everything of a served graph but the layers of the models, on any index.
"""

import functools
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from data.features import FeatureSet
from tests.trainer.small_data import DAY, make_log
from trainer.config import ExportConfig, IndexKind, TableDtype
from trainer.export.export import liked_shares
from trainer.export.servables import (
    RankingServable,
    RecommenderServable,
    RetrievalServable,
)
from trainer.inputs.affinity import Affinity
from trainer.models.diversify import Diversifier
from trainer.models.index import scann
from trainer.models.index.base import Index
from trainer.models.index.brute_force import BruteForce
from trainer.models.index.build import build_index, tuned_scann
from trainer.models.index.partitioned import Partitioned
from trainer.models.index.partitions import Truth, part, tune
from trainer.models.index.prior import Prior
from trainer.models.recommender import RankingGraph, RetrievalGraph
from trainer.models.state import Catalogue, Limits, UserState

DIM, TREND, PARTS = 8, 2, 6
HISTORY = 5  # What the models read of a history.
CANDIDATES = 20
RECALL = 0.98

Tables = dict[str, np.ndarray]


class Towers:
    """Stands in for both models: a user's query is a row of a table."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.weights = tf.Variable(rng.normal(size=(PARTS, 1)), dtype=tf.float32)
        self.config = SimpleNamespace(candidates=CANDIDATES, order_by="like", members=1)
        self.query_tower = self

    def calling_layers(self) -> list[Any]:
        return []

    def scoring_layers(self) -> list[Any]:
        return [self.weights]

    def queries_of(
        self, vectors: tf.Tensor, user: tf.Tensor, history: tf.Tensor, *_: tf.Tensor
    ) -> tf.Tensor:
        there = tf.cast(history > 0, tf.float32)[..., None]
        mean = tf.reduce_sum(vectors * there, 1) / (tf.reduce_sum(there, 1) + 1)
        query = tf.math.l2_normalize(user[:, :DIM] + mean, axis=1)
        return tf.concat([query, user[:, DIM:]], axis=1)

    def score(
        self, inputs: Any, user: tf.Tensor, candidates: tf.Tensor, history: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        taste = tf.reduce_mean(history, axis=1, keepdims=True)
        own = tf.tensordot(candidates * (1 + taste), self.weights, 1)[..., 0]
        return {"like": inputs["standing"][..., 0] + inputs["affinity"] + own}


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """Signatures by servable and name, and the tables behind them."""

    servables: dict[str, Any]
    retrieval: RetrievalGraph
    items: np.ndarray
    users: np.ndarray
    servable: np.ndarray
    seen: dict[int, set[int]]
    max_k: int

    def ask(self, servable: str, signature: str, **inputs: Any) -> Tables:
        """Call a signature; ids may be lists of lists of different lengths."""
        call = self.call(servable, signature)
        specs = call.structured_input_signature[1]
        tensors = {n: _tensor(v, specs[n]) for n, v in inputs.items()}
        return {name: value.numpy() for name, value in call(**tensors).items()}

    @functools.cache  # noqa: B019  lives as long as the tests
    def call(self, servable: str, signature: str) -> Any:
        """Trace a signature; to trace all of them takes longer than the tests."""
        return self.servables[servable].traced(signature)

    def rows(self, ids: Any) -> np.ndarray:
        """Return the rows of ids, 0 for ""."""
        place = {name.encode(): row for row, name in enumerate(self.items)}
        return np.vectorize(place.__getitem__, otypes=[np.int32])(ids)


def _tensor(value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    if spec.dtype == tf.string and spec.shape.rank == 2 and isinstance(value, list):
        width = max(map(len, value), default=0)
        value = [[*row, *[""] * (width - len(row))] for row in value]
        flat = list(itertools.chain(*value))
        return tf.reshape(tf.constant(flat, tf.string), [len(value), width])
    return tf.constant(value, spec.dtype)


def served(
    kind: IndexKind,
    folder: Path,
    *,
    items: int,
    users: int = 6,
    candidates: int = CANDIDATES,
    config: ExportConfig | None = None,
    diversifier: Diversifier | None = None,
) -> Served:
    """Build servables. Users 1 to 4 have histories; user 1's is longer than is read."""
    folder = Path(tempfile.mkdtemp(dir=folder))  # Lookups read their files at use.
    rng = np.random.default_rng(items)
    config = config or ExportConfig(k=min(10, items), max_k=items + 10)
    vectors = _unit(rng, items + 1, max(items // 60, 2))
    trend = rng.exponential(0.1, (items + 1, TREND)).astype(np.float32)
    index_vectors = np.concatenate([vectors, trend], axis=1)
    servable = rng.random(items + 1) < 0.9
    servable[0] = False
    of_users = _unit(rng, users + 1, users)
    of_users = np.concatenate([of_users, np.full((users + 1, TREND), 0.3)], axis=1)
    of_users = of_users.astype(np.float32)
    counts = [HISTORY + 6, 1, 3, HISTORY]
    user = np.repeat(np.arange(1, 5), counts)
    item = np.concatenate([rng.choice(items, n, replace=False) + 1 for n in counts])
    time = rng.integers(1, 50 * DAY, len(user))
    log = make_log(user, item, time, np.ones(len(user)))
    log = log.replace(start=np.r_[log.start, np.full(users - 4, log.start[-1])])
    ids = np.array(["", *(f"item {n}" for n in range(1, items + 1))], object)
    user_ids = np.array(["", *(f"user {n}" for n in range(1, users + 1))], object)
    prepared: Any = SimpleNamespace(
        num_users=users,
        num_items=items,
        item_ids=ids,
        titles=ids,
        display={},
    )
    towers: Any = Towers(rng)
    towers.config.candidates = candidates
    retrieval = RetrievalGraph(
        model=towers,
        vectors=vectors,
        user_vectors=of_users,
        index_vectors=index_vectors,
        index=forced(kind, index_vectors, servable, of_users, config.table_dtype),
        dtype=config.table_dtype,
        prior=Prior(liked_shares(prepared, log), servable),
        users=UserState(
            prepared,
            log,
            Limits(history=HISTORY, seen=100),
            _written(folder / "users.txt", user_ids),
        ),
        servable=servable,
        end_time=60 * DAY,
    )
    asked = rng.normal(size=(items + 1, 4)).astype(np.float32)
    ranking = RankingGraph(
        model=towers,
        parts=rng.normal(size=(items + 1, PARTS)).astype(np.float32),
        users=of_users,
        item_statistics=np.zeros((items + 1, 1), np.float32),
        user_statistics=np.zeros((users + 1, 1), np.float32),
        affinity=Affinity(asked / 2, asked),
        profiles=np.zeros((users + 1, 4), np.float32),
        index_vectors=index_vectors,
        servable=servable,
        calibration=(1.0, 0.0),
        dtype=config.table_dtype,
    )
    content: Any = SimpleNamespace(reads_text=False, inputs=list)
    parts: dict[str, Any] = {
        "retrieval": retrieval,
        "catalogue": Catalogue(prepared, _written(folder / "items.txt", ids)),
        "features": FeatureSet(),
    }
    lists = parts | {"content": content, "config": config}
    servables = {
        "recommender": RecommenderServable(
            ranking=ranking, diversifier=diversifier, **lists
        ),
        "retrieval": RetrievalServable(**lists),
        "ranking": RankingServable(ranking=ranking, **parts),
    }
    return Served(
        servables=servables,
        retrieval=retrieval,
        items=ids,
        users=user_ids,
        servable=servable,
        seen={u: set(log.item[log.user == u].tolist()) for u in range(users + 1)},
        max_k=config.max_k,
    )


def forced(
    kind: IndexKind,
    vectors: np.ndarray,
    servable: np.ndarray,
    users: np.ndarray,
    dtype: TableDtype,
) -> Index:
    """Build an index of a kind, as approximate as it gets, whatever the size."""
    queries = np.concatenate(
        [users[1:], vectors[1:200] * ([1.0] * DIM + [0.0] * TREND)]
    )
    queries = queries.astype(np.float32)
    if kind == "brute_force":
        return BruteForce(vectors, servable, dtype)
    if kind == "scann":
        if len(vectors) < 1_000:
            return build_index("scann", vectors, servable)
        before, scann.EXACT_BELOW = scann.EXACT_BELOW, 1_000
        try:
            return tuned_scann(vectors, servable, queries, 50, RECALL)
        finally:
            scann.EXACT_BELOW = before
    partitions = part(vectors, servable, queries, max(len(vectors) // 50, 8))
    truth = Truth.of(vectors, servable, queries, min(50, len(vectors) // 4))
    return Partitioned(vectors, partitions, tune(partitions, truth, RECALL), dtype)


def _unit(rng: np.random.Generator, count: int, topics: int) -> np.ndarray:
    near = rng.normal(size=(topics, DIM))[rng.integers(topics, size=count)]
    vectors = near + 0.4 * rng.normal(size=near.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[0] = 0
    return vectors.astype(np.float32)


def _written(path: Path, ids: np.ndarray) -> str:
    path.write_text("".join(f"{i}\n" for i in itertools.islice(ids, 1, None)))
    return str(path)
