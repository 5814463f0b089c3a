"""A second opinion on taste: what is liked by those who like the same."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import sparse
from scipy.sparse.linalg import svds

from data.events import EventLog

NO_TASTE = 1e-6  # Directions that nobody's likes span are whatever was drawn.
FEW = 512  # Users or items; their products with each other are a small matrix.
POPULARITY = 0.25  # Measured best of 0, 1/4 and 1/2 on MovieLens-1M's validation part.


@dataclass(frozen=True)
class Affinity:
    """Two vectors an item: the likes of a user add up `given`, `asked` is compared.

    `given`, `asked`: float32 (items + 1, dim), zeros for items without a like; dim 0
    if there is nothing to learn from.
    """

    given: np.ndarray
    asked: np.ndarray

    @classmethod
    def of(cls, log: EventLog, num_items: int, dim: int) -> "Affinity":
        """Factorise who liked what, items scaled by a power of their counts.

        Source: Cremonesi et al. 2010, "Performance of recommender algorithms on top-N
        recommendation tasks" (PureSVD); the scaling is EigenRec's (Nikolakopoulos et
        al. 2019).
        """
        liked = log.where(log.positive)
        shape = (log.num_users + 1, num_items + 1)
        matrix = _binary(liked.user, liked.item, shape)
        width = min(dim, len(np.unique(liked.user)) - 1, len(np.unique(liked.item)) - 1)
        if width < 1:
            none = np.zeros((num_items + 1, 0), np.float32)
            return cls(none, none)
        counts = np.maximum(np.asarray(matrix.sum(0)).ravel(), 1) ** POPULARITY
        scaled = matrix @ sparse.diags(1 / counts)
        rows = _right_vectors(scaled, width)
        rows[np.asarray(matrix.sum(0)).ravel() == 0] = 0
        given, asked = rows / counts[:, None], rows * counts[:, None]
        return cls(given.astype(np.float32), asked.astype(np.float32))

    def extended(self, num_items: int) -> "Affinity":
        """Return the same of more items, of whom nobody has liked the last."""
        missing = [(0, num_items + 1 - len(self.given)), (0, 0)]
        return Affinity(np.pad(self.given, missing), np.pad(self.asked, missing))

    def profiles(
        self, log: EventLog, users: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        """Add up what users like among their first `counts` events, each item once.

        In: `users`: rows (q,); `counts`: (q,). Out: float32 (q, dim).
        """
        request, place = log.places_between(users, np.zeros_like(counts), counts)
        liked = log.positive[place]
        shape = (len(users), len(self.given))
        matrix = _binary(request[liked], log.item[place[liked]], shape)
        return np.asarray(matrix @ self.given, np.float32)


def _right_vectors(matrix: Any, width: int) -> np.ndarray:
    """Return right singular vectors, the greatest first, the same at every call.

    Those that belong to no singular value above 0 are zeros: they tell nothing.
    In: sparse (n, m). Out: float64 (m, width).
    """
    rows, columns = (
        np.flatnonzero(np.diff(m.indptr)) for m in (matrix, matrix.tocsc())
    )
    if min(len(rows), len(columns)) > FEW:
        # A start of our own: ARPACK's would be another one at each call.
        start = np.random.default_rng(0).normal(size=min(matrix.shape))
        _, values, right = svds(matrix, k=width, v0=start)
        order = slice(None, None, -1)
        return (right * (values > values.max() * NO_TASTE)[:, None]).T[:, order]
    # Where few likes end its search early ARPACK goes on from draws of its own.
    inner = matrix[rows][:, columns]
    if len(rows) < len(columns):
        left, values, _ = np.linalg.svd((inner @ inner.T).toarray())
        right = inner.T @ left / np.sqrt(np.maximum(values, np.finfo(float).tiny))
    else:
        right, values, _ = np.linalg.svd((inner.T @ inner).toarray())
    found = np.zeros((matrix.shape[1], width))
    found[columns] = right[:, :width] * (values[:width] > values[0] * NO_TASTE**2)
    return found


def _binary(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Any:
    matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape)
    matrix.data[:] = 1
    return matrix


def affinities(
    profile: tf.Tensor,
    given: tf.Tensor,
    candidates: tf.Tensor,
    references: tf.Tensor,
) -> tf.Tensor:
    """Compare candidates with what a user likes.

    In: `profile` float32 (b, dim), of zeros where no like is known: then the
    history counts, by the `given` vectors of its items, float32 (b, l, dim), those
    of padding zeros. `candidates` float32 (b, c, dim), `references` (r, dim): `asked`
    vectors.
    Out: float32 (b, c), less the references' mean, in their deviations; 0 for a user
    of whom nothing is known.
    """
    if references.shape[-1] == 0:  # oneDNN ends the process at such a product.
        return tf.zeros(tf.shape(candidates)[:2])
    known = tf.reduce_any(tf.not_equal(profile, 0.0), axis=1, keepdims=True)
    profile = tf.where(known, profile, tf.reduce_sum(given, axis=1))
    score = tf.matmul(candidates, profile[..., None])[..., 0]
    reference = tf.matmul(profile, references, transpose_b=True)
    mean = tf.reduce_mean(reference, axis=1, keepdims=True)
    deviation = tf.math.reduce_std(reference, axis=1, keepdims=True)
    return tf.where(deviation > 1e-6, (score - mean) / (deviation + 1e-9), 0.0)
