"""How a candidate stands in retrieval's own order, whatever its scores' scale."""

import numpy as np
import tensorflow as tf

NUM_STANDINGS = 3
MOST_REFERENCES = 2_048


def reference_rows(servable: np.ndarray) -> np.ndarray:
    """Choose the items that a request's scores are compared with.

    All that are servable, or so many of them, evenly spaced in the catalogue: a
    candidate then has one standing, whichever other candidates are asked for.
    In: bool (items + 1,). Out: int32 (r,), row 0 alone if nothing is servable.
    """
    rows = np.flatnonzero(servable).astype(np.int32)
    if len(rows) == 0:
        return np.zeros(1, np.int32)
    number = min(len(rows), MOST_REFERENCES)
    return rows[np.linspace(0, len(rows) - 1, number).astype(int)]


def standings(
    score: tf.Tensor, cosine: tf.Tensor, reference: tf.Tensor, num_items: int
) -> tf.Tensor:
    """Describe what retrieval thinks of candidates.

    In: `score`, `cosine` (the score without the trend) float32 (b, c); `reference`
    float32 (b, r), the scores of `reference_rows`; `num_items` that are servable.
    Out: float32 (b, c, NUM_STANDINGS): the score less the references' mean, divided
    by their deviation; log of 1 + how many items score higher, divided by that of
    1 + all; the cosine.
    """
    reference = tf.convert_to_tensor(reference)
    mean = tf.reduce_mean(reference, axis=1, keepdims=True)
    deviation = tf.math.reduce_std(reference, axis=1, keepdims=True)
    scaled = (score - mean) / tf.maximum(deviation, 1e-6)
    above = _places(score, tf.sort(-reference, axis=1))
    above *= num_items / tf.cast(tf.shape(reference)[1], tf.float32)
    place = tf.math.log1p(above) / np.log1p(max(num_items, 1))
    return tf.stack([scaled, place, tf.convert_to_tensor(cosine)], axis=-1)


def _places(score: tf.Tensor, below: tf.Tensor) -> tf.Tensor:
    """Return how many references lie above, counting the next by how near it is.

    Without that share a place would jump where a score is a reference's own and
    differs in its last bit. In: `below`: the references, negated, ascending.
    """
    size = tf.shape(below)[1]
    after = tf.searchsorted(below, -score, side="left")
    low = tf.gather(below, tf.maximum(after - 1, 0), batch_dims=1)
    high = tf.gather(below, tf.minimum(after, size - 1), batch_dims=1)
    share = tf.clip_by_value((-score - low) / tf.maximum(high - low, 1e-12), 0.0, 1.0)
    before = tf.cast(tf.maximum(after - 1, 0), tf.float32)
    return before + tf.where(after > 0, share, 0.0)
