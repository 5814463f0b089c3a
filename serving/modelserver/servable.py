"""A SavedModel in memory: its signatures and how to run one."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.modelserver.errors import Code, StatusError, invalid_argument
from serving.tensors import NAMES, Array, from_proto, object_array, type_number

# TensorFlow reads these when it is imported; they must be set before.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# Warnings of failing ops quote the tensors, and so what users asked for.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

Tensors = Mapping[str, Array]
_STACK_NOTE = re.compile(
    r"\AGraph execution error:.*?<stack traces unavailable>\n", re.S
)
_OP_NOTE = re.compile(r"\s*\[Op:[^\]]*\]\s*\Z")


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """One loaded version of a model.

    `signature_defs` are the messages as stored, for metadata and for the checks before
    a run; `functions` are the callables of those that can be run.
    """

    signature_defs: Mapping[str, Any]
    functions: Mapping[str, Callable[..., Mapping[str, Any]]]

    def run(self, signature: str, inputs: Tensors) -> dict[str, Array]:
        """Return the outputs of a signature, strings as object arrays of bytes.

        In: `inputs`: by input name, of any shape: what fits is for the graph to say, as
            in TensorFlow Serving. Inputs with a default may be left out.
        Raises: StatusError: the graph's own code and message, or INVALID_ARGUMENT for
            a tensor of another type than declared.
        """
        declared = self.signature_defs[signature]
        if signature not in self.functions:
            text = f'Serving signature key "{signature}" cannot be run.'
            raise StatusError(Code.FAILED_PRECONDITION, text)
        arguments = {}
        for position, (name, info) in enumerate(sorted(declared.inputs.items())):
            array = inputs[name] if name in inputs else self._default(declared, name)
            _check_type(array, info.dtype, position)
            arguments[name] = tf.constant(array, dtype=tf.as_dtype(info.dtype))
        try:
            outputs = self.functions[signature](**arguments)
        except tf.errors.OpError as err:
            raise StatusError(_code(err), _message(err)) from None
        return {name: _to_array(tensor) for name, tensor in outputs.items()}

    def _default(self, declared: Any, name: str) -> Array:
        return from_proto(declared.defaults[name])


def load_saved_model(path: str, tags: Sequence[str] = ("serve",)) -> SavedModel:
    """Return the SavedModel at a path, with the ops of ScaNN and TF Text known.

    Raises: whatever TensorFlow raises for a folder that holds no loadable SavedModel.
    """
    _register_ops()
    loaded = tf.saved_model.load(path, tags=list(tags))
    signature_defs = _signature_defs(path, set(tags))
    functions = {
        # Keeps the model alive as long as one of its functions is.
        name: _Bound(loaded, loaded.signatures[name])
        for name in loaded.signatures
        if name in signature_defs
    }
    return SavedModel(signature_defs=signature_defs, functions=functions)


@dataclass(frozen=True)
class _Bound:
    """A signature that holds on to its model, whose variables it only refers to."""

    model: Any
    function: Any

    def __call__(self, **arguments: Any) -> Mapping[str, Any]:
        result: Mapping[str, Any] = self.function(**arguments)
        return result


def _register_ops() -> None:
    """Import the op libraries that our models may use; each is optional."""
    for name in ("tensorflow_text", "scann"):
        try:
            __import__(name)
        except (ImportError, tf.errors.NotFoundError):
            # No wheel for this machine, or built for another TensorFlow: a model that
            # needs the ops then fails to load and says which one is missing.
            continue


def _signature_defs(path: str, tags: set[str]) -> dict[str, Any]:
    stored = saved_model_pb2.SavedModel()
    with tf.io.gfile.GFile(os.path.join(path, "saved_model.pb"), "rb") as file:
        stored.ParseFromString(file.read())
    for graph in stored.meta_graphs:
        if set(graph.meta_info_def.tags) == tags:
            # Copies, so that the graph itself (up to 2 GB) is let go.
            return {
                name: type(definition).FromString(definition.SerializeToString())
                for name, definition in graph.signature_def.items()
            }
    raise ValueError(f"{path} holds no graph with the tags {sorted(tags)}.")


def _check_type(array: Array, expected: int, position: int) -> None:
    found = type_number(array)
    if found != expected:
        raise invalid_argument(
            f"Expects arg[{position}] to be {NAMES.get(expected, expected)} "
            f"but {NAMES[found]} is provided"
        )


def _to_array(tensor: Any) -> Array:
    value = tensor.numpy()
    if tensor.dtype != tf.string:
        return np.asarray(value)
    # A scalar comes as bytes, which NumPy would turn into a fixed-width type.
    flat = [value] if isinstance(value, bytes) else value.reshape(-1).tolist()
    return object_array(flat, tuple(tensor.shape))


def _code(err: tf.errors.OpError) -> Code:
    return Code(err.error_code)


def _message(err: tf.errors.OpError) -> str:
    """Return the graph's own words, without Python's notes about where they arose."""
    return _OP_NOTE.sub("", _STACK_NOTE.sub("", err.message)).strip()
