"""What every query of an evaluation got, kept beside the run to compare runs later.

A table of one row a query holds where each model ranked its relevant items, from
which every accuracy metric follows, at any k.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import files
from data.errors import DataError
from data.queries import Targets
from trainer.evaluation.ranks import Ranks
from trainer.evaluation.results import TARGETS, Asked, Evaluation, other_targets

FILE = "per_query.parquet"
_RANKS = "ranks."


@dataclass(frozen=True, kw_only=True)
class PerQuery:
    """Who asked for warm or for cold items, and the ranks by model."""

    asked: Asked
    ranks: dict[str, Ranks]


def write_per_query(folder: str, found: Evaluation) -> None:
    """Write the ranks of an evaluation, whole or not at all.

    Columns: `targets` ("warm" or "cold"), `fold`, `user` (its row), `num_relevant`,
    and for each model `ranks.NAME`, a list of int32, best first, from 1.
    """
    other = other_targets(found.headline)
    groups: dict[Targets, tuple[Asked, dict[str, Ranks]]] = {
        found.headline: (found.asked, {n: m.ranks for n, m in found.models.items()}),
        other: (found.apart, {n: m.apart for n, m in found.models.items()}),
    }
    table = pa.concat_tables(_table(name, *groups[name]) for name in TARGETS)
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    files.write_bytes(files.join(folder, FILE), buffer.getvalue().to_pybytes())


def _table(targets: Targets, asked: Asked, ranks: dict[str, Ranks]) -> pa.Table:
    columns: dict[str, Any] = {
        "targets": pa.array([targets] * len(asked), pa.string()),
        "fold": pa.array(asked.folds, pa.int32()),
        "user": pa.array(asked.users, pa.int32()),
        "num_relevant": pa.array(asked.num_relevant, pa.int32()),
    }
    ends = pa.array(np.cumsum([0, *asked.num_relevant]), pa.int32())
    for name, found in ranks.items():
        values = pa.array(found.rank, pa.int32())
        columns[_RANKS + name] = pa.ListArray.from_arrays(ends, values)
    return pa.table(columns)


def read_per_query(folder: str) -> dict[Targets, PerQuery]:
    """Read what `write_per_query` wrote. Raises: DataError when it is not there."""
    place = files.join(folder, FILE)
    if not files.exists(place):
        raise DataError(
            f"{place}: no such file, expected the answers to each query. The run was "
            "evaluated by an older version; evaluate it again."
        )
    with files.open_file(place) as file:
        table = pq.read_table(file)
    kind = table["targets"].to_numpy(zero_copy_only=False)
    return {name: _group(table.filter(pa.array(kind == name))) for name in TARGETS}


def _group(table: pa.Table) -> PerQuery:
    table = table.combine_chunks()
    asked = Asked(
        users=table["user"].to_numpy(),
        folds=table["fold"].to_numpy(),
        num_relevant=table["num_relevant"].to_numpy().astype(np.int64),
    )
    ranks = {
        name.removeprefix(_RANKS): Ranks.of(
            _flat(table[name]).astype(np.int64), asked.num_relevant
        )
        for name in table.column_names
        if name.startswith(_RANKS)
    }
    return PerQuery(asked=asked, ranks=ranks)


def _flat(lists: pa.ChunkedArray) -> np.ndarray:
    parts = [chunk.flatten().to_numpy() for chunk in lists.chunks]
    return np.concatenate([np.zeros(0, np.int32), *parts])
