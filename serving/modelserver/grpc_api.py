"""The gRPC services: PredictionService and ModelService.

Of a request only the model spec is read here; the rest goes to the worker as it came.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving.messages import (
    GetModelMetadataRequest,
    GetModelStatusRequest,
    GetModelStatusResponse,
    MultiInferenceRequest,
    ReloadConfigRequest,
    ReloadConfigResponse,
)
from serving.modelserver.errors import Code, StatusError, invalid_argument
from serving.modelserver.front_desk import FrontDesk
from serving.modelserver.metrics import ServingMetrics
from serving.modelserver.metrics_page import absorb_all
from serving.modelserver.model_spec import ModelSpec
from serving.modelserver.registry import Registry
from serving.modelserver.reload import Reloader
from serving.modelserver.worker.frames import Method

_METADATA_FIELD = "signature_def"
_MAX_ERROR_BYTES = 1024
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# The first field of these requests is the model spec, as of GetModelStatusRequest.
_INFERENCE = {
    "Predict": Method.PREDICT,
    "Classify": Method.CLASSIFY,
    "Regress": Method.REGRESS,
}
Context = grpc.aio.ServicerContext
Handler = Callable[[bytes, Context], Awaitable[bytes]]
logger = logging.getLogger(__name__)


def services(desk: FrontDesk, reloader: Reloader) -> list[grpc.GenericRpcHandler]:
    """Return both services, for an asyncio server."""
    prediction = PredictionService(desk)
    methods = {
        "MultiInference": prediction.multi_inference,
        "GetModelMetadata": prediction.metadata,
        **{name: prediction.inference(name) for name in _INFERENCE},
    }
    models = ModelService(desk.registry, desk.metrics, reloader)
    management = {
        "GetModelStatus": models.status,
        "HandleReloadConfigRequest": models.reload,
    }
    return [
        _service("tensorflow.serving.PredictionService", methods),
        _service("tensorflow.serving.ModelService", management),
    ]


class PredictionService:
    """Requests about a model's content: its worker answers."""

    def __init__(self, desk: FrontDesk) -> None:
        self._desk = desk

    def inference(self, name: str) -> Handler:
        """Return the handler of a request whose first field is a model spec."""
        method = _INFERENCE[name]

        async def answer(request: bytes, context: Context) -> bytes:
            with self._desk.visit("GRPC") as visit:
                visit.call = visit.api = name
                spec = _spec(_parsed(GetModelStatusRequest, request))
                visit.model = spec.name
                return await self._ask(spec, method, request, context)

        return answer

    async def multi_inference(self, request: bytes, context: Context) -> bytes:
        """Answer several tasks on one input; the first names model and version."""
        with self._desk.visit("GRPC", counted=False) as visit:
            visit.call = "MultiInference"
            tasks = _parsed(MultiInferenceRequest, request).tasks
            unnamed = ModelSpec(name="")
            spec = _spec(tasks[0], check_presence=False) if tasks else unnamed
            visit.model = spec.name
            return await self._ask(spec, Method.MULTI_INFERENCE, request, context)

    async def metadata(self, request: bytes, context: Context) -> bytes:
        """Return the signatures of a model."""
        message = _parsed(GetModelMetadataRequest, request)
        spec = _spec(message)
        if not message.metadata_field:
            raise invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in message.metadata_field:
            if field != _METADATA_FIELD:
                raise invalid_argument(f"Metadata field {field} is not supported")
        return await self._ask(spec, Method.METADATA, spec.name.encode(), context)

    async def _ask(
        self, spec: ModelSpec, method: Method, payload: bytes, context: Context
    ) -> bytes:
        desk = self._desk
        with desk.admission.place("GRPC"), desk.registry.lease(spec) as lease:
            time_left_s = context.time_remaining()
            return await desk.ask(lease, method, payload, time_left_s)


class ModelService:
    """Requests about the server's models, which need none of them."""

    def __init__(
        self, registry: Registry, metrics: ServingMetrics, reloader: Reloader
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._reloader = reloader

    async def reload(self, request: bytes, context: Context) -> bytes:
        """Apply another configuration, and wait until its new models serve.

        The answer tells by how much the metrics have grown that the request names.
        """
        message = _parsed(ReloadConfigRequest, request)
        before = await self._counts(message.metric_names)
        await self._reloader.reload(message.config, context.time_remaining())
        response = ReloadConfigResponse()
        response.status.SetInParent()
        for name, count in (await self._counts(message.metric_names)).items():
            response.metric.add(name=name, int64_value_increase=count - before[name])
        return bytes(response.SerializeToString())

    async def _counts(self, names: Collection[str]) -> dict[str, int]:
        if names:
            await absorb_all(self._registry, self._metrics)
        return self._metrics.counts(names) if names else {}

    async def status(self, request: bytes, context: Context) -> bytes:
        """Return the state of one or all versions of a model."""
        message = _parsed(GetModelStatusRequest, request)
        spec = _spec(message)
        response = GetModelStatusResponse()
        for found in self._registry.status(spec.name, spec.version):
            entry = response.model_version_status.add(
                version=found.number, state=int(found.state)
            )
            entry.status.error_code = int(found.code)
            entry.status.error_message = found.message
        return bytes(response.SerializeToString())


def _service(name: str, methods: Mapping[str, Handler]) -> grpc.GenericRpcHandler:
    handlers: dict[str, Any] = {
        method: grpc.unary_unary_rpc_method_handler(_answering(handler))
        for method, handler in methods.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _answering(handler: Handler) -> Handler:
    """Turn what a handler raises into a status of gRPC."""

    async def answer(request: bytes, context: Context) -> bytes:
        try:
            return await handler(request, context)
        except StatusError as err:
            code, message = int(err.code), err.message
        except Exception as err:
            # The type alone: the text of an error may quote what was asked for.
            logger.error("Internal error in a gRPC request: %s", type(err).__name__)
            code, message = 13, "Internal error of the model server"
        await context.abort(_CODES[code], _shortened(message))

    return answer


def _parsed(message: Any, request: bytes) -> Any:
    try:
        return message.FromString(request)
    except DecodeError:
        # As gRPC answers what is not the method's message.
        text = "The request is not the message that this method takes"
        raise StatusError(Code.INTERNAL, text) from None


def _spec(request: Any, *, check_presence: bool = True) -> ModelSpec:
    if check_presence and not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    return ModelSpec(
        name=spec.name,
        version=spec.version.value if choice == "version" else None,
        label=spec.version_label if choice == "version_label" else None,
    )


def _shortened(message: str) -> str:
    """Cut an error text as TensorFlow Serving does: gRPC sends it in a header."""
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= _MAX_ERROR_BYTES:
        return encoded.decode()
    return encoded[:_MAX_ERROR_BYTES].decode("utf-8", "ignore") + "...TRUNCATED"
