"""How true the ranking model's heads are: probabilities of likes, predicted ratings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from trainer.evaluation import metrics
from trainer.evaluation.bootstrap import (
    RESAMPLES,
    Interval,
    percentiles,
    resampled_sums,
)

AUC_BINS = 512
NO_BOUND = float("nan")


@dataclass(frozen=True, kw_only=True)
class HeadAnswers:
    """What a head said of items, and what came true.

    `users`: int (n,), who was asked. `values`: float64 (n,), probabilities of `like`,
    or ratings. `labels`: float64 (n,), 0 or 1, or ratings in their own unit.
    `of_what`: what the answers are about, the end of a sentence.
    """

    users: np.ndarray
    values: np.ndarray
    labels: np.ndarray
    of_what: str

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def joined(cls, parts: Sequence["HeadAnswers"]) -> "HeadAnswers":
        """Put the answers of several folds together."""
        return cls(
            users=np.concatenate([part.users for part in parts]),
            values=np.concatenate([part.values for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            of_what=parts[-1].of_what,
        )


def calibrated(logits: np.ndarray, calibration: tuple[float, float]) -> np.ndarray:
    """Turn logits into probabilities. In: slope and offset. Out: float64 (n,)."""
    slope, offset = calibration
    return np.asarray(expit(slope * logits.astype(np.float64) + offset))


def head_intervals(
    heads: Mapping[str, HeadAnswers], *, seed: int, resamples: int = RESAMPLES
) -> dict[str, dict[str, Interval]]:
    """Measure each head: AUC, log loss and calibration error of likes, RMSE of ratings.

    Out: by head and metric, the value over all answers with an interval by resampling
    users. Heads without any answer are left out.
    """
    measures = {"like": _of_likes, "rating": _of_ratings}
    return {
        head: measures[head](answers, seed, resamples)
        for head, answers in heads.items()
        if len(answers)
    }


def _of_ratings(answers: HeadAnswers, seed: int, resamples: int) -> dict[str, Interval]:
    error = np.square(answers.labels - answers.values)
    table = np.column_stack([error, np.ones(len(error))])
    drawn = [
        np.sqrt(sums[:, :1] / sums[:, 1:])
        for sums in _drawn(table, answers, seed, resamples)
    ]
    values = {"rmse": metrics.rmse(answers.labels, answers.values)}
    return _bounded(values, drawn)


def _of_likes(answers: HeadAnswers, seed: int, resamples: int) -> dict[str, Interval]:
    liked, chance = answers.labels > 0, answers.values
    values = {
        "auc": metrics.auc(liked, chance),
        "log_loss": metrics.log_loss(liked, chance),
        "calibration_error": metrics.calibration_error(liked, chance),
    }
    places = _auc_places(chance)
    bins = metrics.calibration_bins(chance)
    num_places, num_bins = int(places.max()) + 1, metrics.CALIBRATION_BINS
    users = np.unique(answers.users, return_inverse=True)[1]
    parts = (
        _by_user(users, places, liked, num_places),
        _by_user(users, places, ~liked, num_places),
        _by_user(users, bins, liked - chance, num_bins),
        _by_user(users, bins * 0, metrics.log_losses(liked, chance), 1),
        _by_user(users, bins * 0, np.ones(len(chance)), 1),
    )
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    table = np.column_stack(parts)
    # The bins of the AUC are fine, not exact: their error is taken off.
    offset = values["auc"] - _binned_auc(*np.split(table.sum(0)[None], ends, 1)[:2])[0]
    drawn = []
    rows = np.arange(len(table))
    if len(rows) > 1:
        sums = resampled_sums(table, rows, seed=seed, resamples=resamples)
        for likes, others, gaps, loss, number in (np.split(s, ends, 1) for s in sums):
            auc = _binned_auc(likes, others) + offset
            gap = np.abs(gaps).sum(axis=1)
            drawn.append(np.column_stack([auc, loss[:, 0], gap]))
            drawn[-1][:, 1:] /= number
    return _bounded(values, drawn)


def _drawn(
    table: np.ndarray, answers: HeadAnswers, seed: int, resamples: int
) -> list[np.ndarray]:
    if len(np.unique(answers.users)) < 2:
        return []
    return list(resampled_sums(table, answers.users, seed=seed, resamples=resamples))


def _bounded(
    values: Mapping[str, float], drawn: Sequence[np.ndarray]
) -> dict[str, Interval]:
    """Put bounds around values. In: `drawn`: (b, metrics), none for a single user."""
    if not drawn:
        return {name: Interval(v, NO_BOUND, NO_BOUND) for name, v in values.items()}
    low, high = percentiles(drawn)
    return {
        name: Interval(value, float(low[i]), float(high[i]))
        for i, (name, value) in enumerate(values.items())
    }


def _by_user(
    users: np.ndarray, places: np.ndarray, values: np.ndarray, width: int
) -> np.ndarray:
    """Sum values by user and place. Out: float64 (users, width)."""
    num = int(users.max()) + 1
    flat = np.bincount(users * width + places, values, num * width)
    return flat.reshape(num, width)


def _auc_places(values: np.ndarray) -> np.ndarray:
    """Put values into bins of about equal number, ascending. Out: int64 (n,)."""
    edges = np.unique(values)
    if len(edges) > AUC_BINS:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, AUC_BINS + 1)[1:-1]))
    return np.searchsorted(edges, values, side="left")


def _binned_auc(likes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return AUCs of answers counted by bin, ties by half; NaN of one class alone.

    In: float64 (b, bins). Out: (b,).
    """
    below = np.cumsum(others, axis=1) - others / 2
    pairs = likes.sum(axis=1) * others.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((likes * below).sum(axis=1) / pairs)
