"""Who takes the steps of a fit: this process and one device, unless it says so."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tensorflow as tf

from trainer.config import Precision
from trainer.distributed.precision import computing_in
from trainer.models.base import CountedModel

Model = TypeVar("Model", bound=CountedModel)


class Crew:
    """This process and one device, whichever TensorFlow takes."""

    leads = True
    """Tells whether this process decides, validates and writes."""
    commands = False
    """Tells whether there are others to be told what is fitted."""

    def __init__(self, precision: Precision = "float32") -> None:
        self.precision: Precision = precision

    @property
    def keeps_models(self) -> bool:
        """Tell whether a fitted model is what a single process would have made."""
        return self.precision == "float32"

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Hold wherever variables of a fit are made."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Hold where the model of a fit is made.

        Not where it is first called: the layers that TFRS makes then mix their own
        float32 with what a policy gives them.
        """
        with computing_in(self.precision), self.scope():
            yield

    def made(self, make: Callable[[], Model]) -> Model:
        """Make the model of a fit."""
        with self.building():
            return make()

    def dismiss(self, reason: str = "") -> None:
        """Let the others end. In: what went wrong, if it did."""

    def bring_home(self) -> None:
        """Give the model what training has changed, if that is kept elsewhere."""

    def send(self, order: dict[str, Any], folder: str) -> None:
        """Tell the others what is fitted in a folder; only where it `commands`."""

    def ended(self) -> None:
        """Note that a fit has ended."""

    def signal(self, stopped: threading.Event) -> threading.Event:
        """Return what tells that all stop. In: that this process was asked to."""
        return stopped

    def take_epoch(
        self,
        model: CountedModel,
        dataset: tf.data.Dataset,
        watch: tf.keras.callbacks.Callback,
        stopped: threading.Event,
    ) -> None:
        """Take a step on each batch, or on some until the watch stops the model."""
        model.fit(dataset, epochs=1, verbose=0, callbacks=[watch])

    def start_epoch(self, model: CountedModel) -> None:
        """Do what is due before an epoch's first batch."""
        model.start_epoch()

    def agreed(self, find: Callable[[], float]) -> float:
        """Return what the one that leads finds."""
        return find()

    def place(self, folder: str) -> str:
        """Return where this process writes what is kept in a folder."""
        return folder
