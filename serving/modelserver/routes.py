"""REST targets: which model, which version, which call.

The whole target is matched, with its query string and fragment: that is what
TensorFlow Serving does, and why `:predict?a=1` is malformed.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from serving.modelserver.errors import invalid_argument
from serving.modelserver.model_spec import ModelSpec

METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"})
_ORIGIN = re.compile(r"\A[a-z][a-z0-9+.-]*://[^/?#]*", re.I)
# RFC 3986 without the leniencies: libevent refuses all else before any handler runs.
_CHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})"
_VALID = re.compile(rf"{_CHAR}*(?:\?(?:{_CHAR}|\?)*)?(?:#(?:{_CHAR}|\?)*)?", re.ASCII)
_GATE = re.compile(r"/v1/.*", re.I)
_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(
    rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)", re.I
)
_GET = re.compile(
    rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?", re.I
)
_VERBS = {"POST": ("classify", "regress", "predict"), "GET": ("metadata",)}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One call: `verb` is predict, classify, regress, metadata or status."""

    verb: str
    spec: ModelSpec


class VersionOverflowError(ValueError):
    """The version has more digits than 64 bits hold; answered without any text."""


def clean_target(target: bytes) -> str | None:
    """Return path, query and fragment of a request target, or None if malformed."""
    text = _ORIGIN.sub("", target.decode("latin-1"))
    return text if _VALID.fullmatch(text) else None


def is_api(target: str) -> bool:
    """Tell whether a target is the API's; all others get a plain 404 page."""
    return _GATE.fullmatch(target) is not None


def find_route(method: str, target: str) -> Route:
    """Return the call that a method and a target of the API name.

    Raises: StatusError: INVALID_ARGUMENT: they name none, or no model.
        VersionOverflowError: the version does not fit 64 bits.
    """
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(target) if pattern else None
    if match is None:
        raise invalid_argument(f"Malformed request: {method} {target}")
    version = match["version"]
    if version is not None and _overflows(version):
        raise VersionOverflowError
    spec = ModelSpec(
        name=_decoded(match["model"] or ""),
        version=None if version is None else int(version.lstrip("0") or "0"),
        label=None if match["label"] is None else _decoded(match["label"]),
    )
    if not spec.name:
        raise invalid_argument("Missing model name in request.")
    verb = match["verb"]
    # Only the exact spelling is dispatched, although the pattern ignores case.
    if verb in _VERBS[method]:
        return Route(verb=verb, spec=spec)
    if method == "GET":
        return Route(verb="status", spec=spec)
    raise invalid_argument(f"Malformed request: {method} {target}")


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def _overflows(digits: str) -> bool:
    # Python refuses to read thousands of digits: compare lengths first.
    bare = digits.lstrip("0")
    return len(bare) > 19 or int(bare or "0") >= 2**63
