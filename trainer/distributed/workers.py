"""Several machines fit one model: one leads, the others follow it.

The one that leads does the whole job. For each fit it tells the others what is fitted,
through the strategy's own collective operations, and all take the steps together;
between fits the others wait. It alone validates and writes what is kept.
"""

import functools
import json
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from data import files
from data.errors import DataError
from trainer.config import Precision
from trainer.distributed.cluster import VARIABLE, Cluster
from trainer.distributed.replicas import Replicas
from trainer.errors import TrainingError
from trainer.models.base import CountedModel

ORDER = "order.json"


class Workers(Replicas):
    """This process and others, on this machine or on several."""

    def __init__(self, cluster: Cluster, precision: Precision) -> None:
        """Meet the others; waits until all are there."""
        cluster.check_port()
        os.environ[VARIABLE] = cluster.text()
        super().__init__(tf.distribute.MultiWorkerMirroredStrategy(), precision)
        self.cluster, self.leads = cluster, cluster.leads
        self.commands = cluster.leads
        self.waits = True
        """Tells whether the others wait for an order."""

    def send(self, order: dict[str, Any], folder: str) -> None:
        """Tell the others what is fitted now, and leave it in the fit's folder."""
        order = {**order, "place": files.join(folder, ORDER)}
        files.make_folder(folder)
        files.write_json(order["place"], order)
        self.waits = False
        self._send(order)

    def ended(self) -> None:
        """Note that a fit has ended."""
        self.waits = True

    def dismiss(self, reason: str = "") -> None:
        """Let the others end. In: what went wrong, if it did."""
        if self.leads and self.waits:
            self._send({"end": reason})

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next order; None when there is no more.

        Raises: TrainingError when the one that leads has failed; DataError when its
        folder is not this process's.
        """
        size = int(self._shared(np.zeros(1, np.int32))[0])
        text = self._shared(np.zeros(size, np.int32)).astype(np.uint8).tobytes()
        order: dict[str, Any] = json.loads(text)
        if order.get("end"):
            raise TrainingError(f"the worker that leads has ended: {order['end']}")
        if "end" in order:
            return None
        place = order["place"]
        if not files.exists(place) or files.read_json(place) != order:
            raise DataError(
                f"{place}: the worker that leads has written it, and here it is not "
                "the same. Expected OUT to be one folder that all workers share."
            )
        return order

    def agreed(self, find: Callable[[], float]) -> float:
        """Return what the one that leads finds."""
        value = find() if self.leads else 0.0
        return float(self._shared(np.array([value], np.float64))[0])

    def start_epoch(self, model: CountedModel) -> None:
        """Do what is due before an epoch's first batch."""
        if self.leads:
            super().start_epoch(model)
        for variable in model.epoch_state():
            variable.assign(self._shared(variable.numpy()))

    def place(self, folder: str) -> str:
        """Return where this process writes what the one that leads keeps in a folder.

        All write, since a checkpoint's sums over replicas want all of them.
        """
        return folder if self.leads else files.join(self._scratch.name, "fit")

    @functools.cached_property
    def _scratch(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(prefix="tandem-worker-")

    def _send(self, order: dict[str, Any]) -> None:
        text = np.frombuffer(json.dumps(order).encode(), np.uint8).astype(np.int32)
        self._shared(np.array([len(text)], np.int32))
        self._shared(text)

    def _shared(self, values: np.ndarray) -> np.ndarray:
        """Return the values of the one that leads, of the same shape everywhere."""
        found = self._share(tf.constant(values))
        return self.strategy.experimental_local_results(found)[0].numpy()  # type: ignore[no-any-return]

    @functools.cached_property
    def _share(self) -> "tf.types.experimental.PolymorphicFunction":
        def of_replica(values: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group, 0)
            mine = tf.where(first, values, tf.zeros_like(values))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

        return tf.function(
            lambda values: self.strategy.run(of_replica, args=(values,)),
            autograph=False,
            reduce_retracing=True,
        )
