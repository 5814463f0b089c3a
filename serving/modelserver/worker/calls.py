"""What a worker answers: requests in gRPC's or REST's form, about its one version."""

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2

from serving.messages import PredictRequest, PredictResponse
from serving.modelserver import inference_calls
from serving.modelserver.batching import waiting_at_most
from serving.modelserver.codec.request import parse_request, read_tensors
from serving.modelserver.codec.response import render_columns, render_rows
from serving.modelserver.lifecycle import Servable
from serving.modelserver.metadata_json import metadata_json
from serving.modelserver.metrics import ServingMetrics
from serving.modelserver.predict import (
    DEFAULT_SIGNATURE,
    check_method_name,
    predict,
    rest_inputs,
)
from serving.modelserver.worker.frames import Exchanged, Frame, Method
from serving.modelserver.worker.order import Order
from serving.tensors import Array, fill_proto, from_proto


class Calls:
    """The calls about one loaded version.

    In: `servable`: runs it, alone or in batches; `metrics`: gets the times of runs.
    """

    def __init__(
        self, order: Order, servable: Servable, metrics: ServingMetrics
    ) -> None:
        self._model = order.model
        self._version = order.version
        self._compact = order.flags.enable_serialization_as_tensor_content
        self._check_method = order.flags.enable_signature_method_name_check
        self._servable = servable
        self._metrics = metrics
        classify, regress = self._timed("Classify"), self._timed("Regress")
        self._predicting = self._timed("Predict")
        self._methods: dict[int, Callable[[bytes], bytes]] = {
            Method.PREDICT: self._predict,
            Method.CLASSIFY: self._message(inference_calls.classify, classify),
            Method.REGRESS: self._message(inference_calls.regress, regress),
            Method.MULTI_INFERENCE: self._message(
                functools.partial(
                    inference_calls.answer_multi_inference,
                    observe=functools.partial(metrics.observe_examples, self._model),
                ),
                self._timed("MultiInference"),
            ),
            Method.METADATA: self._metadata,
            Method.REST_PREDICT: self._rest_predict,
            Method.REST_CLASSIFY: self._body(inference_calls.rest_classify, classify),
            Method.REST_REGRESS: self._body(inference_calls.rest_regress, regress),
            Method.REST_METADATA: self._rest_metadata,
            Method.LOGGED_REST_PREDICT: self._logged_rest_predict,
            Method.LOGGED_REST_CLASSIFY: self._logged(
                inference_calls.logged_rest_classify, classify
            ),
            Method.LOGGED_REST_REGRESS: self._logged(
                inference_calls.logged_rest_regress, regress
            ),
            Method.METRICS: self._drain,
        }

    def answer(self, frame: Frame) -> bytes:
        """Return the answer to a call.

        Raises: StatusError: whatever fails, in TensorFlow Serving's order of checks.
            DecodeError: not the method's message.
        """
        with waiting_at_most(frame.time_us / 1e6 if frame.time_us else None):
            return self._methods[frame.kind](frame.payload)

    def _timed(self, api: str) -> Servable:
        observe = functools.partial(self._metrics.observe_runtime, self._model, api)
        return _Timed(self._servable, observe)

    def _message(self, call: Callable[..., bytes], servable: Servable) -> Any:
        return functools.partial(
            call, servable, self._version, check_method=self._check_method
        )

    def _body(self, call: Callable[..., bytes], servable: Servable) -> Any:
        return functools.partial(call, servable, check_method=self._check_method)

    def _predict(self, body: bytes) -> bytes:
        request = PredictRequest.FromString(body)
        inputs = {
            name: functools.partial(from_proto, proto)
            for name, proto in request.inputs.items()
        }
        spec = request.model_spec
        signature = spec.signature_name or DEFAULT_SIGNATURE
        outputs = predict(
            self._predicting,
            signature,
            inputs,
            list(request.output_filter),
            check_method=self._check_method,
        )
        response = PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = self._version
        response.model_spec.signature_name = signature
        for name, array in outputs.items():
            fill_proto(response.outputs[name], array, compact=self._compact)
        return bytes(response.SerializeToString())

    def _logged(
        self, call: Callable[..., Exchanged], servable: Servable
    ) -> Callable[[bytes], bytes]:
        def answer(body: bytes) -> bytes:
            check = self._check_method
            told = call(servable, self._model, self._version, body, check_method=check)
            return told.to_bytes()

        return answer

    def _rest_predict(self, body: bytes) -> bytes:
        return self._rest_predicted(body)[-1]

    def _logged_rest_predict(self, body: bytes) -> bytes:
        """Answer as REST does, and tell what gRPC would have carried."""
        signature, tensors, outputs, answer = self._rest_predicted(body)
        request, response = PredictRequest(), PredictResponse()
        request.model_spec.name = response.model_spec.name = self._model
        response.model_spec.version.value = self._version
        for message in (request, response):
            message.model_spec.signature_name = signature
        for fields, arrays in ((request.inputs, tensors), (response.outputs, outputs)):
            for name, array in arrays.items():
                fill_proto(fields[name], array)
        told = (request.SerializeToString(), response.SerializeToString(), answer)
        return Exchanged(*told).to_bytes()

    def _rest_predicted(
        self, body: bytes
    ) -> tuple[str, dict[str, Array], dict[str, Array], bytes]:
        """Return the signature, what it was asked and gave, and the answer's text."""
        request = parse_request(body)
        signature = request.signature or DEFAULT_SIGNATURE
        declared = rest_inputs(self._servable, signature)
        in_rows, tensors = read_tensors(request, declared)
        if self._check_method:
            check_method_name(self._servable, signature)
        outputs = self._predicting.run(signature, tensors)
        answer = render_rows(outputs) if in_rows else render_columns(outputs)
        return signature, tensors, outputs, answer

    def _metadata(self, name: bytes) -> bytes:
        return bytes(self._described(name).SerializeToString())

    def _rest_metadata(self, name: bytes) -> bytes:
        return metadata_json(self._described(name))

    def _described(self, name: bytes) -> Any:
        definitions = get_model_metadata_pb2.SignatureDefMap()
        for key, definition in self._servable.signature_defs.items():
            definitions.signature_def[key].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = name.decode()
        response.model_spec.version.value = self._version
        response.metadata["signature_def"].Pack(definitions)
        return response

    def _drain(self, _: bytes) -> bytes:
        return json.dumps(self._metrics.drain()).encode()


class _Timed:
    """A servable whose runs that succeed are timed: from queue to outputs."""

    def __init__(self, servable: Servable, observe: Callable[[float], None]) -> None:
        self._servable = servable
        self._observe = observe
        self.signature_defs = servable.signature_defs

    def run(
        self, signature: str, inputs: Mapping[str, Array], wanted: Sequence[str] = ()
    ) -> dict[str, Array]:
        started = time.perf_counter()
        outputs = self._servable.run(signature, inputs, wanted)
        self._observe((time.perf_counter() - started) * 1e6)
        return outputs
