"""What is compared: our indexes in their graph, and libraries called from Python.

Each is tuned on one set of queries to one recall, by the parameter that its users turn.
"""

import importlib
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from data.errors import ConfigError
from trainer.config import IndexKind
from trainer.models.index.build import build_index

THREADS = os.cpu_count() or 1
EF_CONSTRUCTION, LINKS = 100, 16
LADDER = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)

Ask = Callable[[np.ndarray], np.ndarray]  # Queries (b, dim) to places (b, k).
Enough = Callable[[Ask], bool]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """`ask`: queries float32 (b, dim) -> rows (b, k), counted from 1."""

    ask: Ask
    size: int
    settings: dict[str, Any] = field(default_factory=dict)


def ours(
    kind: IndexKind, vectors: np.ndarray, tuning: np.ndarray, k: int, recall: float
) -> Subject:
    """Build one of our indexes and compile it."""
    servable = np.arange(len(vectors)) > 0
    index = build_index(kind, vectors, servable, queries=tuning, k=k, recall=recall)
    search, wanted = index.traced, tf.constant(k)

    def ask(queries: np.ndarray) -> np.ndarray:
        none = tf.zeros([len(queries), 0], tf.int32)
        return search(tf.constant(queries), wanted, none)[0].numpy()

    size = sum(math.prod(v.shape) * v.dtype.size for v in index.variables)
    return Subject(ask=ask, size=size, settings=index.settings())


def faiss_ivf(vectors: np.ndarray, k: int, enough: Enough) -> Subject:
    """FAISS, inverted lists of plain vectors; the least `nprobe` that is enough."""
    faiss = _peer("faiss")
    faiss.omp_set_num_threads(THREADS)
    lists = int(np.sqrt(len(vectors)))
    quantizer = faiss.IndexFlatIP(vectors.shape[1])
    metric = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFFlat(quantizer, vectors.shape[1], lists, metric)
    rng = np.random.default_rng(0)
    index.train(vectors[1 + rng.permutation(len(vectors) - 1)[: 40 * lists]])
    index.add(vectors[1:])

    def ask(queries: np.ndarray) -> np.ndarray:
        return index.search(queries, k)[1] + 1

    def turn(probes: int) -> None:
        index.nprobe = probes

    probes = least((*range(1, 8), *LADDER), turn, ask, enough)
    size = faiss.serialize_index(index).nbytes
    return Subject(ask=ask, size=size, settings={"lists": lists, "nprobe": probes})


def faiss_hnsw(vectors: np.ndarray, k: int, enough: Enough) -> Subject:
    """FAISS, a graph; the least `efSearch` that is enough."""
    faiss = _peer("faiss")
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.add(vectors[1:])

    def ask(queries: np.ndarray) -> np.ndarray:
        return index.search(queries, k)[1] + 1

    def turn(ef: int) -> None:
        index.hnsw.efSearch = ef

    ef = least([n for n in LADDER if n >= k], turn, ask, enough)
    size = faiss.serialize_index(index).nbytes
    return Subject(ask=ask, size=size, settings={"M": LINKS, "efSearch": ef})


def hnswlib_graph(vectors: np.ndarray, k: int, enough: Enough) -> Subject:
    """Build hnswlib's graph; the least `ef` that is enough."""
    hnswlib = _peer("hnswlib")
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    count = len(vectors) - 1
    index.init_index(max_elements=count, ef_construction=EF_CONSTRUCTION, M=LINKS)
    index.add_items(vectors[1:], np.arange(1, count + 1), num_threads=THREADS)

    def ask(queries: np.ndarray) -> np.ndarray:
        return index.knn_query(queries, k, num_threads=THREADS)[0].astype(np.int64)

    ef = least([n for n in LADDER if n >= k], index.set_ef, ask, enough)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "index")
        index.save_index(path)
        size = os.path.getsize(path)
    return Subject(ask=ask, size=size, settings={"M": LINKS, "ef": ef})


def least(
    values: Sequence[int], turn: Callable[[int], object], ask: Ask, enough: Enough
) -> int:
    """Turn a knob up until recall is enough. Out: where it was left."""
    for value in values:
        turn(value)
        if enough(ask):
            break
    return value


def _peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as err:
        raise ConfigError(
            f"{name} is not installed. Its package stands in the extra `bench` of "
            "pyproject.toml: pip install faiss-cpu hnswlib, or leave it out by --only."
        ) from err
