"""PredictionLog, what a request was asked and answered, without TensorFlow.

The official class needs all of TensorFlow. Requests and responses stay bytes, as gRPC's
are: a server need not read what it only writes down.
"""

from serving.messages import message_classes

# By gRPC's method, the field of the log.
KINDS = {
    "classify": "classify_log",
    "regress": "regress_log",
    "multi_inference": "multi_inference_log",
    "predict": "predict_log",
}
_CLASSES = message_classes(
    """
Int64Value: value=1 int64
ModelSpec: name=1 string, version=2 Int64Value@version_choice, signature_name=3 string,
  version_label=4 string@version_choice
SamplingConfig: sampling_rate=1 double
LogMetadata: model_spec=1 ModelSpec, sampling_config=2 SamplingConfig,
  saved_model_tags=3 string*, timestamp_secs=4 int64
Logged: request=1 bytes, response=2 bytes
PredictionLog: log_metadata=1 LogMetadata, classify_log=2 Logged@log_type,
  regress_log=3 Logged@log_type, multi_inference_log=4 Logged@log_type,
  session_run_log=5 Logged@log_type, predict_log=6 Logged@log_type,
  predict_streamed_log=7 Logged@log_type
"""
)
PredictionLog = _CLASSES["PredictionLog"]
