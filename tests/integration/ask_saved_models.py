"""Answers calls of SavedModels with nothing but TensorFlow, tf.text and ScaNN.

A script of its own: python -I ask_saved_models.py REQUEST.json ANSWER.json
"""

import json
import sys

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401
from tensorflow.python.client import pywrap_tf_session

OURS = ("data", "trainer", "serving", "tests", "keras_nlp", "tensorflow_recommenders")


def stock_ops() -> list[str]:
    """List the ops of TensorFlow and tf.text; ScaNN must not be imported yet."""
    from tensorflow.core.framework import op_def_pb2

    buffer = pywrap_tf_session.TF_GetAllOpList()
    ops = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(buffer))
    return sorted(op.name for op in ops.op)


def to_tensor(value: object, spec: tf.TensorSpec) -> tf.Tensor:
    """Make a tensor of an input; lists may be empty in any dimension."""
    array = np.array(value, dtype=object if spec.dtype == tf.string else None)
    if array.size == 0:
        shape = array.shape + (0,) * (spec.shape.rank - array.ndim)
        return tf.zeros(shape, spec.dtype)
    return tf.constant(array.tolist(), spec.dtype)


def plain(tensor: tf.Tensor) -> object:
    """Return what JSON can hold; non-numbers become text and so cannot hide."""
    array = tensor.numpy()
    if array.dtype == object:
        return np.vectorize(bytes.decode, otypes=[object])(array).tolist()
    if not np.isfinite(array).all():
        return [str(v) for v in array.ravel().tolist()]
    return array.tolist()


def answer(loaded: dict, call: dict) -> dict:
    """Answer one call: its outputs, or how it was refused."""
    function = loaded[call["servable"]].signatures[call["signature"]]
    specs = function.structured_input_signature[1]
    assert sorted(specs) == sorted(call["inputs"]), (sorted(specs), call)
    inputs = {name: to_tensor(v, specs[name]) for name, v in call["inputs"].items()}
    try:
        outputs = function(**inputs)
    except tf.errors.OpError as err:
        return {"error": [type(err).__name__, err.message]}
    return {"outputs": {name: plain(value) for name, value in outputs.items()}}


def main(request_path: str, answer_path: str) -> None:
    """Load the models, answer the calls."""
    ops = stock_ops()
    import scann  # noqa: F401

    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    loaded = {n: tf.saved_model.load(p) for n, p in request["models"].items()}
    answers = {name: answer(loaded, call) for name, call in request["calls"].items()}
    facts = {
        "stock_ops": ops,
        "ours": [name for name in OURS if name in sys.modules],
        "signatures": {n: sorted(m.signatures) for n, m in loaded.items()},
    }
    with open(answer_path, "w", encoding="utf-8") as file:
        json.dump({"answers": answers, "facts": facts}, file)


main(*sys.argv[1:])
