"""Examples a second of one input pipeline, in a process of its own.

Run: python -m benchmarks.pipeline_rate WAY PREPARED TABLE.csv FIGURES.json
An example is a positive event that the model is asked for. Ours come with the user's
history; the plain way's are pairs, as in the tutorials of TensorFlow Recommenders.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from benchmarks.ways import BATCH_SIZE, LENGTH, SEED, event_batches
from data import files
from data.events import Stretch
from data.prepared import Prepared
from data.streaming import streamed_batches

BUDGET_S = 60.0
POSITIVE_RATING = 4.0
SHUFFLE_BUFFER, PLAIN_BATCH = 100_000, 8_192


def in_memory(prepared: Path, table: Path) -> tf.data.Dataset:
    """Gather batches by index from the prepared events, which are held."""
    return event_batches(Prepared.load(str(prepared)).events).epoch(0)


def streamed(prepared: Path, table: Path) -> tf.data.Dataset:
    """Gather batches from the prepared shards, of which a few are held at a time."""
    shards = Prepared.load(str(prepared)).shards()
    return streamed_batches(
        shards, Stretch(), max_length=LENGTH, batch_size=BATCH_SIZE, seed=SEED
    ).epoch(0)


def plain(prepared: Path, table: Path) -> tf.data.Dataset:
    """Slice a table of strings row by row and look ids up in the graph."""
    frame = pd.read_csv(table, dtype={"user_id": str, "item_id": str})
    frame = frame[frame["rating"] >= POSITIVE_RATING]
    names = ("user_id", "item_id")
    lookups = {
        name: tf.keras.layers.StringLookup(vocabulary=np.unique(frame[name]))
        for name in names
    }

    def look_up(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        rows = {name: lookups[name](batch[name]) for name in names}
        return {"target": rows["item_id"], "user": rows["user_id"]}

    columns = {name: frame[name].to_numpy(object) for name in names}
    dataset = tf.data.Dataset.from_tensor_slices(columns)
    batches = dataset.shuffle(SHUFFLE_BUFFER, seed=SEED).batch(PLAIN_BATCH)
    return batches.map(look_up, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


WAYS: dict[str, Callable[[Path, Path], tf.data.Dataset]] = {
    "in memory": in_memory,
    "streamed": streamed,
    "plain": plain,
}


def measure(way: str, prepared: Path, table: Path) -> dict[str, float]:
    """Read an epoch, or as much of it as the time allows.

    Out: `open_s`, from the files to the first batch; `examples` after it, `wall_s` and
    `cpu_s` that they took.
    """
    opened = time.perf_counter()
    iterator = iter(WAYS[way](prepared, table))
    next(iterator)
    start, cpu = time.perf_counter(), time.process_time()
    examples = 0
    for batch in iterator:
        examples += int(tf.math.count_nonzero(batch["target"]))
        if time.perf_counter() - start > BUDGET_S:
            break
    return {
        "open_s": start - opened,
        "examples": examples,
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
    }


if __name__ == "__main__":
    chosen, *places, figures = sys.argv[1:]
    files.write_json(figures, measure(chosen, *map(Path, places)))
