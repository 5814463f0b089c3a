"""Writes the shards of a prepared data set, several processes at a time.

A shard holds all events of a run of users, in their final order. Its size is bounded,
and so is the memory of whoever writes or reads one.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import files
from data.console import progress
from data.errors import DataError
from data.events import TRAIN, count_before
from data.features import Feature, merge_moments, moments
from data.prepare.staging import Blocks, Staged
from data.split import Parting, final_order

SHARD_EVENTS = 2_000_000
ROW_GROUP_EVENTS = 1 << 19
CONTEXT_PREFIX = "context."
_EVENT_COLUMNS = ("user", "item", "time", "label", "weight", "positive")
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of events: those of the users [first, end)."""

    path: str
    first: int
    end: int


@dataclass(kw_only=True)
class Written:
    """What stands in shards.

    `parts`: events of TRAIN, VALIDATION, TEST and FOLD_IN. `first`, `last`: times.
    `context`: of training, by categorical column how often each provisional code
    stands there, int64; by numeric column its `moments`, float64.
    """

    parts: np.ndarray = field(default_factory=lambda: np.zeros(4, np.int64))
    positives: int = 0
    first: int = np.iinfo(np.int64).max
    last: int = np.iinfo(np.int64).min
    context: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, other: "Written") -> None:
        """Count another shard in."""
        self.parts = self.parts + other.parts
        self.positives += other.positives
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        for name, found in other.context.items():
            known = self.context.get(name)
            if known is None:
                self.context[name] = found
            elif found.dtype == np.float64:
                self.context[name] = merge_moments(known, found)
            else:
                self.context[name] = known + found


def plan_shards(out: str, stem: str, user_counts: np.ndarray) -> list[Shard]:
    """Share out users so that no shard holds many more events than its bound.

    In: `user_counts`: int64 (users + 1,). Out: shards of one event or more, or the one
    shard of no events at all.
    """
    ends = np.cumsum(user_counts)
    wanted = max(1, -(-int(ends[-1]) // SHARD_EVENTS))
    shares = ends[-1] * np.arange(1, wanted) / wanted
    # A user of very many events reaches over several shares, and takes one shard.
    bounds = np.unique(ends[np.searchsorted(ends, shares)])
    firsts = np.searchsorted(ends, bounds[bounds < ends[-1]]) + 1
    firsts = np.r_[1, firsts, len(user_counts)]
    number = len(firsts) - 1
    return [
        Shard(
            path=files.join(out, f"{stem}-{i:05d}-of-{number:05d}.parquet"),
            first=int(firsts[i]),
            end=int(firsts[i + 1]),
        )
        for i in range(number)
    ]


def write_events(blocks: Blocks, parting: Parting, shards: list[Shard]) -> Written:
    """Write all shards; context columns stay raw until `encode_context`.

    Raises: DataError when a part would be empty.
    """
    total = Written()
    work = partial(_write_shard, blocks, parting)
    for written in _in_processes("Writing the events", work, shards):
        total.add(written)
    for part, name in ((0, "train"), (1, "validation"), (2, "test")):
        if total.parts[part] == 0:
            raise DataError(
                f"[data.split] {parting.split.kind}: no event falls into {name}. "
                f"{_ADVICE.get(parting.split.kind, '')}Take another kind of split."
            )
    return total


_ADVICE = {"leave_one_out": "It needs users of three events or more. "}


def _write_shard(blocks: Blocks, parting: Parting, shard: Shard) -> Written:
    contexts = blocks.config.interactions.of_role("context")
    names = [*_EVENT_COLUMNS, *(f"context.{name}" for name in contexts)]
    columns = _gather(blocks, shard, "kept", names)
    keys = (columns[name] for name in ("user", "item", "time", "place"))
    order = final_order(parting.split, *keys)
    columns = {name: values[order] for name, values in columns.items()}
    user, time, positive = columns["user"], columns["time"], columns["positive"]
    part = parting.part(user, columns["item"], time, columns["place"])
    events = {
        "user": user,
        "item": columns["item"],
        "time": time,
        "label": columns["label"],
        "positive": positive,
        "weight": columns["weight"],
        "part": part,
        "before": count_before(user, time),
    }
    trains = part == TRAIN
    if parting.train_end is not None:
        trains &= time < parting.train_end
    written = Written(
        parts=np.bincount(part, minlength=4),
        positives=int(positive.sum()),
        first=int(time.min()),
        last=int(time.max()),
    )
    for name in contexts:
        events[CONTEXT_PREFIX + name] = columns[f"context.{name}"]
        written.context[name] = _context_counts(
            blocks, name, columns[f"context.{name}"][trains]
        )
    write_table(shard.path, events)
    return written


def _gather(
    blocks: Blocks, shard: Shard, mask: str, names: Iterable[str]
) -> dict[str, np.ndarray]:
    """Collect a shard's rows from all blocks, in the file's order, and their places."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in [*names, "place"]}
    place = 0
    for block in range(blocks.num_blocks):
        user = blocks.column(block, "user")
        wanted = np.flatnonzero(
            (user >= shard.first) & (user < shard.end) & blocks.column(block, mask)
        )
        for name in names:
            parts[name].append(blocks.column(block, name)[wanted])
        parts["place"].append(wanted + place)
        place += len(user)
    return {name: np.concatenate(column) for name, column in parts.items()}


def _context_counts(blocks: Blocks, name: str, values: np.ndarray) -> np.ndarray:
    if name in blocks.num_values:
        # Provisional codes; -1, no value, is not counted.
        return np.bincount(values[values >= 0], minlength=blocks.num_values[name])
    return moments(values)


def encode_context(
    staged: Staged, features: Iterable[Feature], shards: list[Shard]
) -> None:
    """Replace the raw context columns of all shards by their codes."""
    tables = {f.name: _code_table(staged, f) for f in features}
    if not tables:
        return
    work = partial(_encode_shard, tables)
    for _ in _in_processes("Encoding the context", work, shards):
        pass


def _code_table(staged: Staged, feature: Feature) -> Any:
    """Return the codes of a column's values by provisional code, or the feature."""
    if feature.name not in staged.contexts:
        return feature
    ids = staged.contexts[feature.name]
    codes = feature.encode(ids.values.to_pandas())
    return np.r_[np.int32(0), codes][ids.rows()].astype(np.int32)


def _encode_shard(tables: dict[str, Any], shard: Shard) -> None:
    with files.open_file(shard.path) as file:
        read = pq.read_table(file)
    columns = {
        name: read[name].to_numpy()
        for name in read.column_names
        if not name.startswith(CONTEXT_PREFIX)
    }
    for name, table in tables.items():
        raw = read[CONTEXT_PREFIX + name].to_numpy()
        is_table = isinstance(table, np.ndarray)
        codes = table[raw] if is_table else table.encode_numbers(raw)
        columns[CONTEXT_PREFIX + name] = codes
    write_table(shard.path, columns)


def write_impressions(blocks: Blocks, out: str, stem: str, num_users: int) -> int:
    """Write shards of what was shown and not chosen. Out: how many there are."""
    counts = np.zeros(num_users + 1, np.int64)
    for block in range(blocks.num_blocks):
        shown = blocks.column(block, "known") & blocks.column(block, "shown")
        blocks.save(block, "impression", shown)
        users = blocks.column(block, "user")[shown]
        counts += np.bincount(users, minlength=num_users + 1)
    shards = plan_shards(out, stem, counts)
    work = partial(_write_impressions, blocks)
    for _ in _in_processes("Writing the impressions", work, shards):
        pass
    return int(counts.sum())


def _write_impressions(blocks: Blocks, shard: Shard) -> None:
    names = ("user", "item", "time")
    columns = _gather(blocks, shard, "impression", names)
    order = np.lexsort((columns["place"], columns["time"], columns["user"]))
    write_table(shard.path, {name: columns[name][order] for name in names})


def write_table(path: str, columns: Mapping[str, np.ndarray | pa.Array]) -> None:
    """Write columns, (n,) or (n, width), as Parquet."""
    with files.open_file(path, "wb") as file:
        pq.write_table(arrow_table(columns), file, row_group_size=ROW_GROUP_EVENTS)


def arrow_table(columns: Mapping[str, np.ndarray | pa.Array]) -> pa.Table:
    """Return columns, (n,) or (n, width), as Parquet holds them."""
    return pa.table({name: _to_arrow(values) for name, values in columns.items()})


def _to_arrow(values: np.ndarray | pa.Array) -> pa.Array:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(
            pa.array(values.ravel()), values.shape[1]
        )
    return values if isinstance(values, pa.Array) else pa.array(values)


def _in_processes(title: str, work: Callable[[T], R], items: list[T]) -> Iterator[R]:
    """Do independent pieces of work, several at once where there are several."""
    workers = min(len(items), len(os.sched_getaffinity(0)))
    if workers == 1:
        for item in items:
            yield work(item)
        return
    # A fork of a process that runs TensorFlow's threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_leave_ctrl_c)
    try:
        with progress(title, len(items), least_s=2) as advance:
            for result in pool.map(work, items):
                advance()
                yield result
    except BrokenProcessPool as err:
        raise DataError(
            f"{title}: the system ended one of {workers} processes, most likely for "
            "want of memory. Free some, or give the machine more."
        ) from err
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_ctrl_c() -> None:
    """Let the parent alone answer Ctrl-C, which the terminal sends to all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
