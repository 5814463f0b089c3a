"""Spherical k-means, and clusters of bounded size.

Source: Dhillon & Modha 2001, "Concept decompositions for large sparse text data using
clustering". The bound is ours: what looks at a cluster then has one shape.
"""

import numpy as np
import tensorflow as tf

ITERATIONS = 10
ROWS_PER_CENTRE = 32  # Of a sample that centres are learned from.
LEAST_SAMPLE = 50_000
CHUNK = 16_384
ROOM = 0.4  # How full clusters are on average.


def learn_centres(
    vectors: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Learn centres of length 1 from a sample. In: (n, dim). Out: (count, dim)."""
    size = min(len(vectors), max(ROWS_PER_CENTRE * count, LEAST_SAMPLE))
    sample = vectors[rng.choice(len(vectors), size, replace=False)]
    centres = _unit(sample[rng.choice(size, count, replace=size < count)])
    for _ in range(ITERATIONS):
        nearest = nearest_centres(sample, centres, 1)[0][:, 0]
        sums = tf.math.unsorted_segment_sum(sample, nearest, count).numpy()
        empty = np.bincount(nearest, minlength=count) == 0
        sums[empty] = sample[rng.choice(size, int(empty.sum()))]
        centres = _unit(sums)
    return centres


def nearest_centres(
    vectors: np.ndarray, centres: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each vector's centres of greatest product, best first.

    Out: numbers of centres int32, and products float32, (n, count).
    """
    found = [
        _nearest(tf.constant(vectors[i : i + CHUNK]), centres, count)
        for i in range(0, len(vectors), CHUNK)
    ]
    numbers, products = zip(*found, strict=True)
    return np.concatenate(numbers), np.concatenate(products)


@tf.function(autograph=False, reduce_retracing=True)
def _nearest(
    vectors: tf.Tensor, centres: tf.Tensor, count: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    products = tf.matmul(vectors, centres, transpose_b=True)
    products, numbers = tf.math.top_k(products, count)
    return numbers, products


def cluster(
    vectors: np.ndarray, count: int, largest: int, rng: np.random.Generator
) -> np.ndarray:
    """Part vectors into about `count` clusters, none above a size.

    Clusters keep their natural sizes and only the largest are parted again, each by
    itself. In: float32 (n, dim). Out: numbers of clusters from 0, int32 (n,), none
    without a row.
    """
    centres = learn_centres(vectors, count, rng)
    numbers = nearest_centres(vectors, centres, 1)[0][:, 0]
    sizes = np.bincount(numbers, minlength=count)
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(sizes)
    for large in np.flatnonzero(sizes > largest):
        rows = order[ends[large] - sizes[large] : ends[large]]
        parts = _parted(vectors[rows], largest, rng)
        numbers[rows] = np.where(parts > 0, parts + numbers.max(), large)
    return np.unique(numbers, return_inverse=True)[1].astype(np.int32)


def _parted(vectors: np.ndarray, largest: int, rng: np.random.Generator) -> np.ndarray:
    """Part the rows of one cluster until none is above a size."""
    count = max(2, round(len(vectors) / (ROOM * largest)))
    centres = learn_centres(vectors, count, rng)
    numbers = nearest_centres(vectors, centres, 1)[0][:, 0]
    if np.bincount(numbers).max() > largest:
        # What k-means cannot part well, such as one vector many times, is cut.
        order = np.argsort(numbers, kind="stable")
        numbers[order] = np.arange(len(vectors), dtype=np.int32) // largest
    return numbers


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
