"""Ways to score some partitions of a table: `python -m benchmarks.index.variants`.

What `partitioned` was chosen from; calls in turns, of one query each.
"""

import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import tensorflow as tf

from benchmarks.index.vectors import DIM
from data.console import say
from trainer.models.index.base import top_places

PROBES, ROWS = 16, 1_024
K = 101

Score = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # A query and probes to scores.


def sliced(table: tf.Variable, product: str = "row") -> Score:
    """Slices without a copy, each cast to float32 and scored by itself."""

    def score(query: tf.Tensor, probes: tf.Tensor) -> tf.Tensor:
        whole = tf.convert_to_tensor(table)
        begins = tf.stack([probes * ROWS, tf.zeros_like(probes)], axis=1)
        parts = [
            tf.cast(tf.slice(whole, begin, [ROWS, DIM]), tf.float32)
            for begin in tf.unstack(begins, PROBES)
        ]
        if product == "row":
            found = [tf.matmul(query, part, transpose_b=True) for part in parts]
        elif product == "column":
            found = [tf.matmul(part, query, transpose_b=True) for part in parts]
        else:
            found = [tf.reduce_sum(part * query, axis=1) for part in parts]
        return tf.reshape(tf.stack(found), [1, -1])

    return score


def gathered(table: tf.Variable) -> Score:
    """A copy of all partitions, cast to float32, and one product."""

    def score(query: tf.Tensor, probes: tf.Tensor) -> tf.Tensor:
        whole = tf.reshape(tf.convert_to_tensor(table), [-1, ROWS, DIM])
        parts = tf.cast(tf.gather(whole, probes), tf.float32)
        parts = tf.reshape(parts, [-1, DIM])
        return tf.matmul(query, parts, transpose_b=True)

    return score


def looped(table: tf.Variable) -> Score:
    """Slices without a copy in a loop of the graph, four at a time."""

    def score(query: tf.Tensor, probes: tf.Tensor) -> tf.Tensor:
        whole = tf.convert_to_tensor(table)

        def one(probe: tf.Tensor) -> tf.Tensor:
            part = tf.slice(whole, tf.stack([probe * ROWS, 0]), [ROWS, DIM])
            return tf.matmul(query, part, transpose_b=True)[0]

        signature = tf.TensorSpec([ROWS], tf.float32)
        found = tf.map_fn(
            one, probes, fn_output_signature=signature, parallel_iterations=4
        )
        return tf.reshape(found, [1, -1])

    return score


def first_pass(table: tf.Variable, reduced: tf.Variable) -> Score:
    """Half of the dimensions first, then the best tenth with all of them."""

    def score(query: tf.Tensor, probes: tf.Tensor) -> tf.Tensor:
        whole, half = tf.convert_to_tensor(table), tf.convert_to_tensor(reduced)
        begins = tf.stack([probes * ROWS, tf.zeros_like(probes)], axis=1)
        parts = [
            tf.matmul(
                query[:, : DIM // 2],
                tf.slice(half, begin, [ROWS, DIM // 2]),
                transpose_b=True,
            )
            for begin in tf.unstack(begins, PROBES)
        ]
        _, at = top_places(tf.concat(parts, axis=1), tf.constant(10 * K))
        rows = tf.gather(probes, at[0] // ROWS) * ROWS + at[0] % ROWS
        return tf.matmul(query, tf.gather(whole, rows), transpose_b=True)

    return score


def variants(vectors: np.ndarray) -> dict[str, Score]:
    """Return the ways by what they are called in docs/index.md."""

    def stored(dtype: Any) -> tf.Variable:
        if dtype == tf.int8:
            return tf.Variable((127 * vectors).astype(np.int8), trainable=False)
        return tf.Variable(tf.cast(vectors, dtype), trainable=False)

    plain, brain = stored(tf.float32), stored(tf.bfloat16)
    half, small = stored(tf.float16), stored(tf.int8)
    reduced = tf.Variable(vectors[:, : DIM // 2], trainable=False)
    return {
        "slices, row product": sliced(plain),
        "slices, column product": sliced(plain, "column"),
        "slices, product and sum": sliced(plain, "sum"),
        "slices in a loop of the graph": looped(plain),
        "slices, bfloat16 cast": sliced(brain),
        "slices, float16 cast": sliced(half),
        "slices, int8 cast": sliced(small),
        "32 dimensions first, then 1,010 rows exactly": first_pass(plain, reduced),
        "gathered": gathered(plain),
        "gathered, bfloat16 cast": gathered(brain),
        "gathered, float16 cast": gathered(half),
        "gathered, int8 cast": gathered(small),
        "nothing: a call alone": lambda query, probes: query,
    }


@click.command()
@click.option("--items", default=600_000, show_default=True)
@click.option("--calls", default=150, show_default=True)
def main(items: int, calls: int) -> None:
    """Time the ways on random vectors."""
    rng = np.random.default_rng(0)
    count = items // ROWS
    vectors = rng.normal(size=(count * ROWS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ways = {
        name: tf.function(score, autograph=False, reduce_retracing=True)
        for name, score in variants(vectors).items()
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(calls):
        query = tf.constant(rng.normal(size=(1, DIM)).astype(np.float32))
        for name, way in ways.items():
            # Others for each: what one way has just read is in the cache for the next.
            chosen = rng.choice(count, PROBES, replace=False).astype(np.int32)
            probes = tf.constant(chosen)
            start = time.perf_counter()
            way(query, probes)
            times[name].append(1e3 * (time.perf_counter() - start))
    say("| way | median, ms | least, ms |\n|---|---|---|")
    for name, values in times.items():
        say(f"| {name} | {np.median(values[5:]):.2f} | {min(values):.2f} |")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.index.variants")
