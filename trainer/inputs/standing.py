"""How a candidate stands in retrieval's own order, whatever its scores' scale."""

import numpy as np
import tensorflow as tf

NUM_STANDINGS = 3
MOST_REFERENCES = 512
CHUNK = 128
NEAR = 0.05  # In deviations of a request's scores.


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
    scale = tf.maximum(deviation, 1e-6)
    scaled = (score - mean) / scale
    above = _places(scaled, (reference - mean) / scale)
    above *= num_items / tf.cast(tf.shape(reference)[1], tf.float32)
    place = tf.math.log1p(above) / np.log1p(max(num_items, 1))
    return tf.stack([scaled, place, tf.convert_to_tensor(cosine)], axis=-1)


def _places(score: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """Return how many references lie above; what is near counts by how near it is.

    Without that a place would jump where two scores differ in their last bits.
    """
    # From 0 to 6 within NEAR, so that one op cuts at both ends.
    steps = 6 / NEAR
    score, reference = steps * score[..., None], steps * reference[:, None] + 3.0
    above = tf.zeros_like(score[..., 0])
    for start in range(0, reference.shape[-1], CHUNK):  # (b, c, r) is large at once.
        part = reference[..., start : start + CHUNK]
        above += tf.reduce_sum(tf.nn.relu6(part - score), axis=-1) / 6
    return tf.maximum(above - 0.5, 0.0)  # Its own score is half above it.
