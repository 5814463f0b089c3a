"""The client over REST."""

import time
from collections.abc import Mapping
from urllib.parse import quote

import httpx2

from serving.client.base import (
    DEFAULT_SIGNATURE,
    DEFAULT_TIMEOUT_S,
    Client,
)
from serving.client.errors import ServingError, nothing_listens
from serving.client.options import ModelNames, Widths
from serving.client.rest_json import parse, read_metadata, read_outputs, request_body
from serving.client.results import ModelMetadata, ModelVersion, Signature
from serving.tensors import Array

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_BACKOFFS_S = (0.1, 0.2, 0.4)
_UNAVAILABLE = 503


class RestClient(Client):
    """Queries over REST, in the columnar format.

    In: `target`: host:port or a URL; `timeout_s`: for each query, retries included; the
        rest as in `Client`. A signature is looked up once, for the types that JSON does
        not carry.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:8501",
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        widths: Widths | None = None,
        names: ModelNames | None = None,
        titles: bool = True,
    ) -> None:
        super().__init__(widths=widths, names=names, titles=titles)
        self._target = target
        self._timeout_s = timeout_s
        url = target if "://" in target else f"http://{target}"
        # No proxies or .netrc from the environment: the server is named, and nearby.
        self._http = httpx2.Client(base_url=url, trust_env=False)
        self._signatures: dict[tuple[str, str], Signature] = {}

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Array],
        signature: str = DEFAULT_SIGNATURE,
    ) -> dict[str, Array]:
        """Run a signature of a model's newest version; see `Client.predict`."""
        body = self._send(
            "POST", f"{_path(model)}:predict", request_body(inputs, signature)
        )
        fresh = (model, signature) not in self._signatures
        try:
            return read_outputs(body, self._signature(model, signature))
        except ServingError:
            # A newer version may have other outputs than the one looked up earlier.
            if fresh:
                raise
            del self._signatures[model, signature]
            return read_outputs(body, self._signature(model, signature))

    def status(self, model: str) -> list[ModelVersion]:
        """Return the state of every version of a model; see `Client.status`."""
        document = parse(self._send("GET", _path(model)))
        return [
            ModelVersion(
                version=int(entry["version"]),
                state=entry["state"],
                error_code=entry["status"]["error_code"],
                error_message=entry["status"]["error_message"],
            )
            for entry in document["model_version_status"]
        ]

    def metadata(self, model: str) -> ModelMetadata:
        """Return a model's signatures; see `Client.metadata`."""
        return read_metadata(self._send("GET", f"{_path(model)}/metadata"))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _signature(self, model: str, signature: str) -> Signature:
        key = (model, signature)
        if key not in self._signatures:
            self._signatures[key] = self.metadata(model).signatures[signature]
        return self._signatures[key]

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of a good response, trying again where that can help."""
        deadline = time.monotonic() + self._timeout_s
        for backoff_s in (*_BACKOFFS_S, None):
            left_s = deadline - time.monotonic()
            last = backoff_s is None or backoff_s >= left_s
            try:
                response = self._http.request(
                    method, path, content=body, timeout=max(left_s, 0.001)
                )
            except httpx2.ConnectError:
                if last:
                    raise nothing_listens(self._target) from None
            except httpx2.TimeoutException:
                text = f"no answer from {self._target} within {self._timeout_s} s"
                raise ServingError("DEADLINE_EXCEEDED", text) from None
            except httpx2.HTTPError as err:
                text = f"{self._target} broke off: {type(err).__name__}"
                raise ServingError("UNAVAILABLE", text) from None
            else:
                if response.status_code != _UNAVAILABLE or last:
                    return _checked(response)
            time.sleep(backoff_s or 0.0)
        raise AssertionError("the last try returns or raises")


def _path(model: str) -> str:
    return f"/v1/models/{quote(model, safe='')}"


def _checked(response: httpx2.Response) -> bytes:
    if response.status_code == httpx2.codes.OK:
        return response.content
    code = _CODES.get(response.status_code, "UNKNOWN")
    message = f"HTTP {response.status_code}"
    if response.headers.get("content-type") == "application/json" and response.content:
        message = str(parse(response.content).get("error", message))
    raise ServingError(code, message)
