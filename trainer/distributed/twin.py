"""A model whose variables lie on parameter servers, and how it goes by another's.

The other is an ordinary model of this process. It is what is validated, kept and
resumed; the twin is what takes the steps. Both are made by the same code, so that a
variable of one stands at the same place in the other.
"""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from trainer.models.base import CountedModel
from trainer.models.share import Share, taking

Sharded = tf.__internal__.distribute.ShardedVariable
Batch = dict[str, tf.Tensor]
Gradient = tuple[tf.Tensor, ...]
"""A dense gradient alone, or the values and the rows of a sparse one."""


class Twin:
    """A model on servers: workers find its gradients, which one step applies."""

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        make: Callable[[], CountedModel],
        plain: CountedModel,
        batch: dict[str, tf.TensorSpec],
        parts: int,
    ) -> None:
        """Make it, with the weights and the optimizer's state of a built model.

        In: `batch`: what batches look like; `parts`: how many each is divided into.
        """
        self.strategy, self.plain, self.parts = strategy, plain, parts
        with strategy.scope():
            self.model = make()
            # Traced, not computed: it creates what layers create when first called.
            tf.function(self.model.compute_loss).get_concrete_function(batch)
            optimizer = type(plain.optimizer).from_config(plain.optimizer.get_config())
            self.model.compile(optimizer=optimizer)
            self.variables = self.model.own_variables()
            optimizer.build(self.variables)
        of_optimizers = _paired_in_order(plain.optimizer, optimizer)
        self._pairs = [*_pairs(plain, self.model), *of_optimizers]
        self._changed = [p for p in self._pairs if p[0].trainable] + of_optimizers
        self.receive()
        self.find = tf.function(
            self._find, input_signature=[batch, tf.TensorSpec([], tf.int32)]
        )
        _, gradients = self.find.get_concrete_function().structured_outputs
        found = tf.nest.map_structure(tf.TensorSpec.from_tensor, gradients)
        self._take = tf.function(
            self._take_step, input_signature=[[found] * parts], autograph=False
        )

    def _find(self, batch: Batch, place: tf.Tensor) -> tuple[tf.Tensor, list[Gradient]]:
        """Return the loss of a part of a batch, and what it wants of each variable.

        It changes nothing, so that a worker's part can be found by another one.
        """
        with taking(Share(self.parts, place, meets=False)):
            with tf.GradientTape() as tape:
                loss = self.model.compute_loss(batch, training=True)
            gradients = tape.gradient(loss, self.variables)
        self._used = [i for i, g in enumerate(gradients) if g is not None]
        return loss, [opened(g) for g in gradients if g is not None]

    def take(self, found: list[tuple[tf.Tensor, list[Gradient]]]) -> tf.Tensor:
        """Take one step along the sum of all parts' gradients. Out: their loss."""
        self._take([gradients for _, gradients in found])
        self.plain.step.value.assign_add(1)
        return tf.add_n([loss for loss, _ in found])

    def _take_step(self, found: list[list[Gradient]]) -> None:
        used = [self.variables[place] for place in self._used]
        whole = {v.ref() for v in self.model.encoded_whole.trainable_variables}
        together = [
            joined(list(parts), variable.ref() in whole)
            for variable, *parts in zip(used, *found, strict=True)
        ]
        # Each variable, with what the optimizer knows of it, is updated where it lies.
        self.strategy.run(lambda: self.model.take(together, used))

    def receive(self, variables: list[tf.Variable] | None = None) -> None:
        """Take over what the plain model holds, or some variables of it."""
        wanted = None if variables is None else {v.ref() for v in variables}
        for own, other in self._pairs:
            if wanted is None or own.ref() in wanted:
                other.assign(own.read_value())

    def give(self) -> None:
        """Hand what training changes over to the plain model."""
        for own, other in self._changed:
            own.assign(tf.convert_to_tensor(other))


def _pairs(plain: CountedModel, spread: CountedModel) -> list[tuple[tf.Variable, Any]]:
    """Pair the variables that stand at the same place in both."""
    own, others = (dict(_variables(model)) for model in (plain, spread))
    missing = sorted(own.keys() ^ others.keys())
    if missing:
        raise ValueError(f"the models do not hold the same variables: {missing[:5]}")
    return [(variable, others[name]) for name, variable in own.items()]


def _paired_in_order(own: Any, other: Any) -> list[tuple[tf.Variable, Any]]:
    """Pair what both optimizers keep, which is of the same variables in one order."""
    pairs = list(zip(own.variables, other.variables, strict=True))
    for one, two in pairs:
        if one.shape != two.shape:
            raise ValueError(f"{one.name} has shape {one.shape}, and {two.shape} there")
    return pairs


def _variables(model: CountedModel) -> Iterator[tuple[str, Any]]:
    """Yield variables by the shortest path, the optimizer's aside; parts are one."""
    view, todo = tf.train.TrackableView(model), [("", model)]
    seen = {id(model), id(model.optimizer)}
    while todo:
        path, one = todo.pop(0)
        if isinstance(one, (tf.Variable, Sharded)):
            yield path, one
            continue
        for name, child in view.children(one).items():
            if id(child) not in seen:
                seen.add(id(child))
                todo.append((f"{path}/{name}" if path else name, child))


def opened(gradient: Any) -> Gradient:
    """Return a gradient as tensors alone, which a worker can hand over."""
    if isinstance(gradient, tf.IndexedSlices):
        return gradient.values, gradient.indices
    return (tf.convert_to_tensor(gradient),)


def joined(parts: list[Gradient], same_rows: bool) -> Any:
    """Return the gradient of a whole batch, as one process would have found it.

    In: `same_rows`: each part wants something of the same rows, in the same order.
    """
    values = [part[0] for part in parts]
    if len(parts[0]) == 1:
        return tf.add_n(values)
    if same_rows:
        return tf.IndexedSlices(tf.add_n(values), parts[0][1])
    rows = tf.concat([part[1] for part in parts], 0)
    return tf.IndexedSlices(tf.concat(values, 0), rows)
