"""One process leads; parameter servers hold the model, workers find its gradients.

Every step divides one batch among the workers, waits for all their gradients and
applies the sum once: no worker ever sees weights of another step, and the result is
that of one process. The one that leads does the whole job, and has a plain model of
its own, which is what it validates, keeps and hands on.
"""

import os
import threading
from collections.abc import Callable

import tensorflow as tf

from data.errors import ConfigError
from trainer.config import TrainConfig
from trainer.distributed.cluster import Cluster
from trainer.distributed.crew import Crew, Model
from trainer.distributed.partition import Tables
from trainer.distributed.precision import computing_in
from trainer.distributed.twin import Batch, Twin
from trainer.models.base import CountedModel

PROTOCOL = "grpc"


class Servers(Crew):
    """This process leads workers that share a model on parameter servers."""

    def __init__(self, cluster: Cluster, train: TrainConfig) -> None:
        """Meet the others; waits until all are there."""
        super().__init__(train.precision)
        cluster.check_port()
        roles = cluster.roles()
        self.parts = len(roles["worker"])
        self.tables = Tables(int(train.shard_mb * 2**20), len(roles["ps"]))
        os.environ.setdefault("GRPC_FAIL_FAST", "use_caller")  # A lost one is told.
        self.strategy = tf.distribute.ParameterServerStrategy(
            tf.distribute.cluster_resolver.SimpleClusterResolver(
                tf.train.ClusterSpec(roles),
                task_type="chief",
                task_id=0,
                rpc_layer=PROTOCOL,
            ),
            self.tables,
        )
        if self.strategy.num_replicas_in_sync > 1:
            raise ConfigError(
                f"each worker has {self.strategy.num_replicas_in_sync} GPUs, and with "
                '[train] strategy = "parameter_server" it takes one. Start a worker '
                "for each GPU, and let it see that one: CUDA_VISIBLE_DEVICES."
            )
        self.coordinator = tf.distribute.coordinator.ClusterCoordinator(self.strategy)
        self._make: Callable[[], CountedModel] | None = None
        self._twin: Twin | None = None
        self._is_ahead = False

    def made(self, make: Callable[[], Model]) -> Model:
        """Make the model of a fit: a plain one, with a twin on the servers later."""
        self._make, self._twin = make, None
        return super().made(make)

    def ended(self) -> None:
        """Let the servers forget the model of a fit that has ended."""
        self._make = self._twin = None

    def take_epoch(
        self,
        model: CountedModel,
        dataset: tf.data.Dataset,
        watch: tf.keras.callbacks.Callback,
        stopped: threading.Event,
    ) -> None:
        """Take a step on each batch, or on some until the watch stops the model."""
        watch.set_model(model)
        model.stop_training = False
        model.reset_metrics()
        twin = self._twin_of(model, dataset.element_spec)
        twin.receive(model.epoch_state())  # Set by this process, before an epoch.
        for number, batch in enumerate(dataset):
            model.mean_loss.update_state(self._step(twin, batch))
            self._is_ahead = True
            watch.on_train_batch_end(number, {"loss": float(model.mean_loss.result())})
            if model.stop_training:
                break
        self.bring_home()

    def bring_home(self) -> None:
        """Give this process's model what training has changed on the servers."""
        if self._is_ahead and self._twin is not None:
            self._twin.give()
        self._is_ahead = False

    def _step(self, twin: Twin, batch: Batch) -> tf.Tensor:
        parts = [
            self.coordinator.schedule(twin.find, args=(batch, tf.constant(place)))
            for place in range(self.parts)
        ]
        # A part whose worker is lost is found by another, from the same weights.
        self.coordinator.join()
        return twin.take([part.get() for part in parts])

    def _twin_of(self, model: CountedModel, batch: dict[str, tf.TensorSpec]) -> Twin:
        if self._twin is not None and self._twin.plain is model:
            return self._twin
        if self._make is None:
            raise RuntimeError("a fit wants a model that its crew has made")
        named = tf.variable_creator_scope(self.tables.creator)
        with computing_in(self.precision), named:
            self._twin = Twin(self.strategy, self._make, model, batch, self.parts)
        return self._twin
