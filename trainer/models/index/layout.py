"""The table of a partitioned index, such that a partition is a slice without a copy."""

from dataclasses import dataclass

import numpy as np

from trainer.models.index.base import BLOCK, PADDING_SCORE
from trainer.models.index.partitions import Partitions

# Float32 numbers that make 64 bytes: so many rows end at a multiple of it, whatever
# their width, and TensorFlow slices without a copy only at such places.
ALIGNED = 16


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`table`: float32 (blocks, ALIGNED * dim), of places of `dim` numbers each.

    `rows`: int32 (places,), which row stands at a place, 0 where none does; `places`:
    int32 (items + 1,), the inverse, the last place for what is not indexed; `bounds`:
    int32 (partitions, 2), the first and the number of blocks of each.
    """

    table: np.ndarray
    rows: np.ndarray
    places: np.ndarray
    bounds: np.ndarray
    dim: int


def lay_out(vectors: np.ndarray, partitions: Partitions) -> Layout:
    """Put the rows in the order of their partitions.

    Each partition has zeros behind it up to a multiple of ALIGNED rows. They have
    PADDING_SCORE in a last column, whose factor is 1 in every query: nothing that is
    scored has to be masked.
    """
    blocks = -(-partitions.sizes // ALIGNED)
    starts = np.cumsum(blocks) - blocks
    shifts = np.repeat(starts * ALIGNED - partitions.starts, partitions.sizes)
    at = np.arange(len(partitions.rows)) + shifts
    count = int(blocks.sum()) * ALIGNED + 1
    rows = np.zeros(count + -count % BLOCK, np.int32)
    rows[at] = partitions.rows
    hidden = np.where(rows > 0, 0, PADDING_SCORE).astype(np.float32)
    table = np.where(rows[:, None] > 0, vectors[rows], 0).astype(np.float32)
    table = np.concatenate([table, hidden[:, None]], axis=1)
    places = np.full(len(vectors), len(rows) - 1, np.int32)
    places[partitions.rows] = at
    return Layout(
        table=table.reshape(-1, ALIGNED * table.shape[1]),
        rows=rows,
        places=places,
        bounds=np.stack([starts, blocks], axis=1).astype(np.int32),
        dim=table.shape[1],
    )
