"""Which variables are divided over parameter servers, and into how many parts."""

import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Tables(tf.distribute.experimental.partitioners.Partitioner):  # type: ignore[misc]
    """Divides tables by row: embeddings, and whatever else is looked up.

    A kernel is read whole by each worker at each step, so it stays whole, and so does
    what has more than two dimensions: it is not looked up by its first. Unlike this,
    `MinSizePartitioner` rounds up: a part may hold half of what was asked.
    """

    def __init__(self, shard_bytes: int, servers: int) -> None:
        """In: `shard_bytes`: the least that a part holds; `servers`: the most parts."""
        self.shard_bytes, self.servers = shard_bytes, servers
        self._named = threading.local()

    def creator(self, following: Callable[..., Any], **known: Any) -> Any:
        """Note which variable is made next; for `tf.variable_creator_scope`."""
        name = str(known.get("name") or "")
        # Keras says None where nothing was said, and means that it is trained.
        is_fixed = known.get("trainable") is False
        self._named.is_table = "embeddings" in name or is_fixed
        return following(**known)

    def __call__(self, shape: Any, dtype: Any, axis: int = 0) -> Any:
        """Return into how many parts each dimension is divided."""
        if not getattr(self._named, "is_table", False) or len(shape) > 2:
            return [1] * len(shape)
        parts = shape.num_elements() * dtype.size // self.shard_bytes
        return [max(1, min(parts, self.servers)), *[1] * (len(shape) - 1)]
