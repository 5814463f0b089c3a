"""Chooses and builds an index of the wanted kind for a catalogue."""

import numpy as np

from trainer.config import IndexKind
from trainer.models.index.base import Index
from trainer.models.index.brute_force import BruteForce
from trainer.models.index.scann import Scann, is_available

SCANN_NEEDS = 17  # It trains 16 clusters, and with fewer items it raises.


def build_index(kind: IndexKind, vectors: np.ndarray, servable: np.ndarray) -> Index:
    """Build an index; exact search where ScaNN is absent or the catalogue too small.

    In: `vectors` float32 (items + 1, dim), of length 1; `servable` bool (items + 1,).
    """
    if kind == "scann" and is_available() and servable.sum() >= SCANN_NEEDS:
        return Scann(vectors, servable)
    return BruteForce(vectors, servable)
