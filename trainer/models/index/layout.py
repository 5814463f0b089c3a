"""The table of a partitioned index, such that a partition is a slice without a copy."""

from dataclasses import dataclass

import numpy as np

from trainer.config import TableDtype
from trainer.models.index.base import BLOCK
from trainer.models.index.partitions import Partitions

# TensorFlow slices without a copy only at multiples of so many bytes. As many rows as
# make it with one column end at one, whatever their width.
ALIGNED_BYTES = 64
HIDDEN = -1.0  # Times -PADDING_SCORE is PADDING_SCORE, exactly, in any float.


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`table`: (blocks, aligned * dim), of places of `dim` numbers each.

    `rows`: int32 (places,), which row stands at a place, 0 where none does; `places`:
    int32 (items + 1,), the inverse, the last place for what is not indexed; `bounds`:
    int32 (partitions, 2), the first and the number of blocks of each; `aligned`: rows
    of a block.
    """

    table: np.ndarray
    rows: np.ndarray
    places: np.ndarray
    bounds: np.ndarray
    dim: int
    aligned: int


def lay_out(
    vectors: np.ndarray, partitions: Partitions, dtype: TableDtype = "float32"
) -> Layout:
    """Put the rows in the order of their partitions.

    Each partition has zeros behind it up to a whole block. They have HIDDEN in a last
    column, whose factor is -PADDING_SCORE in every query: nothing that is scored has
    to be masked.
    """
    aligned = ALIGNED_BYTES // np.dtype(dtype).itemsize
    blocks = -(-partitions.sizes // aligned)
    starts = np.cumsum(blocks) - blocks
    shifts = np.repeat(starts * aligned - partitions.starts, partitions.sizes)
    at = np.arange(len(partitions.rows)) + shifts
    count = int(blocks.sum()) * aligned + 1
    rows = np.zeros(count + -count % BLOCK, np.int32)
    rows[at] = partitions.rows
    hidden = np.where(rows > 0, 0, HIDDEN).astype(dtype)
    table = np.where(rows[:, None] > 0, vectors[rows], 0).astype(dtype)
    table = np.concatenate([table, hidden[:, None]], axis=1)
    places = np.full(len(vectors), len(rows) - 1, np.int32)
    places[partitions.rows] = at
    return Layout(
        table=table.reshape(-1, aligned * table.shape[1]),
        rows=rows,
        places=places,
        bounds=np.stack([starts, blocks], axis=1).astype(np.int32),
        dim=table.shape[1],
        aligned=aligned,
    )
