"""Compares indexes at one recall: `python -m benchmarks.index`, or `make bench-index`.

Calls are made in turns, so that what else the machine does meets all alike. Figures go
to docs/index.json, and its table into docs/index.md.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from benchmarks.index import subjects
from benchmarks.index.subjects import Ask, Subject
from benchmarks.index.table import write_table
from benchmarks.index.vectors import draw
from benchmarks.measure import cost_of
from benchmarks.turns import in_turns
from data.cli import tell_errors
from data.console import say
from trainer.config import IndexKind
from trainer.models.index.measure import Latency
from trainer.models.index.truth import exact_answers, recall

SEED = 42
K, BATCH = 100, 64
TUNING, ASKED = 512, 512
RECALL = 0.97
MARGIN = (1 - RECALL) / 4  # What our indexes tune with, for the peers too.
RESULTS = Path("docs/index.json")
PEERS = {
    "faiss_ivf": subjects.faiss_ivf,
    "faiss_hnsw": subjects.faiss_hnsw,
    "hnswlib": subjects.hnswlib_graph,
}
NAMES = (*get_args(IndexKind), *PEERS)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table."""

    items: int
    name: str
    recall: float
    single: Latency
    batched: Latency
    build_s: float
    bytes: int
    settings: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Vectors, and queries with the scores of their exact answers."""

    vectors: np.ndarray
    tuning: np.ndarray
    asked: np.ndarray
    tuning_truth: np.ndarray
    asked_truth: np.ndarray

    @classmethod
    def of(cls, items: int) -> "Data":
        """Draw them, and ask brute force."""
        vectors, queries = draw(items, TUNING + ASKED, SEED)
        servable = np.arange(items + 1) > 0
        _, truth = exact_answers(vectors, servable, queries, K)
        return cls(
            vectors=vectors,
            tuning=queries[:TUNING],
            asked=queries[TUNING:],
            tuning_truth=truth[:TUNING],
            asked_truth=truth[TUNING:],
        )

    def recall(self, ask: Ask, *, tuning: bool = False) -> float:
        """Return the recall of what a subject answers."""
        queries = self.tuning if tuning else self.asked
        truth = self.tuning_truth if tuning else self.asked_truth
        parts = [ask(queries[i : i + BATCH]) for i in range(0, len(queries), BATCH)]
        rows = np.concatenate(parts)
        scores = [v @ q for v, q in zip(self.vectors[rows], queries, strict=True)]
        return recall(rows, np.stack(scores), truth)


def build(name: str, data: Data) -> tuple[Subject, float]:
    """Build and tune a subject. Out: with the seconds that took."""

    def enough(ask: Ask) -> bool:
        return data.recall(ask, tuning=True) >= RECALL + MARGIN

    make: Callable[[], Subject]
    if name in PEERS:
        make = partial(PEERS[name], data.vectors, K, enough)
    else:
        kind: Any = name
        make = partial(subjects.ours, kind, data.vectors, data.tuning, K, RECALL)
    subject, cost = cost_of(make)
    return subject, cost.wall_s


def compare(items: int, names: Sequence[str], calls: int) -> list[Row]:
    """Measure subjects on one catalogue."""
    data = Data.of(items)
    built = {}
    for name in names:
        built[name] = build(name, data)
        say(f"{items:,} items: {name} built in {built[name][1]:.0f} s")
    asks = [subject.ask for subject, _ in built.values()]
    single = in_turns(asks, data.asked, 1, calls)
    batched = in_turns(asks, data.asked, BATCH, max(calls // 10, 2))
    return [
        Row(
            items=items,
            name=name,
            recall=data.recall(subject.ask),
            single=single[number],
            batched=batched[number],
            build_s=seconds,
            bytes=subject.size,
            settings=subject.settings,
        )
        for number, (name, (subject, seconds)) in enumerate(built.items())
    ]


@click.command()
@click.option("--items", multiple=True, type=int, default=(100_000, 1_000_000))
@click.option("--only", multiple=True, type=click.Choice(NAMES), default=NAMES)
@click.option("--calls", default=300, show_default=True, help="Of one query each.")
@tell_errors()
def main(items: tuple[int, ...], only: tuple[str, ...], calls: int) -> None:
    """Compare indexes; rows of other sizes stay in the results."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for count in items:
        rows = [asdict(row) for row in compare(count, only, calls)]
        known = [row for row in known if row["items"] != count] + rows
        known.sort(key=lambda row: row["items"])
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        say(write_table(known))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.index")
