"""Rows put into an order without holding them: they wait on the disk."""

import mmap
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

_BLOCK_ROWS = 1 << 16


def write_ordered(
    path: Path, columns: Sequence[str], rows: Iterable[tuple[int, bytes]]
) -> None:
    """Write a table whose rows come in any order.

    In: `rows`: a key and the row's bytes, line feed included. The keys and places,
    16 bytes a row, are all that is held. Out: rows by key, ties as they came.
    """
    waiting = path.with_name(f"{path.name}.waiting")
    keys, ends = array("q"), array("q", [0])
    with open(waiting, "wb") as file:
        for key, row in rows:
            file.write(row)
            keys.append(key)
            ends.append(ends[-1] + len(row))
    order = np.argsort(np.frombuffer(keys, np.int64), kind="stable")
    with open(path, "wb") as target:
        target.write((",".join(columns) + "\n").encode())
        if len(order):
            _copy(waiting, target, np.frombuffer(ends, np.int64), order)
    waiting.unlink()


def _copy(source: Path, target: IO[bytes], ends: np.ndarray, order: np.ndarray) -> None:
    with (
        open(source, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as rows,
    ):
        for first in range(0, len(order), _BLOCK_ROWS):
            block = order[first : first + _BLOCK_ROWS]
            places = zip(ends[block].tolist(), ends[block + 1].tolist(), strict=True)
            target.write(b"".join([rows[start:end] for start, end in places]))
