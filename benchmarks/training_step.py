"""The rule that the input never holds up training: fed steps against cached ones.

Both kinds take the very same batches, in turns, through the step that Keras runs;
"cached" ones lie in memory, the others come out of the pipeline as they are needed.
`python -m benchmarks.training_step PREPARED` feeds them from the shards on disk.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np
import tensorflow as tf

from benchmarks.measure import Spread, cost_of
from benchmarks.ways import BATCH_SIZE, LENGTH, SEED, event_batches
from data.console import say
from data.events import Stretch
from data.pipelines import Batches
from data.prepared import Prepared
from data.streaming import streamed_batches
from trainer.config import RetrievalConfig, TrainConfig
from trainer.models.retrieval import RetrievalModel
from trainer.models.towers import Texts

TEXT_DIM = 384  # What the default text preset gives; its vectors are a table.
WARM_PAIRS = 2

Train = Callable[[Any], dict[str, tf.Tensor]]


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """Milliseconds a step, fed over cached, and the wait before an epoch's batches."""

    fed_ms: Spread
    cached_ms: Spread
    ratio: Spread
    cpu_ratio: float
    pairs: int
    epoch_wait_ms: Spread
    steps_per_epoch: int

    @property
    def ratio_with_wait(self) -> float:
        """Return the ratio over an epoch, the wait before its first batch included."""
        cached_ms = self.steps_per_epoch * self.cached_ms.median
        return self.ratio.median + self.epoch_wait_ms.median / cached_ms


def step_times(
    prepared: Prepared, rounds: int, pairs: int, *, batches: Batches | None = None
) -> StepTimes:
    """Time steps in pairs, each on one batch, fed and cached first by turns.

    In: `batches`: what feeds, of windows; those of all events in memory without it.
    Out: medians are over all pairs, ranges over the rounds' medians; `cpu_ratio` is
    of the sums over all threads.
    """
    batches = event_batches(prepared.events) if batches is None else batches
    train = _train_function(prepared, batches)
    waits: list[float] = []
    timed = []
    for number in range(rounds):
        kept = _kept(batches.epoch(number).take(1 + WARM_PAIRS + pairs))
        fed, wait = cost_of(functools.partial(_start_epoch, batches, number))
        waits.append(1e3 * wait.wall_s)
        timed.append(_timed_pairs(train, fed, _started(kept), pairs))
    costs = np.array(timed)  # (rounds, pairs, fed or cached, wall or CPU) seconds
    wall = costs[..., 0]
    return StepTimes(
        fed_ms=_spread(1e3 * wall[..., 0]),
        cached_ms=_spread(1e3 * wall[..., 1]),
        ratio=_spread(wall[..., 0] / wall[..., 1]),
        cpu_ratio=float(np.divide(*costs[..., 1].sum((0, 1)))),
        pairs=wall[..., 0].size,
        epoch_wait_ms=Spread.of(waits),
        steps_per_epoch=batches.num_batches,
    )


def _spread(values: np.ndarray) -> Spread:
    by_round = Spread.of(np.median(values, axis=1).tolist())
    return replace(by_round, median=float(np.median(values)))


def _train_function(prepared: Prepared, batches: Batches) -> Train:
    config = RetrievalConfig()
    vectors = np.random.default_rng(SEED).normal(
        size=(prepared.num_items + 1, TEXT_DIM)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tf.keras.utils.set_random_seed(SEED)
    model = RetrievalModel(
        prepared=prepared,
        log=prepared.events,
        texts=Texts(vectors=vectors.astype(np.float32)),
        config=config,
        train=TrainConfig(),
    )
    model.compute_loss(batches.sample(), training=False)
    model.compile(optimizer=tf.keras.optimizers.Adam(config.learning_rate))
    model.optimizer.build(model.own_variables())
    train: Train = model.make_train_function()
    train(iter(batches.epoch(0)))  # Traces the step.
    return train


def _kept(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return batches of one shape as a dataset that lies in memory."""
    batches = list(dataset)
    stacked = {name: tf.stack([b[name] for b in batches]) for name in batches[0]}
    return tf.data.Dataset.from_tensor_slices(stacked)


def _start_epoch(batches: Batches, number: int) -> Iterator[Any]:
    return _started(batches.epoch(number))


def _started(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Return an iterator whose first batch has come and gone."""
    iterator = iter(dataset)
    next(iterator)
    return iterator


def _timed_pairs(
    train: Train, fed: Iterator[Any], cached: Iterator[Any], pairs: int
) -> list[list[tuple[float, float]]]:
    """Return (fed, cached) by pair, each (wall, CPU) seconds.

    A step takes its batch first, so the pipeline makes the next one, which is far
    quicker than a step, while a fed step runs and not while a cached one does.
    """
    costs = []
    for number in range(WARM_PAIRS + pairs):
        pair = [(0.0, 0.0), (0.0, 0.0)]
        turns = [(0, fed), (1, cached)]
        for place, source in turns if number % 2 else turns[::-1]:
            _, cost = cost_of(functools.partial(_step, train, source))
            pair[place] = (cost.wall_s, cost.cpu_s)
        costs.append(pair)
    return costs[WARM_PAIRS:]


def _step(train: Train, batches: Iterator[Any]) -> float:
    return float(train(batches)["loss"])  # The training loop reads it each time too.


@click.command()
@click.argument("prepared")
@click.option("--rounds", default=4, show_default=True, help="Epochs begun.")
@click.option("--pairs", default=25, show_default=True, help="Of steps in each.")
def main(prepared: str, rounds: int, pairs: int) -> None:
    """Time steps that are fed from a prepared set's shards."""
    opened = Prepared.load(prepared)
    streamed = streamed_batches(
        opened.shards(), Stretch(), max_length=LENGTH, batch_size=BATCH_SIZE, seed=SEED
    )
    times = step_times(opened, rounds, pairs, batches=streamed)
    say(f"fed {times.fed_ms.text(1)} ms a step, {times.pairs} pairs")
    say(f"cached {times.cached_ms.text(1)} ms")
    say(f"ratio {times.ratio.text(3)}, of CPU time {times.cpu_ratio:.3f}")
    say(f"wait for an epoch's first batch {times.epoch_wait_ms.text()} ms")
    say(f"ratio with that wait {times.ratio_with_wait:.3f}")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.training_step")
