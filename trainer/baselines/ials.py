"""iALS: factors of users and items by alternating least squares, from `implicit`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from data.events import EventLog
from data.queries import Queries
from trainer.baselines.histories import Histories
from trainer.baselines.sizes import Sizes
from trainer.evaluation.metrics import EvaluationData

FEW_EVENTS = 500_000  # Below it a second thread waits more than it works.


@dataclass(frozen=True)
class FactorScorer:
    """Solves for the factors of a query's history, then scores by dot products.

    Users are folded in at each query, so that what they did up to the request counts.
    """

    histories: Histories
    model: Any

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, items + 1)."""
        met = self.histories.at(queries, rows)
        with threadpool_limits(1, "blas"):
            users = self.model.recalculate_user(np.arange(len(rows)), met)
            found = users @ self.model.item_factors.T
        return self.histories.scores(met, found)


@dataclass(frozen=True)
class Ials:
    """Weighted matrix factorisation of all pairs, an event weighing `alpha` times.

    Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback
    datasets"; what to tune: Rendle et al. 2022, "Revisiting the performance of iALS".
    """

    factors: int
    regularization: float
    alpha: float
    positives_only: bool = False
    iterations: int = 15
    seed: int = 0

    def needs(self, sizes: Sizes) -> int:
        """Return the bytes of a fit: the events both ways, and the factors."""
        return sizes.events * 48 + (sizes.items + sizes.users) * self.factors * 8

    def fit(self, log: EventLog, prepared: EvaluationData) -> FactorScorer:
        """Solve for the factors; the same log gives the same ones, bit by bit.

        Every row is solved for by one thread alone; only the sums of BLAS would
        depend on their number, so it gets one.
        """
        histories, met = Histories.fit(
            log, prepared.events, prepared.num_items, self.positives_only
        )
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
                num_threads=1 if len(log) < FEW_EVENTS else 0,
            )
            model.fit(met, show_progress=False)
        return FactorScorer(histories, model)
