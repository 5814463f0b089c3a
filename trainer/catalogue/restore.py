"""The models of a published version, with the very weights that it serves."""

from typing import Any

import numpy as np
import tensorflow as tf

from data import files
from data.features import FeatureSet
from data.prepared import Prepared
from data.statistics import NUM_STATISTICS
from trainer.catalogue.exported import Exported
from trainer.config import ExperimentConfig
from trainer.errors import ExportError
from trainer.export.export import Fitted, known_to_evaluated
from trainer.fitting.fitter import Fitter
from trainer.fitting.loop import BEST
from trainer.inputs.standing import NUM_STANDINGS
from trainer.models.base import CountedModel
from trainer.models.ranking import RankingModel
from trainer.models.retrieval import RetrievalModel
from trainer.models.text_tower import TextTower
from trainer.models.towers import Texts
from trainer.runs import METRICS


def restored(
    exported: Exported, prepared: Prepared, *, evaluated: bool = False
) -> Fitted:
    """Read a version's models from the runs that it names; nothing is fitted.

    In: `prepared`: the data set that it was made of, its items as they were then;
    `evaluated`: take the fit that was evaluated, which knows the training part alone,
    instead of the refit that is served.
    Raises: ExportError when a run is no longer there, or holds other variables than
    the models have.
    """
    config, runs = exported.config, exported.manifest["runs"]
    chosen = _metrics(exported, runs["evaluation"])["stages"]
    refit = None if evaluated else runs["refit"]
    run = refit or runs["evaluation"]
    retrieval_run = _metrics(exported, run)["stages"]["retrieval"]["run"]
    fitter = Fitter(prepared, config, exported.out)
    tower = fitter.text_tower
    if refit:
        log = fitted_to = prepared.as_happened
        end_time = prepared.end_time
    else:
        fitted_to = prepared.training().of(prepared.events)
        log, end_time = known_to_evaluated(prepared)
    retrieval = RetrievalModel(
        prepared=prepared,
        log=fitted_to,
        texts=_blank_texts(prepared, config, tower),
        config=config.retrieval,
        train=config.train,
    )
    ranking = RankingModel(
        prepared=prepared,
        log=fitted_to,
        texts=_blank_texts(prepared, config, tower),
        config=config.ranking,
        train=config.train,
    )
    build(retrieval, ranking, prepared.features)
    _read(retrieval, exported.run(retrieval_run, "checkpoints", "retrieval", *BEST))
    _read(ranking, exported.run(run, "checkpoints", "ranking", *BEST))
    retrieval.boost_trend(chosen["retrieval"]["trend_boost"])
    ranking.affinity_weight.assign(chosen["ranking"]["affinity_weight"])
    ranking.trust.assign(chosen["ranking"]["trust"])
    calibration = exported.manifest["calibration"]
    return Fitted(
        prepared=prepared,
        log=log,
        end_time=end_time,
        retrieval=retrieval,
        ranking=ranking,
        affinity=fitter.affinity(fitted_to),
        calibration=(calibration["slope"], calibration["offset"]),
        text_tower=retrieval.text_tower or tower,
    )


def _metrics(exported: Exported, run: str) -> dict[str, Any]:
    place = exported.run(run, METRICS)
    if not files.exists(place):
        raise ExportError(
            f"{place}: no such file, expected the run that version {exported.version} "
            "was made in: its weights are there. Put it back, or run: make train."
        )
    return dict(files.read_json(place))


def _blank_texts(
    prepared: Prepared, config: ExperimentConfig, tower: TextTower | None
) -> Texts | None:
    """Make texts of the right shape: their values come from the run."""
    if tower is None:
        return None
    number = prepared.num_items + 1
    if config.text.trainable_layers == 0:
        return Texts(vectors=np.zeros((number, tower.dim), np.float32))
    tokens = np.zeros((number, config.text.max_tokens), np.int32)
    return Texts(tower=TextTower(config.text), tokens=tokens)


def build(
    retrieval: RetrievalModel, ranking: RankingModel, features: FeatureSet
) -> None:
    """Create all weights, so that each finds its value; no graph is traced."""
    row, time = tf.zeros([1], tf.int32), tf.zeros([1], tf.int64)
    history = tf.zeros([1, retrieval.config.history_length], tf.int32)
    vectors = retrieval.item_tower(row)
    retrieval.queries(vectors, row, history, time, time)
    parts = ranking.item_part(row)[None]
    context = {
        f"context.{f.name}": tf.zeros([1, 2])
        if f.kind == "numeric"
        else tf.zeros([1], tf.int32)
        for f in features.context
    }
    request = {
        "history": row[None],
        "time": time,
        "last_time": time,
        "user_statistics": tf.zeros([1, NUM_STATISTICS]),
        "item_statistics": tf.zeros([1, 1, NUM_STATISTICS]),
        "standing": tf.zeros([1, 1, NUM_STANDINGS]),
        "affinity": tf.zeros([1, 1]),
        **context,
    }
    ranking.score(request, ranking.user(row), parts, parts)


def _read(model: CountedModel, path: str) -> None:
    """Fill all variables of a model from a checkpoint."""
    try:
        status = tf.train.Checkpoint(model=model).read(path)
        status.assert_existing_objects_matched()
    except tf.errors.NotFoundError as err:
        raise ExportError(
            f"{path}: no such checkpoint, expected the weights of the published "
            "models. Put the run back, or run: make export."
        ) from err
    except (AssertionError, ValueError, tf.errors.OpError) as err:
        raise ExportError(
            f"{path}: holds other variables than the models have now; another release "
            "of this program has written it. Run: make train."
        ) from err
