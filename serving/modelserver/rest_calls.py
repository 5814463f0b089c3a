"""What each REST call comes to; a model's worker reads the body and writes the text."""

import asyncio
import contextlib

from serving.modelserver.codec.request import parse_request
from serving.modelserver.errors import StatusError
from serving.modelserver.front_desk import FrontDesk
from serving.modelserver.inference_calls import check_body
from serving.modelserver.metadata_json import status_json
from serving.modelserver.routes import Route
from serving.modelserver.worker.frames import Method

_INFERENCE = {
    "predict": Method.REST_PREDICT,
    "classify": Method.REST_CLASSIFY,
    "regress": Method.REST_REGRESS,
}


async def answer(
    desk: FrontDesk, route: Route, body: bytes, time_left_s: float | None
) -> bytes:
    """Return the text that answers a call.

    In: `time_left_s`: seconds until nobody waits for it any more; None = no limit.
    Raises: StatusError: whatever fails, in TensorFlow Serving's order of checks.
    """
    spec, registry = route.spec, desk.registry
    if route.verb == "status":
        return status_json(registry.status(spec.name, spec.version))
    with contextlib.ExitStack() as stack:
        try:
            lease = stack.enter_context(registry.lease(spec))
        except StatusError:
            await _check_body(route.verb, body)
            raise
        if route.verb == "metadata":
            name = spec.name.encode("utf-8", "replace")
            return await lease.servable.call(Method.REST_METADATA, name)
        return await desk.ask(lease, _INFERENCE[route.verb], body, time_left_s)


async def _check_body(verb: str, body: bytes) -> None:
    """Raise what is wrong with a body, which comes before a model that is not there."""
    if verb in _INFERENCE:
        check = parse_request if verb == "predict" else check_body
        # On a thread: a large body takes long, and all other requests wait meanwhile.
        await asyncio.to_thread(check, body)
