"""What stops the ranking model, and how far it is trusted: the validation part."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.evaluation.scorers import RetrievalScorer, first_items
from trainer.fitting.questions import Questions
from trainer.inputs.requests import RankingInputs, Requests
from trainer.models.ranking import RankingModel

CHUNK = 250
K = 10
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
AFFINITY_WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)


@dataclass(frozen=True)
class _Shown:
    """What retrieval answers to some questions. `liked`, `there`: bool (b, c)."""

    columns: dict[str, tf.Tensor]
    liked: np.ndarray
    there: np.ndarray
    ideal: np.ndarray


class RankingValidation:
    """NDCG@10 of a ranking model over what one retrieval model answers first."""

    def __init__(
        self,
        retrieval: RetrievalScorer,
        inputs: RankingInputs,
        questions: Questions,
        candidates: int,
    ) -> None:
        """Let retrieval answer: it answers the same after every epoch."""
        self.retrieval, self.inputs, self.questions = retrieval, inputs, questions
        number = len(questions)
        self._shown = [
            self._answer(np.arange(i, min(i + CHUNK, number)), candidates)
            for i in range(0, number, CHUNK)
        ]

    def __len__(self) -> int:
        return len(self.questions)

    def _answer(self, rows: np.ndarray, candidates: int) -> _Shown:
        asked, log, prepared = self.questions, self.inputs.log, self.inputs.prepared
        user, count = asked.user[rows], asked.count[rows]
        requests = Requests.of(
            log, user, count, asked.time[rows], self.retrieval.length
        )
        scores, cosines = self.retrieval.both(requests)
        masked = np.where(prepared.servable, scores, -np.inf)
        met = log.places_between(user, np.zeros_like(count), count)
        masked[met[0], log.item[met[1]]] = -np.inf
        item = first_items(masked, candidates)
        mine = (asked.liked[:, 0] >= rows[0]) & (asked.liked[:, 0] <= rows[-1])
        liked = np.zeros(scores.shape, bool)
        liked[asked.liked[mine, 0] - rows[0], asked.liked[mine, 1]] = True
        columns = self.inputs.columns(requests, item, scores, cosines)
        columns |= {"item": item, **self.inputs.no_context(len(item))}
        gains = np.r_[0, np.cumsum(1 / np.log2(np.arange(2, K + 2)))]
        return _Shown(
            columns={name: tf.constant(v) for name, v in columns.items()},
            liked=np.take_along_axis(liked, item, axis=1),
            there=np.isfinite(np.take_along_axis(masked, item, axis=1)),
            ideal=gains[np.clip(liked.sum(axis=1), 1, K)],
        )

    def ndcg(self, model: RankingModel) -> float:
        """Return the mean NDCG@10, ties against the model."""
        parts = tf.constant(model.item_parts(self.inputs.prepared.num_items))
        orders = [
            model.rank_rows(shown.columns, parts)[model.config.order_by].numpy()
            for shown in self._shown
        ]
        return self._mean_ndcg(orders)

    def _mean_ndcg(self, orders: list[np.ndarray]) -> float:
        found = []
        for shown, order in zip(self._shown, orders, strict=True):
            order = np.where(shown.there, order, -np.inf)
            first = np.lexsort((shown.liked, -order), axis=-1)[:, :K]
            hit = np.take_along_axis(shown.liked & shown.there, first, axis=1)
            gains = 1 / np.log2(np.arange(2, hit.shape[1] + 2))
            found.append((hit * gains).sum(axis=1) / shown.ideal)
        return float(np.concatenate(found).mean()) if found else 0.0

    def try_affinity(self) -> dict[str, float]:
        """Return NDCG@10 of retrieval's order with some of the affinity added.

        Out: by weight, as strings for JSON; empty if there is none.
        """
        if not self._shown or not self.inputs.affinity.given.shape[1]:
            return {}
        return {
            str(weight): self._mean_ndcg(
                [
                    s.columns["standing"].numpy()[..., 0]
                    + weight * s.columns["affinity"].numpy()
                    for s in self._shown
                ]
            )
            for weight in AFFINITY_WEIGHTS
        }

    def choose_trust(self, model: RankingModel) -> dict[str, float]:
        """Set how far the model is trusted; the least wins a tie.

        Out: NDCG@10 by trust, as strings for JSON; 0 is without the network.
        """
        found: dict[str, float] = {}
        if self._shown and model.config.order_by == "like":
            for trust in TRUSTS:
                model.trust.assign(trust)
                found[str(trust)] = self.ndcg(model)
        model.trust.assign(best_trust(found))
        return found


def best_trust(found: dict[str, float]) -> float:
    """Return the trust with the highest figure, 1 if none was measured."""
    return float(max(found, key=lambda trust: found[trust])) if found else 1.0


def best_weight(found: dict[str, float]) -> float:
    """Return the weight with the highest figure, 0 if none was measured."""
    return float(max(found, key=lambda weight: found[weight])) if found else 0.0
