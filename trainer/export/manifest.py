"""What a version says of itself: signatures, ops, sizes, what it was made with."""

import importlib.metadata
import os
import platform
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from data import files

PACKAGES = (
    *("tensorflow", "tf-keras", "tensorflow-recommenders", "tensorflow-text"),
    *("keras-nlp", "keras", "scann", "numpy"),
)


def ops_beyond_stock(folder: str) -> list[str]:
    """List the ops of a SavedModel that the stock TF Serving binary does not have.

    TF Serving links TensorFlow's own ops and those of tf.text; what a wheel such as
    scann registers has a namespace before ">".
    """
    proto = saved_model_pb2.SavedModel()
    with files.open_file(files.join(folder, "saved_model.pb")) as file:
        proto.ParseFromString(file.read())
    ops: set[str] = set()
    for graph in (meta.graph_def for meta in proto.meta_graphs):
        ops |= {node.op for node in graph.node}
        for function in graph.library.function:
            ops |= {node.op for node in function.node_def}
    return sorted(op for op in ops if ">" in op and not op.startswith("TFText>"))


def described(function: Any) -> dict[str, Any]:
    """Return a signature's inputs and outputs: dtype and shape by name."""

    def tensors(specs: dict[str, Any]) -> dict[str, Any]:
        return {n: [s.dtype.name, s.shape.as_list()] for n, s in sorted(specs.items())}

    inputs = function.structured_input_signature[1]
    return {"inputs": tensors(inputs), "outputs": tensors(function.structured_outputs)}


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of what the models stand on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def size_of(folder: str) -> int:
    """Return the bytes of all files of a local folder, 0 of a remote one."""
    if files.is_remote(folder):
        return 0
    return sum(
        os.path.getsize(os.path.join(parent, name))
        for parent, _, names in os.walk(folder)
        for name in names
    )
