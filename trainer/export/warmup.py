"""Warm-up requests that TF Serving replays before a version takes traffic."""

from typing import Any

import tensorflow as tf

from data import files
from data.prepared import Prepared
from trainer.config import ExportConfig

PLACE = ("assets.extra", "tf_serving_warmup_requests")
BATCHES = (1, 8)


def write_warmup(
    folder: str, servable: str, signatures: dict[str, dict[str, tf.Tensor]]
) -> None:
    """Write one request a signature and batch size into a version's folder.

    In: `signatures`: example inputs by signature and input name, batch of one.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    files.make_folder(files.join(folder, PLACE[0]))
    with tf.io.TFRecordWriter(files.join(folder, *PLACE)) as writer:
        for name, inputs in signatures.items():
            for batch in BATCHES:
                log = prediction_log_pb2.PredictionLog()
                request = log.predict_log.request
                request.model_spec.name = servable
                request.model_spec.signature_name = name
                for key, value in inputs.items():
                    repeated = tf.repeat(value, batch, axis=0)
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(repeated))
                writer.write(log.SerializeToString())


def examples(
    signatures: dict[str, Any], prepared: Prepared, export: ExportConfig
) -> dict[str, dict[str, tf.Tensor]]:
    """Make one input of each signature, of ids that the version knows."""
    some = {"item_id": prepared.item_ids[-1], "text": prepared.texts[-1], "k": export.k}
    if export.user_state:
        some["user_id"] = prepared.user_ids[-1]
    examples = {}
    for name, function in signatures.items():
        specs = function.structured_input_signature[1]
        examples[name] = {key: _example(key, spec, some) for key, spec in specs.items()}
    return examples


def _example(key: str, spec: tf.TensorSpec, some: dict[str, Any]) -> tf.Tensor:
    shape = [1] * spec.shape.rank
    if spec.dtype == tf.string:
        return tf.fill(shape, tf.constant(str(some.get(key, ""))))
    return tf.fill(shape, tf.constant(some.get(key, 0), spec.dtype))
