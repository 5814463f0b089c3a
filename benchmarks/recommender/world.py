"""A catalogue of any size with models that were not trained, ready to be exported.

Shapes are those of the default configuration on MovieLens' tables; text vectors stand
in for BERT's, in clusters, as those of real texts are.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.synthetic_tables import TableSizes, write_tables
from data.prepare import prepare
from data.prepared import Prepared
from data.schema import data_config
from data.settings import read_toml
from trainer.config import ExperimentConfig, read_experiment
from trainer.export.export import Fitted
from trainer.inputs.affinity import Affinity
from trainer.models.ranking import RankingModel
from trainer.models.retrieval import RetrievalModel
from trainer.models.towers import Texts

SEED = 42
TEXT_DIM = 384  # all-MiniLM-L6-v2's.
ITEMS_OF_A_TOPIC = 500
NOISE = 0.5  # Length of what each text adds to its topic's, of length 1.
CALM = 0.1
FIT_EVENTS = 20_000  # Models see so many: their tables of ids are not served.


@dataclass(frozen=True, kw_only=True)
class World:
    """What is exported, and the ids of users whose histories are full."""

    fitted: Fitted
    config: ExperimentConfig
    users: np.ndarray


def build_world(folder: Path, sizes: TableSizes, overrides: tuple[str, ...]) -> World:
    """Write tables, prepare them and make models of initial weights."""
    toml = write_tables(folder / "tables", sizes, "parquet")
    settings = data_config(read_toml(toml), toml)
    prepared = prepare(settings, toml, str(folder / "prepared"))
    config = read_experiment(toml, overrides)
    counts = prepared.as_happened.user_counts()
    full = np.flatnonzero(counts >= config.retrieval.history_length)
    fitted = untrained(prepared, config)
    return World(fitted=fitted, config=config, users=prepared.user_ids[full])


def untrained(prepared: Prepared, config: ExperimentConfig) -> Fitted:
    """Make both models with what is around them."""
    rng = np.random.default_rng(SEED)
    tf.keras.utils.set_random_seed(SEED)
    log = prepared.as_happened
    first = np.sort(log.time)[min(FIT_EVENTS, len(log) - 1)]
    seen = log.earlier_than(int(first))
    texts = Texts(vectors=_text_vectors(prepared.num_items, rng))
    shared = {"prepared": prepared, "log": seen, "texts": texts, "train": config.train}
    retrieval = RetrievalModel(config=config.retrieval, **shared)
    ranking = RankingModel(config=config.ranking, **shared)
    _calm(retrieval)
    shape = (prepared.num_items + 1, config.ranking.affinity_dim)
    asked = rng.standard_normal(shape, np.float32) / np.float32(shape[0]) ** 0.5
    asked[0] = 0
    return Fitted(
        prepared=prepared,
        log=log,
        end_time=prepared.end_time,
        retrieval=retrieval,
        ranking=ranking,
        affinity=Affinity(given=asked / 2, asked=asked),
        calibration=(1.0, 0.0),
        text_tower=None,
    )


def _calm(retrieval: RetrievalModel) -> None:
    """Let a query lie near the items of its history, as training would.

    What blocks of initial weights add to it is as large and points anywhere; no index
    but an exact one would find its neighbours.
    """
    tower, config = retrieval.query_tower, retrieval.config
    for member in getattr(tower, "members", [tower]):
        encoder = member.encoder
        encoder(tf.zeros([1, config.history_length, config.dim]))  # Makes variables.
        for block in encoder.blocks:
            for layer in (block.project_out, block.contract):
                layer.kernel.assign(CALM * layer.kernel)


def _text_vectors(items: int, rng: np.random.Generator) -> np.ndarray:
    """Draw vectors of length 1 around topics. Out: float32 (items + 1, TEXT_DIM)."""
    number = max(items // ITEMS_OF_A_TOPIC, 1)
    topics = _unit(rng.standard_normal((number, TEXT_DIM), np.float32))
    vectors = rng.standard_normal((items + 1, TEXT_DIM), np.float32)
    vectors *= NOISE / TEXT_DIM**0.5
    vectors += topics[rng.integers(number, size=items + 1)]
    return _unit(vectors)


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
