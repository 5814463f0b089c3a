"""Several replicas of a model on devices of this process take the steps of a fit."""

import contextlib
import functools
import threading
from typing import Any

import tensorflow as tf

from data.errors import ConfigError
from trainer.config import Precision
from trainer.distributed.crew import Crew
from trainer.models.base import CountedModel


class Replicas(Crew):
    """Several replicas of a model; each is given every batch and takes its share."""

    def __init__(self, strategy: tf.distribute.Strategy, precision: Precision) -> None:
        super().__init__(precision)
        self.strategy = strategy
        self._traced: tuple[CountedModel, Any] | None = None

    @property
    def keeps_models(self) -> bool:
        """Tell whether a fitted model is what a single process would have made."""
        return False

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Hold wherever variables of a fit are made."""
        return self.strategy.scope()

    def signal(self, stopped: threading.Event) -> threading.Event:
        """Return an event of its own: all replicas stop after the same batch."""
        return threading.Event()

    def take_epoch(
        self,
        model: CountedModel,
        dataset: tf.data.Dataset,
        watch: tf.keras.callbacks.Callback,
        stopped: threading.Event,
    ) -> None:
        """Take a step on each batch, or on some until the watch stops the model."""
        if self._traced is None or self._traced[0] is not model:
            self._traced = model, self._step(model, dataset.element_spec)
        step = self._traced[1]
        watch.set_model(model)
        model.stop_training = False
        model.reset_metrics()
        for number, batch in enumerate(dataset):
            loss, asked = step(batch, tf.constant(float(stopped.is_set())))
            if float(asked):
                watch.stopped.set()
            watch.on_train_batch_end(number, {"loss": float(loss)})
            if model.stop_training:
                break

    def _step(
        self, model: CountedModel, batch: dict[str, tf.TensorSpec]
    ) -> "tf.types.experimental.PolymorphicFunction":
        """Make what takes one step of all replicas.

        It takes a batch and whether this process was asked to stop, float32; it
        returns the mean loss so far and how many were asked.
        """

        def of_replica(batch: Any, asked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            loss = model.train_step(batch)["loss"]
            context = tf.distribute.get_replica_context()
            asked = tf.identity(asked)  # A tensor of this replica's own device.
            return loss, context.all_reduce(tf.distribute.ReduceOp.SUM, asked)

        def of_all(batch: Any, asked: tf.Tensor) -> tuple[tf.Tensor, ...]:
            found = self.strategy.run(of_replica, args=(batch, asked))
            return tuple(self.strategy.experimental_local_results(x)[0] for x in found)

        # Converted by autograph as in Keras's own fit: TFRS asks a tensor for its len.
        return tf.function(
            of_all, input_signature=[batch, tf.TensorSpec([], tf.float32)]
        )


@functools.cache
def mirrored(devices: int) -> tf.distribute.Strategy:
    """Return the strategy for so many GPUs of this machine, 0 for all.

    Raises: ConfigError when there are none, or fewer.
    """
    kinds = [tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU")]
    gpus, cpus = ([device.name for device in found] for found in kinds)
    found = gpus or cpus
    if not gpus and len(cpus) < 2:
        raise ConfigError(
            '[train] strategy is "mirrored", which wants GPUs, and TensorFlow finds '
            'none here. Take strategy = "none"; where there is a GPU, install what '
            "drives it: make setup GPU=1."
        )
    if devices > len(found):
        raise ConfigError(
            f"[train] devices is {devices}, and TensorFlow finds {len(found)}: "
            f"{', '.join(found)}. Expected at most so many; 0 takes all."
        )
    return tf.distribute.MirroredStrategy(found[: devices or None])
