"""Makes the ranking model's score a probability again.

It learns from positives and sampled negatives, so its raw output is far too high for
what retrieval really shows.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

MIN_SLOPE = 1e-2  # Calibration must never turn the order round.


def fit_calibration(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Fit slope and offset of a logistic curve (Platt scaling).

    In: `logits` float (n,), `labels` 0 or 1 (n,), candidates as retrieval shows
    them. Out: (slope, offset); (1, 0) if the labels are all alike.
    Source: Platt 1999, with his smoothed targets against overfitting.
    """
    positives = float(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return 1.0, 0.0
    high = (positives + 1) / (positives + 2)
    low = 1 / (negatives + 2)
    targets = np.where(labels > 0, high, low)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        z = point[0] * logits + point[1]
        error = expit(z) - targets
        value = float(np.mean(np.logaddexp(0, z) - targets * z))
        return value, np.array([np.mean(error * logits), np.mean(error)])

    bounds = [(MIN_SLOPE, None), (None, None)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=bounds)
    return float(found.x[0]), float(found.x[1])
