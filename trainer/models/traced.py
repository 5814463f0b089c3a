"""Parts of a graph that are traced once, however many signatures hold them."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Traced:
    """A function of tensors that is called as one graph.

    Whoever runs the graph puts it back in its place, so that a signature costs what it
    would if it held the operations itself. To trace them again for each signature, and
    to save them as often, is most of what an export takes. No attribute of a module
    that a SavedModel keeps for itself, as a `tf.function` would be.
    """

    def __init__(self, call: Callable[..., Any], *specs: Any) -> None:
        """In: `specs`: of each argument, a `tf.TensorSpec` or a dict of such."""
        # The graphs hold no Python control flow, whose conversion takes long.
        self._graph = tf.function(call, input_signature=list(specs), autograph=False)

    def __call__(self, *inputs: Any) -> Any:
        """Call the graph; inputs of other shapes than its specs are a ValueError."""
        return self._graph(*inputs)
