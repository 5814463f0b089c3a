"""A SavedModel in memory: its signatures and how to run one.

It is loaded into a session, as TensorFlow Serving does: that takes half the time of
rebuilding its Python functions, and a run costs less than a call of one.
"""

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.modelserver.errors import Code, StatusError, invalid_argument
from serving.tensors import NAMES, Array, from_proto, object_array, type_number

# TensorFlow reads these when it is imported; they must be set before.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# Warnings of failing ops quote the tensors, and so what users asked for.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

Tensors = Mapping[str, Array]
# The session's run happens on the thread that asks for it: no other has to wake up.
_CALLERS_THREAD = -1
# Callers choose outputs; more choices than these are run in full and cut afterwards.
_MAX_RUNNERS = 256
# How a session words errors: "{{node x}} text\n\t [[{{node x}}]]", and where several
# ops failed "2 root error(s) found.\n  (0) INVALID_ARGUMENT: text ...\n  (1) ...".
_ROOT_ERRORS = re.compile(
    r"\A\d+ root error\(s\) found\.\s*\(0\)\s*[A-Z_]+:\s*(.*?)\n\s*\(1\).*\Z", re.S
)
_NODE_NOTES = re.compile(r"\{\{[^{}]*\}\}\s?|\s*\[\[[^\]]*\]\]\s*$")
_PRIVATE = "__saved_model_"


@dataclass(frozen=True, kw_only=True)
class Parallelism:
    """Threads that TensorFlow computes with: within an op, and across ops.

    Zero is within an op one for each CPU, across ops the thread that asks for the run.
    """

    intra_op: int = 0
    inter_op: int = 0


@dataclass(kw_only=True)
class SavedModel:
    """One loaded version of a model.

    `signature_defs` are the messages as stored, for metadata and for the checks before
    a run. Any number of threads may run it.
    """

    signature_defs: Mapping[str, Any]
    session: Any
    inter_op_pool: int = _CALLERS_THREAD
    _runners: dict[tuple[str, ...], Callable[..., list[Any]]] = field(
        default_factory=dict
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, signature: str, inputs: Tensors, wanted: Sequence[str] = ()
    ) -> dict[str, Array]:
        """Return outputs of a signature, strings as object arrays of bytes.

        In: `inputs`: by input name, of any shape: what fits is for the graph to say, as
            in TensorFlow Serving. Inputs with a default may be left out. `wanted`:
            names of outputs, none = all; ops that only others need do not run.
        Raises: StatusError: the graph's own code and message, or INVALID_ARGUMENT for
            a tensor of another type than declared.
        """
        declared = self.signature_defs[signature]
        if signature.startswith(_PRIVATE):
            text = f'Serving signature key "{signature}" cannot be run.'
            raise StatusError(Code.FAILED_PRECONDITION, text)
        arguments = []
        for position, (name, info) in enumerate(sorted(declared.inputs.items())):
            array = inputs[name] if name in inputs else _default(declared, name)
            _check_type(array, info.dtype, position)
            arguments.append(_unicode_as_bytes(array))
        names = sorted(set(wanted) or declared.outputs)
        try:
            values = self._runner(signature, names)(*arguments)
        except tf.errors.OpError as err:
            raise StatusError(Code(err.error_code), _message(err.message)) from None
        found = {
            name: _to_array(value, declared.outputs[name].dtype)
            for name, value in zip(names, values, strict=True)
        }
        # In the order that was asked for.
        return {name: found[name] for name in wanted or names}

    def prepare(self) -> None:
        """Plan the run of every signature, which TensorFlow else does on the first."""
        for signature, declared in self.signature_defs.items():
            if not signature.startswith(_PRIVATE):
                self._runner(signature, sorted(declared.outputs))

    def _runner(self, signature: str, names: list[str]) -> Callable[..., list[Any]]:
        key = (signature, *names)
        runner = self._runners.get(key)
        if runner is not None:
            return runner
        with self._lock:
            if key not in self._runners and len(self._runners) < _MAX_RUNNERS:
                self._runners[key] = self._new_runner(signature, names)
        if key in self._runners:
            return self._runners[key]
        everything = sorted(self.signature_defs[signature].outputs)
        places = [everything.index(name) for name in names]
        run_all = self._runner(signature, everything)

        def run(*arguments: Array) -> list[Any]:
            values = run_all(*arguments)
            return [values[place] for place in places]

        return run

    def _new_runner(self, signature: str, names: list[str]) -> Callable[..., list[Any]]:
        declared = self.signature_defs[signature]
        options = config_pb2.CallableOptions()
        options.feed.extend(declared.inputs[n].name for n in sorted(declared.inputs))
        options.fetch.extend(declared.outputs[name].name for name in names)
        options.run_options.inter_op_thread_pool = self.inter_op_pool
        # Unlike `make_callable`, it takes arrays of any shape, and its errors come
        # without Python's notes about where an op was made.
        return self.session._make_callable_from_options(options)


def open_session(parallelism: Parallelism) -> Any:
    """Return a session for one SavedModel; TensorFlow's threads start with the first.

    They have the priority of the thread that calls.
    """
    config = config_pb2.ConfigProto(
        intra_op_parallelism_threads=parallelism.intra_op,
        inter_op_parallelism_threads=parallelism.inter_op,
        allow_soft_placement=True,
    )
    # Its rewriting of the graph, for each signature anew, was four fifths of the CPU
    # time of a load and made no run faster. Sessions fold constants without it.
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.compat.v1.Session(graph=tf.Graph(), config=config)


def load_saved_model(
    path: str, tags: Sequence[str], session: Any, parallelism: Parallelism
) -> SavedModel:
    """Return the SavedModel at a path, in a session of `open_session`.

    Raises: whatever TensorFlow raises for a folder that holds no loadable SavedModel.
    """
    # The loader's advice to use its successor is not for those who start a server.
    tf.get_logger().setLevel("ERROR")
    loader = _OnThisThread(session)
    meta_graph = tf.compat.v1.saved_model.load(loader, list(tags), path)
    model = SavedModel(
        # Copies, so that the graph itself (up to 2 GB) is let go.
        signature_defs={
            name: type(definition).FromString(definition.SerializeToString())
            for name, definition in meta_graph.signature_def.items()
        },
        session=session,
        inter_op_pool=0 if parallelism.inter_op else _CALLERS_THREAD,
    )
    model.prepare()
    return model


@dataclass(frozen=True)
class _OnThisThread:
    """A session whose runs stay on the calling thread, and so at its priority."""

    session: Any

    @property
    def graph(self) -> Any:
        return self.session.graph

    def run(self, fetches: Any, feed_dict: Any = None, **ignored: Any) -> Any:
        options = config_pb2.RunOptions(inter_op_thread_pool=_CALLERS_THREAD)
        return self.session.run(fetches, feed_dict, options=options)


def is_file(path: str) -> bool:
    """Tell whether something is there, local or remote."""
    return bool(tf.io.gfile.exists(path))


def register_ops() -> None:
    """Import the op libraries that our models may use; each is optional."""
    for name in ("tensorflow_text", "scann"):
        try:
            __import__(name)
        except (ImportError, tf.errors.NotFoundError):
            # No wheel for this machine, or built for another TensorFlow: a model that
            # needs the ops then fails to load and says which one is missing.
            continue


def _default(declared: Any, name: str) -> Array:
    return from_proto(declared.defaults[name])


def _check_type(array: Array, expected: int, position: int) -> None:
    found = type_number(array)
    if found != expected:
        raise invalid_argument(
            f"Expects arg[{position}] to be {NAMES.get(expected, expected)} "
            f"but {NAMES[found]} is provided"
        )


def _unicode_as_bytes(array: Array) -> Array:
    return np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array


def _to_array(value: Any, number: int) -> Array:
    if NAMES.get(number) != "string":
        return np.asarray(value)
    if isinstance(value, np.ndarray):
        return value
    # A scalar comes as bytes, which NumPy would turn into a fixed-width type.
    return object_array([value], ())


def _message(text: str) -> str:
    """Return the graph's own words, without the session's notes on where they arose."""
    text = _ROOT_ERRORS.sub(r"\1", text)
    while (shorter := _NODE_NOTES.sub("", text)) != text:
        text = shorter
    return text.strip()
