"""The REST API as a raw ASGI application."""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from serving.modelserver.codec.response import render_error
from serving.modelserver.errors import Code, StatusError, http_status
from serving.modelserver.flags import Flags
from serving.modelserver.front_desk import FrontDesk, Visit
from serving.modelserver.http_protocol import TARGET_KEY, html_page
from serving.modelserver.limits import RETRY_AFTER_S
from serving.modelserver.metrics.page import CONTENT_TYPE
from serving.modelserver.metrics_page import MetricsPage
from serving.modelserver.rest_calls import answer
from serving.modelserver.routes import (
    METHODS,
    VersionOverflowError,
    clean_target,
    find_route,
    is_api,
)

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_JSON: Headers = [(b"content-type", b"application/json")]
_TEXT: Headers = [(b"content-type", CONTENT_TYPE)]
_RETRY: Headers = [(b"retry-after", str(RETRY_AFTER_S).encode())]
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
]
_GZIP_BITS = 16 + zlib.MAX_WBITS
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """One HTTP response."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=lambda: list(_JSON))


class TooLargeError(Exception):
    """A body is over the limit."""


class RestApi:
    """The ASGI application; workers read the bodies and write the answers."""

    def __init__(
        self, desk: FrontDesk, flags: Flags, metrics_page: MetricsPage
    ) -> None:
        self._desk = desk
        self._metrics_page = metrics_page
        self._max_bytes = flags.rest_api_max_body_bytes
        timeout_ms = flags.rest_api_timeout_in_ms
        self._timeout_s = timeout_ms / 1000 if timeout_ms > 0 else None
        self._cors = list(_CORS) if flags.rest_api_enable_cors_support else []

    async def __call__(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answer one request."""
        reply = await self._reply(scope, receive)
        if reply is None:
            return
        length = str(len(reply.body)).encode()
        headers = [*reply.headers, (b"content-length", length)]
        start = {"type": "http.response.start", "status": reply.status}
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, scope: dict[str, Any], receive: Receive) -> Reply | None:
        method = scope["method"]
        target = clean_target(scope[TARGET_KEY])
        if method not in METHODS:
            return _page(HTTPStatus.NOT_IMPLEMENTED)
        if target is None:
            return _page(HTTPStatus.BAD_REQUEST)
        if self._metrics_page.is_at(target):
            return Reply(*await self._metrics_page.answer(target), _TEXT)
        if not is_api(target):
            return _page(HTTPStatus.NOT_FOUND)
        headers = {name: value for name, value in scope["headers"]}
        if method == "OPTIONS":
            return self._preflight(headers.get(b"origin", b""))
        try:
            body = await _read_body(receive, headers, self._max_bytes)
        except TooLargeError:
            with self._desk.visit("REST") as visit:
                visit.call, visit.status = method, Code.RESOURCE_EXHAUSTED
            text = f"Request body is larger than {self._max_bytes} bytes"
            return self._json(413, render_error(text))
        return None if body is None else await self._call(method, target, body)

    async def _call(self, method: str, target: str, body: bytes) -> Reply:
        try:
            with self._desk.visit("REST") as visit:
                return self._json(200, await self._answer(visit, method, target, body))
        except VersionOverflowError:
            return self._json(400, b"")
        except StatusError as err:
            return self._json(http_status(err.code), render_error(err.message))
        except Exception as err:
            # The type alone: the text of an error may quote what was asked for.
            logger.error("Internal error in a REST request: %s", type(err).__name__)
            return self._json(500, render_error("Internal error of the model server"))

    async def _answer(
        self, visit: Visit, method: str, target: str, body: bytes
    ) -> bytes:
        visit.call = method
        try:
            route = find_route(method, target)
        except VersionOverflowError:
            visit.status = Code.INVALID_ARGUMENT
            raise
        visit.call, visit.model = route.verb, route.spec.name
        visit.api = route.verb if method == "POST" else ""
        if route.verb == "status":
            # For probes, which a full server has to answer above all.
            return await answer(self._desk, route, body, self._timeout_s)
        try:
            with self._desk.admission.place("REST"):
                async with asyncio.timeout(self._timeout_s):
                    return await answer(self._desk, route, body, self._timeout_s)
        except TimeoutError:
            text = f"Timed out after {self._timeout_s} s waiting for the model"
            raise StatusError(Code.DEADLINE_EXCEEDED, text) from None

    def _preflight(self, origin: bytes) -> Reply:
        known = b"http://" in origin or b"https://" in origin
        with self._desk.visit("REST") as visit:
            visit.call = "OPTIONS"
            visit.status = Code.OK if known else Code.INVALID_ARGUMENT
        return Reply(200 if known else 400, b"", [*self._cors])

    def _json(self, status: int, body: bytes) -> Reply:
        again = _RETRY if status == HTTPStatus.SERVICE_UNAVAILABLE else []
        return Reply(status, body, [*_JSON, *self._cors, *again])


async def _read_body(
    receive: Receive, headers: dict[bytes, bytes], max_bytes: int
) -> bytes | None:
    """Return the whole body, inflated; None if the client went away."""
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > max_bytes:
        raise TooLargeError
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > max_bytes:
            raise TooLargeError
        more = message.get("more_body", False)
    body = b"".join(chunks)
    gzipped = b"gzip" in headers.get(b"content-encoding", b"").lower()
    # On a thread: a large body takes long, and all other requests wait meanwhile.
    return await asyncio.to_thread(_inflate, body, max_bytes) if gzipped else body


def _inflate(body: bytes, max_bytes: int) -> bytes:
    """Return the inflated body; nothing where it is not gzip, as upstream."""
    inflater = zlib.decompressobj(_GZIP_BITS)
    try:
        inflated = inflater.decompress(body, max_bytes + 1)
    except zlib.error:
        return b""
    if len(inflated) > max_bytes:
        raise TooLargeError
    return inflated if inflater.eof else b""


def _page(status: HTTPStatus) -> Reply:
    headers = [(b"content-type", b"text/html"), (b"connection", b"close")]
    return Reply(status.value, html_page(status), headers)
