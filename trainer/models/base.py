"""What both models share: one training step, counted, clipped and averaged."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from trainer.models.seeded import Step
from trainer.models.share import Share
from trainer.models.text_tower import TextTower

CHUNK_ROWS = 65_536


def in_chunks(encode: Callable[[tf.Tensor], tf.Tensor], number: int) -> np.ndarray:
    """Encode the rows of a table from 0, some at a time. Out: (number, width)."""
    rows = np.arange(number, dtype=np.int32)
    parts = [
        encode(tf.constant(rows[i : i + CHUNK_ROWS])).numpy()
        for i in range(0, number, CHUNK_ROWS)
    ]
    return np.concatenate(parts).astype(np.float32)


class CountedModel(tfrs.Model):
    """A TFRS model whose curves are means over an epoch.

    TFRS reports the loss of the last batch; curves and early stopping need the mean.
    """

    def __init__(self, step: Step, clip_norm: float) -> None:
        super().__init__()
        self.step, self.clip_norm = step, clip_norm
        self.text_optimizer: tf.keras.optimizers.Optimizer | None = None
        self.mean_loss = tf.keras.metrics.Mean(name="loss")
        self.goes_on = False  # An epoch's mean is of all its batches, after a stop too.

    @property
    def text_tower(self) -> TextTower | None:
        """Return the text tower that this model fine-tunes, if it does."""
        return None

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """Return the metrics that Keras resets at the start of an epoch."""
        return [self.mean_loss]

    def reset_metrics(self) -> None:
        """Forget the batches so far, unless an epoch goes on that was interrupted."""
        if not self.goes_on:
            super().reset_metrics()

    def start_epoch(self) -> None:
        """Do what is due before an epoch's first batch."""

    def epoch_state(self) -> list[tf.Variable]:
        """Return what `start_epoch` sets."""
        return []

    def train_step(self, inputs: Any) -> dict[str, tf.Tensor]:
        """Take one step on a batch; returns the mean loss of the epoch so far.

        Of several replicas each is given the whole batch and takes its share of it.
        """
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, training=True)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        share = Share.here()
        if share is not None:  # Of the loss of the whole batch, before it is clipped.
            loss = share.summed(loss)
            pairs = self.optimizer.aggregate_gradients(
                list(zip(gradients, variables, strict=True))
            )
            of = {variable.ref(): gradient for gradient, variable in pairs}
            gradients = [of.get(variable.ref()) for variable in variables]
        self.take(gradients, variables)
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}

    def take(self, gradients: list[Any], variables: list[tf.Variable]) -> None:
        """Take a step along the gradients of a whole batch, clipped."""
        gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm)
        self._apply(list(zip(gradients, variables, strict=True)))
        self.step.value.assign_add(1)

    @property
    @abstractmethod
    def encoded_whole(self) -> tf.keras.layers.Layer:
        """Return the layer that encodes each item of a batch once, for all of it."""

    def own_variables(self) -> list[tf.Variable]:
        """Return the trained variables but those of a pretrained text tower."""
        text = self._text_variables()
        return [v for v in self.trainable_variables if v.ref() not in text]

    def _text_variables(self) -> set[Any]:
        tower = self.text_tower
        return {v.ref() for v in tower.trainable_variables} if tower else set()

    def _apply(self, pairs: list[tuple[Any, tf.Variable]]) -> None:
        """Give a pretrained text tower its own, smaller steps."""
        text = self._text_variables()
        own = [p for p in pairs if p[1].ref() not in text]
        self.optimizer.apply_gradients(own, skip_gradients_aggregation=True)
        if text and self.text_optimizer is not None:
            tuned = [p for p in pairs if p[1].ref() in text]
            self.text_optimizer.apply_gradients(tuned, skip_gradients_aggregation=True)
