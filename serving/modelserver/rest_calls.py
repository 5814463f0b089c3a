"""What each REST call does, from body to response text; runs on a worker thread."""

from serving.modelserver.codec.request import parse_request, read_tensors
from serving.modelserver.codec.response import render_columns, render_rows
from serving.modelserver.errors import Code, StatusError
from serving.modelserver.grpc_api import signature_metadata
from serving.modelserver.metadata_json import metadata_json, status_json
from serving.modelserver.model_spec import ModelSpec
from serving.modelserver.predict import DEFAULT_SIGNATURE, rest_inputs
from serving.modelserver.registry import Registry
from serving.modelserver.routes import Route


def answer(registry: Registry, route: Route, body: bytes) -> bytes:
    """Return the text that answers a call.

    Raises: StatusError: whatever fails, in TensorFlow Serving's order of checks.
    """
    if route.verb == "predict":
        return _predict(registry, route.spec, body)
    if route.verb == "metadata":
        return metadata_json(signature_metadata(registry, route.spec))
    if route.verb == "status":
        return status_json(registry.status(route.spec.name, route.spec.version))
    text = f"This server answers predict; {route.verb} is not among its calls."
    raise StatusError(Code.UNIMPLEMENTED, text)


def _predict(registry: Registry, spec: ModelSpec, body: bytes) -> bytes:
    request = parse_request(body)
    signature = request.signature or DEFAULT_SIGNATURE
    with registry.lease(spec) as lease:
        declared = rest_inputs(lease.servable, signature)
        in_rows, tensors = read_tensors(request, declared)
        outputs = lease.servable.run(signature, tensors)
    return render_rows(outputs) if in_rows else render_columns(outputs)
