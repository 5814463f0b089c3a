"""Times the recommender in process: `make bench-recommender`.

The SavedModel as a server loads it, one user a call, at two sizes of the catalogue.
Figures go to docs/recommender.json, and its tables into docs/recommender.md.
"""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import tensorflow as tf

from benchmarks.recommender.stages import STAGES, beginnings, steps
from benchmarks.recommender.table import write_tables
from benchmarks.recommender.world import World, build_world
from benchmarks.synthetic_tables import TableSizes
from benchmarks.turns import in_turns
from data.cli import tell_errors
from data.console import say, step
from trainer.export.export import Builder
from trainer.export.manifest import size_of
from trainer.export.servables import RecommenderServable
from trainer.models.index.measure import Latency

RESULTS = Path("docs/recommender.json")
TARGETS_MS = {1_682: 5.0, 1_000_000: 15.0}
USERS = {1_682: 943}  # MovieLens-100K's; else so many that histories are full.
ROWS_OF_A_USER = 106
EXCLUDED = 100

Ask = Callable[[np.ndarray], object]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured at one size. Milliseconds; `load`: of the machine, before.

    `threads`: of one op, 0 if TensorFlow chose.
    """

    items: int
    threads: int
    candidates: int
    index: dict[str, Any]
    bytes: int
    load: float
    empty: Latency
    default: Latency
    with_history: Latency
    stages_ms: dict[str, float]


def measure(items: int, calls: int, overrides: tuple[str, ...]) -> Row:
    """Export a catalogue and time calls of one user each."""
    users = USERS.get(items, 10_000)
    sizes = TableSizes(rows=users * ROWS_OF_A_USER, users=users, items=items)
    with tempfile.TemporaryDirectory() as scratch:
        with step(f"{items:,} items: tables and models"):
            world = build_world(Path(scratch, "world"), sizes, overrides)
        with step(f"{items:,} items: export and load"):
            builder = Builder(world.fitted, world.config, scratch)
            servable = builder.servable("recommender")
            # Keras makes a layer's variables at its first call.
            list(steps(servable, tf.constant(world.users[:1])))
            folder = str(Path(scratch, "recommender"))
            tf.saved_model.save(servable, folder, servable.signatures())
            loaded = tf.saved_model.load(folder)
        load = os.getloadavg()[0]
        asks = _asks(loaded, servable, world)
        with step(f"{items:,} items: {calls} calls"):
            found = in_turns(list(asks.values()), world.users, 1, calls)
        return Row(
            items=items,
            threads=int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0")),
            candidates=world.config.ranking.candidates,
            index=builder.index(builder.kind_of("recommender"))[0].settings(),
            bytes=size_of(folder),
            load=load,
            **_figures(dict(zip(asks, found, strict=True))),
        )


def _asks(loaded: Any, servable: RecommenderServable, world: World) -> dict[str, Ask]:
    default = loaded.signatures["serving_default"]
    with_history = loaded.signatures["with_history"]
    empty = tf.function(
        tf.identity,
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    ids = world.fitted.prepared.item_ids
    length = world.config.retrieval.history_length
    rng = np.random.default_rng(0)

    def ask_with_history(users: np.ndarray) -> object:
        some = ids[rng.integers(1, len(ids), length + EXCLUDED)].astype(str)[None]
        inputs = {
            "user_id": tf.constant(users),
            "history": tf.constant(some[:, :length]),
            "exclude": tf.constant(some[:, length:]),
            "k": tf.constant([world.config.export.k]),
        }
        return with_history(**inputs)["item_id"].numpy()

    asks: dict[str, Ask] = {
        "empty": lambda users: empty(tf.constant(users)).numpy(),
        "default": lambda users: default(user_id=tf.constant(users))["score"].numpy(),
        "with_history": ask_with_history,
    }
    for name, call in beginnings(servable).items():
        asks[name] = lambda users, call=call: call(tf.constant(users))[0].numpy()
    return asks


def _figures(found: dict[str, Latency]) -> dict[str, Any]:
    before, stages = found["empty"].median_ms, {"call": found["empty"].median_ms}
    for name in STAGES:
        stages[name] = found[name].median_ms - before
        before = found[name].median_ms
    calls = {name: found[name] for name in ("empty", "default", "with_history")}
    return {**calls, "stages_ms": stages}


@click.command()
@click.option("--items", multiple=True, type=int, default=tuple(TARGETS_MS))
@click.option("--calls", default=400, show_default=True, help="Of one user each.")
@click.option("--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE")
@tell_errors()
def main(items: tuple[int, ...], calls: int, overrides: tuple[str, ...]) -> None:
    """Time the recommender; rows of other sizes and threads stay in the results."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for count in items:
        row = asdict(measure(count, calls, overrides))
        row["target_ms"] = TARGETS_MS.get(count)
        known = [other for other in known if _subject(other) != _subject(row)] + [row]
        known.sort(key=_subject)
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        say(write_tables(known))


def _subject(row: dict[str, Any]) -> tuple[int, int]:
    return row["items"], row["threads"]


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.recommender")
