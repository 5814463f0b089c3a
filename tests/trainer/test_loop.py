"""A fit: interrupted anywhere it ends as if it had not been."""

import json
import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data.pipelines import Batch, EpochBatches, array_batches
from trainer.errors import TrainingError
from trainer.fitting.loop import Fit, Schedule, fit
from trainer.models.base import CountedModel
from trainer.models.seeded import Step

EPOCHS, BATCHES = 3, 4


class Toy(CountedModel):
    """A line through points, with dropout: all that a fit needs of a model."""

    def __init__(self) -> None:
        super().__init__(Step(seed=5), clip_norm=1.0)
        self.line = tf.keras.layers.Dense(1, kernel_initializer="ones")

    def compute_loss(
        self, inputs: Mapping[str, tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        x = inputs["x"]
        if training:
            x = self.step.dropout(x, 0.5, "x")
        return tf.reduce_mean((self.line(x)[:, 0] - inputs["y"]) ** 2)

    def numbers(self) -> list[float]:
        return np.concatenate([w.ravel() for w in self.line.get_weights()]).tolist()


@pytest.fixture(scope="module")
def batches() -> EpochBatches:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = (x @ [1.0, -2.0, 0.5]).astype(np.float32)
    made = array_batches({"x": x, "y": y}, batch_size=16, seed=2)
    assert made.num_batches == BATCHES
    return made


SCHEDULE = Schedule(epochs=EPOCHS, patience=EPOCHS, learning_rate=0.05)


def run(
    batches: EpochBatches, folder: Path, schedule: Schedule = SCHEDULE
) -> tuple[Toy, Fit]:
    model = Toy()
    places = {"folder": str(folder / "fit"), "logs": str(folder / "logs")}
    return model, fit(model, batches, schedule, title="Training", **places)


@pytest.fixture(scope="module")
def undisturbed(
    batches: EpochBatches, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Toy, Fit]:
    return run(batches, tmp_path_factory.mktemp("undisturbed"))


@contextmanager
def interrupted_after(number: int, kind: int = signal.SIGINT) -> Iterator[None]:
    """Send a signal at the end of a batch, counted over all epochs."""

    @contextmanager
    def progress(title: str, total: float) -> Iterator[Callable[..., None]]:
        done = 0.0

        def advance(amount: float = 1, note: str = "") -> None:
            nonlocal done
            done += amount
            if amount == 1 and done == number:
                signal.raise_signal(kind)

        yield advance

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.fitting.loop.progress", progress)
        yield


@pytest.mark.parametrize("number", range(1, EPOCHS * BATCHES + 1))
def test_interrupted_anywhere_it_ends_the_same(
    batches: EpochBatches,
    undisturbed: tuple[Toy, Fit],
    tmp_path: Path,
    number: int,
) -> None:
    with interrupted_after(number), pytest.raises(KeyboardInterrupt):
        run(batches, tmp_path)
    state = json.loads((tmp_path / "fit" / "state.json").read_text())
    assert state["ended"] is False
    taken = state["epoch"] * BATCHES + state["batch"]
    assert taken == number
    model, result = run(batches, tmp_path)
    assert model.numbers() == undisturbed[0].numbers()
    assert int(model.step.value) == EPOCHS * BATCHES
    assert result.best_epoch == undisturbed[1].best_epoch


def test_interrupted_at_every_batch(
    batches: EpochBatches, undisturbed: tuple[Toy, Fit], tmp_path: Path
) -> None:
    for number in range(1, EPOCHS * BATCHES, 2):
        with interrupted_after(number), pytest.raises(KeyboardInterrupt):
            run(batches, tmp_path)
    model, _ = run(batches, tmp_path)
    assert model.numbers() == undisturbed[0].numbers()


def test_sigterm_is_no_different(
    batches: EpochBatches, undisturbed: tuple[Toy, Fit], tmp_path: Path
) -> None:
    with interrupted_after(5, signal.SIGTERM), pytest.raises(KeyboardInterrupt):
        run(batches, tmp_path)
    assert run(batches, tmp_path)[0].numbers() == undisturbed[0].numbers()


def test_handlers_are_put_back(batches: EpochBatches, tmp_path: Path) -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with interrupted_after(2), pytest.raises(KeyboardInterrupt):
        run(batches, tmp_path)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_folder_may_move_between_two_runs(
    batches: EpochBatches, undisturbed: tuple[Toy, Fit], tmp_path: Path
) -> None:
    with interrupted_after(6), pytest.raises(KeyboardInterrupt):
        run(batches, tmp_path / "here")
    os.rename(tmp_path / "here", tmp_path / "there")
    model, _ = run(batches, tmp_path / "there")
    assert model.numbers() == undisturbed[0].numbers()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_crash_while_saving(
    batches: EpochBatches, undisturbed: tuple[Toy, Fit], tmp_path: Path, number: int
) -> None:
    """Between the checkpoint and the note of where it stands, say, power fails."""
    from data import files

    written = 0

    def write_json(path: str, value: object) -> None:
        nonlocal written
        written += 1
        if written == number:
            raise OSError("power failed")
        real(path, value)

    real = files.write_json
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "write_json", write_json)
        with pytest.raises(OSError, match="power failed"):
            run(batches, tmp_path)
    model, _ = run(batches, tmp_path)
    assert model.numbers() == undisturbed[0].numbers()


def test_what_has_ended_is_taken_up(
    batches: EpochBatches, undisturbed: tuple[Toy, Fit], tmp_path: Path
) -> None:
    first, result = run(batches, tmp_path)

    def never() -> float:
        raise AssertionError("validated again")

    again, same = run(batches, tmp_path, replace(SCHEDULE, validate=never))
    assert same == result
    assert again.numbers() == first.numbers() == undisturbed[0].numbers()
    assert int(again.step.value) == EPOCHS * BATCHES


def validating(values: list[float], patience: int) -> Schedule:
    left = iter(values)
    return Schedule(
        epochs=len(values),
        patience=patience,
        learning_rate=0.05,
        validate=lambda: next(left),
    )


def test_the_best_epoch_is_kept(
    batches: EpochBatches, undisturbed: tuple[Toy, Fit], tmp_path: Path
) -> None:
    schedule = validating([0.1, 0.2, 0.5, 0.4, 0.3], patience=9)
    model, result = run(batches, tmp_path, schedule)
    assert (result.best_epoch, result.best) == (3, 0.5)
    assert [row["val_ndcg@10"] for row in result.curve] == [0.1, 0.2, 0.5, 0.4, 0.3]
    assert [row["epoch"] for row in result.curve] == [1, 2, 3, 4, 5]
    # The third epoch is where the undisturbed fit ended.
    assert model.numbers() == undisturbed[0].numbers()


def test_the_last_epoch_is_kept_where_that_is_wanted(
    batches: EpochBatches, undisturbed: tuple[Toy, Fit], tmp_path: Path
) -> None:
    schedule = replace(validating([0.1, 0.5, 0.4], patience=1), keeps_last=True)
    model, result = run(batches, tmp_path, schedule)
    assert (result.best_epoch, result.best, len(result.curve)) == (3, 0.4, 3)
    assert model.numbers() == undisturbed[0].numbers()


def test_patience_runs_out(batches: EpochBatches, tmp_path: Path) -> None:
    schedule = validating([0.1, 0.5, 0.4, 0.5, 0.9], patience=2)
    _, result = run(batches, tmp_path, schedule)
    assert result.best_epoch == 2  # An equal value is no improvement.
    assert len(result.curve) == 4


def test_patience_counts_over_an_interruption(
    batches: EpochBatches, tmp_path: Path
) -> None:
    values = [0.1, 0.5, 0.4, 0.3, 0.9]
    with interrupted_after(3 * BATCHES + 1), pytest.raises(KeyboardInterrupt):
        run(batches, tmp_path, validating(values, patience=2))
    schedule = replace(validating(values[3:], patience=2), epochs=5)
    _, result = run(batches, tmp_path, schedule)
    assert (result.best_epoch, len(result.curve)) == (2, 4)


def test_the_curve_is_the_mean_of_an_epoch(
    batches: EpochBatches, tmp_path: Path
) -> None:
    model = Toy()
    model.step.dropout = lambda x, rate, name: x
    places = {"folder": str(tmp_path / "fit"), "logs": str(tmp_path / "logs")}
    still = replace(SCHEDULE, epochs=1, learning_rate=1e-12)
    result = fit(model, batches, still, title="Training", **places)
    losses = [float(model.compute_loss(batch)) for batch in batches.epoch(0)]
    assert math.isclose(result.curve[0]["loss"], np.mean(losses), rel_tol=1e-4)


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    x = np.ones((40, 3), np.float32)
    y = np.where(np.arange(40) == 7, np.nan, 1).astype(np.float32)
    broken = array_batches({"x": x, "y": y}, batch_size=8, seed=0)
    told = (
        r"the loss is nan in epoch 1, batch (\d) \(step \1\).* no checkpoint before it"
    )
    with pytest.raises(TrainingError, match=told):
        run(broken, tmp_path)
    assert not (tmp_path / "fit" / "state.json").exists()


class Spoilt(Toy):
    """A model whose loss is no number from some step on."""

    def compute_loss(self, inputs: Batch, training: bool = False) -> tf.Tensor:
        loss = super().compute_loss(inputs, training)
        late = training & (self.step.value >= 2 * BATCHES + 1)
        return tf.where(late, np.nan, loss)


def test_a_loss_that_turns_nan_names_the_batch_and_keeps_the_checkpoint(
    batches: EpochBatches, undisturbed: tuple[Toy, Fit], tmp_path: Path
) -> None:
    places = {"folder": str(tmp_path / "fit"), "logs": str(tmp_path / "logs")}
    told = (
        rf"epoch 3, batch 2 \(step {2 * BATCHES + 2}\), rows of 16 x.* after epoch 2 is"
    )
    with pytest.raises(TrainingError, match=told):
        fit(
            Spoilt(),
            batches,
            SCHEDULE,
            title="Training",
            describe=lambda batch: f"rows of {len(batch['x'])} x",
            **places,
        )
    assert json.loads((tmp_path / "fit" / "state.json").read_text())["epoch"] == 2
    healthy = fit(Toy(), batches, SCHEDULE, title="Training", **places)
    assert healthy.curve == undisturbed[1].curve


def test_the_learning_rate_falls_along_a_cosine(
    batches: EpochBatches, tmp_path: Path
) -> None:
    model = Toy()
    places = {"folder": str(tmp_path / "fit"), "logs": str(tmp_path / "logs")}
    rates = []

    def validate() -> float:
        rates.append(float(model.optimizer.learning_rate))
        return 0.0

    falling = replace(SCHEDULE, decay_epochs=SCHEDULE.epochs, validate=validate)
    fit(model, batches, falling, title="Training", **places)
    # The rate of an epoch's last step, counted from the first, which has it whole.
    done = (np.arange(1, EPOCHS + 1) * BATCHES - 1) / (EPOCHS * BATCHES)
    share = 0.01 + 0.99 * (1 + np.cos(np.pi * done)) / 2
    np.testing.assert_allclose(rates, falling.learning_rate * share, rtol=1e-5)


def test_tensorboard_gets_the_curve(batches: EpochBatches, tmp_path: Path) -> None:
    run(batches, tmp_path)
    (events,) = (tmp_path / "logs").glob("events.out.tfevents.*")
    steps = [
        event.step
        for event in tf.compat.v1.train.summary_iterator(str(events))
        if event.summary.value
    ]
    assert steps == list(range(1, EPOCHS + 1))
