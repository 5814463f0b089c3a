"""What brute force answers: the yardstick of tuning, tests and export's gate."""

import numpy as np
import tensorflow as tf

from trainer.models.index.base import PADDING_SCORE
from trainer.models.index.brute_force import BruteForce

CHUNK_SCORES = 32_000_000  # Scores held at a time: 128 MB.
# Scores of one product differ in the last bits with its shape.
SAME_SCORE = 1e-5


def exact_answers(
    vectors: np.ndarray, servable: np.ndarray, queries: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Answer queries by brute force, without exclusions.

    In: `vectors` float32 (items + 1, dim), `servable` bool (items + 1,), `queries`
    float32 (n, dim). Out: rows int32 and scores float32 (n, k), best first, padded
    with row 0 and PADDING_SCORE.
    """
    index = BruteForce(vectors, servable)
    step = max(CHUNK_SCORES // len(vectors), 1)
    found = []
    for start in range(0, len(queries), step):
        some = tf.constant(queries[start : start + step], tf.float32)
        none = tf.zeros([len(some), 0], tf.int32)
        found.append([t.numpy() for t in index.search(some, tf.constant(k), none)])
    rows, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, scores


def recall(rows: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the exact answers that was found.

    What scores as much as the last exact answer counts, whichever row it is. In:
    `rows` int32 and `scores` float32 (n, k) of an index; `truth` float32 (n, k), the
    exact scores, best first. Out: from 0 to 1.
    """
    there = truth > PADDING_SCORE
    wanted = there.sum(axis=1)
    if not wanted.sum():
        return 1.0
    last = np.where(there, truth, np.inf).min(axis=1, keepdims=True)
    found = ((rows > 0) & (scores >= last - SAME_SCORE)).sum(axis=1)
    return float(np.minimum(found, wanted).sum() / wanted.sum())
