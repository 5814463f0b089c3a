"""Fits a model: epochs, checkpoints, resuming, early stopping, progress.

All randomness comes from (seed, step) and (seed, epoch), so a run that was
interrupted ends with the weights of one that was not.
"""

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import tensorflow as tf

from data import files
from data.console import Advance, progress
from data.pipelines import Batch, Batches
from trainer.distributed.crew import Crew
from trainer.errors import TrainingError
from trainer.models.base import CountedModel

Validate = Callable[[], float]
BEST = ("best", "weights")


@dataclass
class Fit:
    """How a fit went: `best_epoch` counts from 1; the curve has a row an epoch."""

    monitor: str
    best_epoch: int = 0
    best: float = -math.inf
    curve: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a fit lasts. Without `validate` the last epoch is the best.

    `decay_epochs`: the learning rate falls along half a cosine to a hundredth of
    itself within so many, however few are taken of them; 0: it stays.
    `keeps_last`: the last epoch counts as the best, whatever validation says of it.
    `checkpoint_steps`: a checkpoint after so many steps of an epoch; 0 for none.
    """

    epochs: int
    patience: int
    learning_rate: float
    decay_epochs: int = 0
    keeps_last: bool = False
    text_learning_rate: float = 0.0
    monitor: str = "val_ndcg@10"
    validate: Validate | None = None
    checkpoint_steps: int = 0


def fit(
    model: CountedModel,
    batches: Batches,
    schedule: Schedule,
    *,
    folder: str,
    logs: str,
    title: str,
    describe: Callable[[Batch], str] | None = None,
    crew: Crew | None = None,
) -> Fit:
    """Fit a model, or take the weights of the same fit that has ended before.

    In: `folder`: holds this fit's checkpoints; what is there decides where to go
    on. `logs`: where TensorBoard's files go. `describe`: tells whose examples a batch
    holds, for the message about a loss that is no number. `crew`: who takes the
    steps, this process alone without it.
    Out: the curve; the model has the weights of the best epoch.
    Raises: KeyboardInterrupt after a checkpoint; TrainingError when the loss is no
    number.
    """
    crew = Crew() if crew is None else crew
    with crew.scope():
        build(model, batches)
        model.compile(optimizer=tf.keras.optimizers.Adam(_rate(schedule, batches)))
        if model.text_tower is not None:
            model.text_optimizer = tf.keras.optimizers.Adam(schedule.text_learning_rate)
            model.text_optimizer.build(model.text_tower.trainable_variables)
        model.optimizer.build(model.own_variables())
    keeper = _Keeper(model, folder, crew)
    done = keeper.ended()
    if done:
        return done
    result, epoch, batch = keeper.resume(schedule)
    total = schedule.epochs * batches.num_batches
    writer = tf.summary.create_file_writer(crew.place(logs))
    with progress(title, total) as advance, _stop_on_signal() as asked:
        stopped = crew.signal(asked)
        advance(epoch * batches.num_batches + batch)
        while epoch < schedule.epochs and not _out_of_patience(result, schedule):
            if batch == 0:
                crew.start_epoch(model)
            watch = _Watch(advance, stopped, batch, result)
            if schedule.checkpoint_steps:
                watch.save = partial(keeper.save, epoch, result=result)
                watch.save_after = (schedule.checkpoint_steps, batches.num_batches)
            model.goes_on = batch > 0
            dataset = batches.epoch(epoch).skip(batch)
            crew.take_epoch(model, dataset, watch, asked)
            if not math.isfinite(watch.loss):
                raise TrainingError(_no_number(watch, batches, epoch, describe, folder))
            if stopped.is_set() and watch.batch < batches.num_batches:
                keeper.save(epoch, watch.batch, result)
                raise KeyboardInterrupt(f"stopped; the checkpoint is in {folder}")
            epoch, batch = epoch + 1, 0
            _add_row(result, epoch, watch.loss, schedule, crew)
            _write_summary(writer, result)
            if result.best_epoch == epoch:
                keeper.save_best()
            keeper.save(epoch, 0, result)
            if stopped.is_set():
                raise KeyboardInterrupt(f"stopped; the checkpoint is in {folder}")
    keeper.end(result)
    return result


def _rate(schedule: Schedule, batches: Batches) -> Any:
    if not schedule.decay_epochs:
        return schedule.learning_rate
    steps = schedule.decay_epochs * batches.num_batches
    return tf.keras.optimizers.schedules.CosineDecay(
        schedule.learning_rate, steps, alpha=0.01
    )


def build(model: CountedModel, batches: Batches) -> None:
    """Create all weights now, so that a checkpoint finds them in their places."""
    model.compute_loss(batches.sample(), training=False)


def take_best(model: CountedModel, folder: str) -> None:
    """Give a model of the same kind the best weights of the fit in a folder."""
    found = tf.train.Checkpoint(model=model).read(files.join(folder, *BEST))
    found.assert_existing_objects_matched().expect_partial()


def _no_number(
    watch: "_Watch",
    batches: Batches,
    epoch: int,
    describe: Callable[[Batch], str] | None,
    folder: str,
) -> str:
    """Say which step made the loss no number, on what, and what to try."""
    step = epoch * batches.num_batches + watch.batch
    (batch,) = batches.epoch(epoch).skip(watch.batch - 1).take(1)
    whose = "" if describe is None else f", {describe(batch)}"
    kept = (
        f"The checkpoint after epoch {epoch} is kept in {folder}"
        if epoch
        else "There is no checkpoint before it"
    )
    return (
        f"the loss is {watch.loss} in epoch {watch.epoch}, batch {watch.batch} (step "
        f"{step:,}){whose}. {kept}. Try a smaller learning_rate, or a smaller [train] "
        "clip_norm; if it is the same batch each time, look at its rows."
    )


def _add_row(
    result: Fit, epoch: int, loss: float, schedule: Schedule, crew: Crew
) -> None:
    row = {"epoch": epoch, "loss": loss}
    value = float(epoch)
    if schedule.validate is not None:
        value = row[schedule.monitor] = crew.agreed(schedule.validate)
    result.curve.append(row)
    if value > result.best or schedule.keeps_last:
        result.best, result.best_epoch = value, epoch


def _write_summary(writer: Any, result: Fit) -> None:
    row = dict(result.curve[-1])
    step = int(row.pop("epoch"))
    with writer.as_default():
        for name, value in row.items():
            tf.summary.scalar(name, value, step=step)


def _out_of_patience(result: Fit, schedule: Schedule) -> bool:
    if schedule.validate is None or not result.curve:
        return False
    return len(result.curve) - result.best_epoch >= schedule.patience


class _Keeper:
    """Keeps the newest state, the best weights and, at the end, the result."""

    def __init__(self, model: CountedModel, folder: str, crew: Crew) -> None:
        self.folder, self.leads, self.crew = folder, crew.leads, crew
        self.state_path = files.join(folder, "state.json")
        self.newest_path = files.join(folder, "newest")
        own = crew.place(folder)
        self.weights = tf.train.Checkpoint(model=model)
        self.newest = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                model=model, optimizer=model.optimizer, text=model.text_optimizer
            )
            if model.text_optimizer is not None
            else tf.train.Checkpoint(model=model, optimizer=model.optimizer),
            files.join(own, "newest"),
            max_to_keep=2,  # Until the state names the newer, it is the older's.
        )
        self.best_path = files.join(folder, *BEST)
        self.own_best_path = files.join(own, *BEST)

    def ended(self) -> Fit | None:
        if not files.exists(self.state_path):
            return None
        state = files.read_json(self.state_path)
        if not state["ended"]:
            return None
        self._restore_best()
        return Fit(**state["fit"])

    def resume(self, schedule: Schedule) -> tuple[Fit, int, int]:
        if not files.exists(self.state_path):
            return Fit(monitor=schedule.monitor), 0, 0
        state = files.read_json(self.state_path)
        # Optimizer slots appear at the first step and are filled in then.
        path = files.join(self.newest_path, state["checkpoint"])
        self.newest.checkpoint.restore(path)
        return Fit(**state["fit"]), state["epoch"], state["batch"]

    def save(self, epoch: int, batch: int, result: Fit, ended: bool = False) -> None:
        """Keep the state after some batches of an epoch, epochs counted from 0."""
        self.crew.bring_home()
        # The name alone: the folder may be moved before the run goes on.
        name = self.newest.save().rpartition("/")[2]
        if not self.leads:
            return
        state = {"epoch": epoch, "batch": batch, "ended": ended, "checkpoint": name}
        files.write_json(self.state_path, {**state, "fit": asdict(result)})

    def save_best(self) -> None:
        self.weights.write(self.own_best_path)

    def end(self, result: Fit) -> None:
        self._restore_best()
        self.save(len(result.curve), 0, result, ended=True)

    def _restore_best(self) -> None:
        if not self.leads:  # Whose model goes no further.
            return
        self.weights.read(self.best_path).expect_partial()


class _Watch(tf.keras.callbacks.Callback):
    """Moves the bar on, stops between batches, notices a loss that is no number."""

    def __init__(
        self, advance: Advance, stopped: threading.Event, batch: int, result: Fit
    ) -> None:
        super().__init__()
        self.advance, self.stopped, self.batch = advance, stopped, batch
        self.epoch, self.loss = len(result.curve) + 1, math.nan
        self.save: Callable[[int], None] | None = None
        self.save_after = (1, 1)  # Every so many steps, and how many an epoch has.
        row = result.curve[-1] if result.curve else {}
        self.note = " ".join(f"{k} {v:.4f}" for k, v in row.items() if k != "epoch")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batch, self.loss = self.batch + 1, float(logs["loss"])
        self.advance(1, f"epoch {self.epoch} {self.note}")
        if self.stopped.is_set() or not math.isfinite(self.loss):
            self.model.stop_training = True
        elif self.save is not None:
            steps, of_epoch = self.save_after
            if self.batch % steps == 0 and self.batch < of_epoch:
                self.save(self.batch)


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Let Ctrl-C and SIGTERM end the current batch instead of tearing it."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {s: signal.signal(s, lambda *_: stopped.set()) for s in signals}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
