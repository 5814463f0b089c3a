"""Seeded vectors in clusters, as trained embeddings have them."""

import numpy as np

DIM = 64
ITEMS_OF_A_CLUSTER = 500
NOISE = 0.8  # Length of what each vector adds to its cluster's centre, of length 1.
SKEW = 0.7  # Sizes of clusters fall as rank ** -SKEW.
CHUNK = 100_000


def draw(items: int, queries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw items and queries from one distribution.

    Out: float32 (items + 1, DIM), row 0 zeros, and (queries, DIM), all of length 1.
    """
    rng = np.random.default_rng(seed)
    count = max(items // ITEMS_OF_A_CLUSTER, 1)
    centres = _unit(rng.normal(size=(count, DIM)))
    shares = np.arange(1, count + 1) ** -SKEW
    shares /= shares.sum()

    def some(number: int) -> np.ndarray:
        near = centres[rng.choice(count, number, p=shares)]
        return _unit(near + NOISE / np.sqrt(DIM) * rng.normal(size=near.shape))

    parts = [some(min(CHUNK, items - i)) for i in range(0, items, CHUNK)]
    return np.concatenate([np.zeros((1, DIM), np.float32), *parts]), some(queries)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)
