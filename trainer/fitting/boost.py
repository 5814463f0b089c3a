"""How much the recent trend counts: chosen on validation after the fit."""

from collections.abc import Callable

import numpy as np

from data.events import VALIDATION
from data.prepared import Prepared
from trainer.evaluation.evaluate import measure
from trainer.evaluation.scorers import RetrievalScorer
from trainer.models.retrieval import RetrievalModel

BOOSTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
COARSE = (0.0, 0.5, 1.0)  # Asked after every epoch.
K = 10


def with_best_boost(model: RetrievalModel, validate: Callable[[], float]) -> float:
    """Return the best of a validation's values over a few boosts, and leave none set.

    An epoch is judged as what will be served of it: without its boost a model that
    knows users better loses to an earlier one that follows the trend.
    """
    if not model.query_tower.trend_width:
        return validate()
    found = []
    for boost in COARSE:
        model.boost_trend(boost)
        found.append(validate())
    model.boost_trend(0.0)
    return max(found)


def choose_trend_boost(model: RetrievalModel, prepared: Prepared) -> dict[str, float]:
    """Set the boost that is best on validation; the smallest wins a tie.

    Out: NDCG@10 on the validation queries by boost, as strings for JSON.
    """
    queries = prepared.queries(VALIDATION)
    if not model.query_tower.trend_width or len(queries) == 0:
        return {}
    found: dict[str, float] = {}
    for boost in BOOSTS:
        model.boost_trend(boost)
        now = prepared.cut(VALIDATION)
        scorer = RetrievalScorer(
            model, prepared, prepared.events, counted=prepared.counted, now=now
        )
        measured = measure(prepared, queries, scorer, ks=(K,))
        found[str(boost)] = float(np.mean(measured.per_query[f"ndcg@{K}"]))
    model.boost_trend(best_boost(found))
    return found


def best_boost(found: dict[str, float]) -> float:
    """Return the boost with the highest figure, 0 if none was measured."""
    return float(max(found, key=lambda boost: found[boost])) if found else 0.0
