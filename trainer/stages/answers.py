"""Asks the ranking model's heads about the test part, and notes what came true."""

import numpy as np

from data.console import progress
from data.events import TEST
from data.prepared import Prepared
from data.queries import Queries, num_known
from trainer.evaluation.heads import HeadAnswers, calibrated
from trainer.evaluation.scorers import TwoStageScorer

CHUNK = 256
MOST_QUERIES = 5_000  # As many as the calibration is made on.
MOST_RATINGS = 100_000
WIDTH = 32  # Rated items of one user that are asked about together.


def head_answers(
    prepared: Prepared, both: TwoStageScorer, calibration: tuple[float, float]
) -> dict[str, HeadAnswers]:
    """Ask about the candidates that users would be shown, and about rated events.

    In: `calibration`: slope and offset of the likes' logits.
    """
    answers = {"like": likes(prepared, both, calibration)}
    if both.model.ratings:
        answers["rating"] = ratings(prepared, both)
    return answers


def likes(
    prepared: Prepared, both: TwoStageScorer, calibration: tuple[float, float]
) -> HeadAnswers:
    """Ask how likely each candidate of retrieval is liked.

    The same distribution as the calibration's, on the test part.
    """
    queries = prepared.queries(TEST)
    if len(queries) > MOST_QUERIES:
        rng = np.random.default_rng(0)
        queries = queries.take(np.sort(rng.choice(len(queries), MOST_QUERIES, False)))
    users, values, labels = [], [], []
    with progress("evaluate the likes", len(queries)) as advance:
        for start in range(0, len(queries), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(queries)))
            item, there, scores, outputs = both.candidates(queries, rows)
            relevant = np.zeros(scores.shape, bool)
            for place, row in enumerate(rows):
                relevant[place, queries.relevant[row]] = True
            of_row = np.broadcast_to(queries.users[rows, None], item.shape)
            users.append(of_row[there])
            values.append(calibrated(outputs["like"][there], calibration))
            labels.append(np.take_along_axis(relevant, item, axis=1)[there])
            advance(len(rows))
    number = both.model.config.candidates
    return HeadAnswers(
        users=np.concatenate(users),
        values=np.concatenate(values),
        labels=np.concatenate(labels).astype(np.float64),
        of_what=f"the first {number} candidates of retrieval for {len(queries):,} test "
        "users; the event is that the user likes the item within the test part",
    )


def ratings(prepared: Prepared, both: TwoStageScorer) -> HeadAnswers:
    """Ask how users rate the items of their test events, as at their request.

    Users without an earlier event are left out, and of very many events all but a
    random choice.
    """
    log, known = prepared.events, num_known(prepared.events, TEST)
    asked = (log.part == TEST) & np.isfinite(log.label) & (known[log.user] > 0)
    places = np.flatnonzero(asked)
    if len(places) > MOST_RATINGS:
        rng = np.random.default_rng(0)
        places = np.sort(rng.choice(places, MOST_RATINGS, replace=False))
    user = log.user[places]
    # Users stand together: each takes as many rows of WIDTH items as it needs.
    number = np.arange(len(user)) - np.searchsorted(user, user)
    new_row = number % WIDTH == 0
    row, column = np.cumsum(new_row) - 1, number % WIDTH
    item = np.zeros((int(new_row.sum()), WIDTH), np.int32)
    item[row, column] = log.item[places]
    found = _rated(prepared, both, user[new_row], known, item)[row, column]
    return HeadAnswers(
        users=user,
        values=found.astype(np.float64),
        labels=log.label[places].astype(np.float64),
        of_what=f"{len(places):,} rated events of the test part, asked about at the "
        "user's request, in the ratings' own unit",
    )


def _rated(
    prepared: Prepared,
    both: TwoStageScorer,
    users: np.ndarray,
    known: np.ndarray,
    item: np.ndarray,
) -> np.ndarray:
    """Return the predicted ratings. In: `item`: int32 (n, w). Out: float32 (n, w)."""
    now = prepared.cut(TEST)
    counts = known[users]
    last = prepared.events.last_times(users, counts)
    queries = Queries(
        users=users,
        counts=counts,
        times=last if now is None else np.full(len(users), now, np.int64),
        relevant=[],
        seen=[],
        num_cold_users=0,
        num_cold_items=0,
    )
    found = np.zeros(item.shape, np.float32)
    with progress("evaluate the ratings", len(users)) as advance:
        for start in range(0, len(users), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(users)))
            requests = both.retrieval.requests(queries, rows)
            scores, cosines = both.retrieval.both(requests)
            outputs = both.outputs(requests, item[rows], scores, cosines)
            found[rows] = outputs["rating"]
            advance(len(rows))
    return found
