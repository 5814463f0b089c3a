"""The gRPC services: PredictionService and ModelService."""

import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.modelserver.errors import StartupError, StatusError, invalid_argument
from serving.modelserver.flags import Flags
from serving.modelserver.model_spec import ModelSpec
from serving.modelserver.predict import predict
from serving.modelserver.registry import Registry
from serving.tensors import fill_proto, from_proto

_METADATA_FIELD = "signature_def"
_MAX_ERROR_BYTES = 1024
_MAX_MESSAGE_BYTES = 2**31 - 1
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_Reply = TypeVar("_Reply")
logger = logging.getLogger(__name__)


class PredictionService(
    prediction_service_pb2_grpc.PredictionServiceServicer  # type: ignore[misc]  # the stubs are untyped
):
    """Predict and GetModelMetadata; other methods answer UNIMPLEMENTED."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run one signature of a model on the tensors of the request."""
        return _answer(context, lambda: self._predict(request))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the signatures of a model."""
        return _answer(context, lambda: self._metadata(request))

    def _predict(self, request: Any) -> Any:
        inputs = {
            name: functools.partial(from_proto, proto)
            for name, proto in request.inputs.items()
        }
        spec = _spec(request)
        signature = request.model_spec.signature_name
        result = predict(
            self._registry, spec, signature, inputs, list(request.output_filter)
        )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = result.version
        response.model_spec.signature_name = result.signature
        for name, array in result.outputs.items():
            fill_proto(response.outputs[name], array)
        return response

    def _metadata(self, request: Any) -> Any:
        if not request.metadata_field:
            raise invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != _METADATA_FIELD:
                raise invalid_argument(f"Metadata field {field} is not supported")
        return signature_metadata(self._registry, _spec(request))


class ModelService(
    model_service_pb2_grpc.ModelServiceServicer  # type: ignore[misc]  # the stubs are untyped
):
    """GetModelStatus; other methods answer UNIMPLEMENTED."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the state of one or all versions of a model."""
        return _answer(context, lambda: self._status(request))

    def _status(self, request: Any) -> Any:
        spec = _spec(request, check_name=False)
        response = get_model_status_pb2.GetModelStatusResponse()
        for found in self._registry.status(spec.name, spec.version):
            entry = response.model_version_status.add(
                version=found.number, state=int(found.state)
            )
            entry.status.error_code = int(found.code)
            entry.status.error_message = found.message
        return response


def signature_metadata(registry: Registry, spec: ModelSpec) -> Any:
    """Return the GetModelMetadataResponse of a model, for both transports.

    Raises: StatusError: no such model or version.
    """
    definitions = get_model_metadata_pb2.SignatureDefMap()
    with registry.lease(spec) as lease:
        for name, definition in lease.servable.signature_defs.items():
            definitions.signature_def[name].CopyFrom(definition)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = spec.name
    response.model_spec.version.value = lease.version
    response.metadata[_METADATA_FIELD].Pack(definitions)
    return response


def build_grpc_server(registry: Registry, flags: Flags) -> grpc.Server:
    """Return a gRPC server bound to its port, not yet started.

    Raises: StartupError: the port or the socket is taken or may not be used.
    """
    server = grpc.server(
        ThreadPoolExecutor(flags.grpc_max_threads, thread_name_prefix="grpc"),
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            # With it, a second server would share the port without any error.
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(registry), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelService(registry), server
    )
    if flags.port:
        _bind(server, f"0.0.0.0:{flags.port}", f"--port={flags.port}")
    if flags.grpc_socket_path:
        path = flags.grpc_socket_path
        _bind(server, f"unix:{path}", f"--grpc_socket_path={path}")
    return server


def _bind(server: grpc.Server, address: str, flag: str) -> None:
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError:
        bound = 0
    if not bound:
        raise StartupError(
            f"{flag}: {address} cannot be bound. Another process may hold it: stop "
            "that one, or choose another address."
        )


def _spec(request: Any, *, check_name: bool = True) -> ModelSpec:
    if not request.HasField("model_spec") and check_name:
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    return ModelSpec(
        name=spec.name,
        version=spec.version.value if choice == "version" else None,
        label=spec.version_label if choice == "version_label" else None,
    )


def _answer(context: grpc.ServicerContext, call: Callable[[], _Reply]) -> _Reply:
    try:
        return call()
    except StatusError as err:
        code, message = int(err.code), err.message
    except Exception as err:
        # The type alone: the text of an error may quote what was asked for.
        logger.error("Internal error in a gRPC request: %s", type(err).__name__)
        code, message = 13, "Internal error of the model server"
    context.abort(_CODES[code], _shortened(message))


def _shortened(message: str) -> str:
    """Cut an error text as TensorFlow Serving does: gRPC sends it in a header."""
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= _MAX_ERROR_BYTES:
        return encoded.decode()
    return encoded[:_MAX_ERROR_BYTES].decode("utf-8", "ignore") + "...TRUNCATED"
