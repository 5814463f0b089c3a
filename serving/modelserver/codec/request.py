"""The body of a predict request: document, columnar format, and which of the two."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from serving.modelserver.codec.debug import describe
from serving.modelserver.codec.dense import checked, regular
from serving.modelserver.codec.keys import has_all_keys
from serving.modelserver.codec.rows import read_rows
from serving.modelserver.codec.scan import scan
from serving.modelserver.codec.values import build, is_base64
from serving.modelserver.errors import StatusError, invalid_argument
from serving.tensors import Array

Inputs = Mapping[str, str]
_ROWS = "instances"
_COLUMNS = "inputs"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A body whose syntax was checked; its tensors wait for the signature's types."""

    signature: str
    body: dict[str, Any]


def parse_request(body: bytes) -> Request:
    """Return the document of a predict request.

    Raises: StatusError: not JSON, not an object, or `signature_name` not a string.
    """
    document = load(body)
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {describe(document)} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {describe(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return Request(signature=name, body=document)


def load(body: bytes) -> object:
    """Return the JSON value of a body, by the fast parser where that is safe.

    orjson takes strict JSON only, and so nothing that `scan` would refuse. It hides
    repeated keys, though: where keys are fewer than the text has, `scan` reads.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return scan(body)
    return document if has_all_keys(body, document) else scan(body)


def read_tensors(request: Request, inputs: Inputs) -> tuple[bool, dict[str, Array]]:
    """Return whether the request is in row format, and its tensors by input name.

    In: `inputs`: the signature's input names and TensorFlow's names of their types.
    Raises: StatusError: as upstream words it; a value is wrong or an input is missing.
    """
    if not inputs:
        name = request.signature or "DEFAULT"
        raise invalid_argument(f"Failed to get input map for signature: {name}")
    body = request.body
    if _ROWS in body:
        if _COLUMNS in body:
            raise _format_error(
                body,
                "Not formatted correctly expecting only one of 'inputs' or "
                "'instances' keys to exist ",
            )
        return True, _read_rows(body, inputs)
    if _COLUMNS in body:
        return False, _read_columns(body[_COLUMNS], inputs)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _read_rows(body: dict[str, Any], inputs: Inputs) -> dict[str, Array]:
    rows = body[_ROWS]
    if not isinstance(rows, list):
        raise _format_error(body, "Expecting 'instances' to be an list/array")
    if not rows:
        raise _format_error(body, "No values in 'instances' array")
    return read_rows(rows, inputs)


def _read_columns(value: Any, inputs: Inputs) -> dict[str, Array]:
    if not isinstance(value, dict) or is_base64(value):
        if len(inputs) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        value = dict.fromkeys(inputs, value)
    tensors = {}
    for name in sorted(inputs):
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        dtype = inputs[name]
        shape, flat = regular(value[name], dtype) or checked(value[name], dtype)
        tensors[name] = build(flat, shape, dtype)
    return tensors


def _format_error(body: dict[str, Any], problem: str) -> StatusError:
    return invalid_argument(f"JSON Value: {describe(body)} {problem}")
