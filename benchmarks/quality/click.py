"""The ranking model as a click model: single rows, nothing of other interactions.

What it reads of a history, of retrieval and of counts is zero in every row, so that
users, items and their columns are all that it knows.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from data import files
from data.events import TEST, TRAIN, VALIDATION, EventLog
from data.pipelines import array_batches
from trainer.evaluation.heads import HeadAnswers, calibrated, head_intervals
from trainer.evaluation.metrics import auc
from trainer.experiment import Experiment
from trainer.fitting.fitter import Fitter
from trainer.fitting.loop import Schedule, fit
from trainer.inputs.standing import NUM_STANDINGS
from trainer.models.ranking import RankingModel

CHUNK = 8_192


def click_model(experiment: Experiment) -> dict[str, Any]:
    """Fit the ranking model on single rows; validation stops it by its AUC."""
    prepared, config = experiment.prepared, experiment.config
    log, train = prepared.events, config.train
    fitter = Fitter(prepared, config, experiment.out)
    tf.keras.utils.set_random_seed(train.seed)
    model = RankingModel(
        prepared=prepared,
        log=prepared.training().of(log),
        texts=fitter.texts(),
        config=config.ranking,
        train=train,
    )
    widths = [
        index(log).at(np.ones(1, np.int32), np.zeros(1, np.int64)).shape[-1]
        for index in (prepared.user_statistics, prepared.item_statistics)
    ]
    rows = {part: _rows(log, part, *widths) for part in (TRAIN, VALIDATION, TEST)}

    def validate() -> float:
        return auc(rows[VALIDATION]["like"][:, 0], _logits(model, rows[VALIDATION]))

    ranking = config.ranking
    result = fit(
        model,
        array_batches(rows[TRAIN], batch_size=ranking.batch_size, seed=train.seed),
        Schedule(
            epochs=ranking.epochs,
            patience=ranking.patience,
            learning_rate=ranking.learning_rate,
            monitor="val_auc",
            validate=validate,
        ),
        folder=files.join(experiment.out, "click"),
        logs=files.join(experiment.out, "tensorboard"),
        title="Training the click model",
    )
    likes = rows[TEST]["like"][:, 0]
    answers = HeadAnswers(
        users=rows[TEST]["user"],
        values=calibrated(_logits(model, rows[TEST]), (1.0, 0.0)),
        labels=likes.astype(np.float64),
        of_what="rows of the test part",
    )
    found = head_intervals({"like": answers}, seed=train.seed)["like"]
    return {
        "protocol": [
            "Rows at random: a fifth tests, a tenth validates; a rating of 4 or 5 is a "
            "click, of 1 or 2 none, 3 is left out. AUC over all rows of the test."
        ],
        "counts": {"test": len(likes), "clicks": int(likes.sum())},
        "epochs": result.best_epoch,
        "validation": {"val_auc": result.best},
        "models": {"ranking": {n: i.to_json() for n, i in found.items()}},
    }


def _rows(
    log: EventLog, part: int, user_width: int, item_width: int
) -> dict[str, np.ndarray]:
    """Return a part's events as examples of one candidate each."""
    own = log.part == part
    number = int(own.sum())
    ones, zeros = np.ones((number, 1), np.float32), np.zeros((number, 1), np.float32)
    times = np.zeros(number, np.int64)
    return {
        "user": log.user[own],
        "item": log.item[own][:, None],
        "history": np.zeros((number, 1), np.int32),
        "time": times,
        "last_time": times,
        "user_statistics": np.zeros((number, user_width), np.float32),
        "item_statistics": np.zeros((number, 1, item_width), np.float32),
        "standing": np.zeros((number, 1, NUM_STANDINGS), np.float32),
        "affinity": zeros,
        "like": log.positive[own].astype(np.float32)[:, None],
        "weight": ones,
        "stands_for": ones,
        "rating": zeros,
        "rating_weight": zeros,
    }


def _logits(model: RankingModel, rows: dict[str, np.ndarray]) -> np.ndarray:
    parts = tf.constant(model.item_parts(int(rows["item"].max())))
    found = []
    for start in range(0, len(rows["user"]), CHUNK):
        batch = {n: tf.constant(v[start : start + CHUNK]) for n, v in rows.items()}
        found.append(model.rank_rows(batch, parts)["like"].numpy()[:, 0])
    return np.concatenate(found)
