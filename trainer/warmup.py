"""Warm-up requests that TF Serving replays before a version takes traffic."""

import tensorflow as tf

from data import files

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
