"""JSON values to the elements of a tensor: which value fits which type."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np

from serving.modelserver.codec.debug import describe, json_type
from serving.modelserver.errors import Code, StatusError, invalid_argument
from serving.tensors import NUMBERS, Array, numpy_type, object_array

_INT_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    # Narrow types are checked as int32 only and wrap when the tensor is built.
    "int16": (-(2**31), 2**31 - 1),
    "int8": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_WRAPPING = {"int16", "int8", "uint8"}
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*(={0,2})")
_BASE64_SPACE = re.compile(r"[ \t\r\n\v\f]+")


def is_base64(value: object) -> TypeGuard[dict[str, str]]:
    """Tell whether a value is an object with the one key `b64` and a string in it."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get("b64"), str)
        and not getattr(value, "repeated", None)
    )


def element(value: object, dtype: str) -> Any:
    """Return a JSON value as one element of a tensor of TensorFlow's type `dtype`.

    Raises: StatusError: INVALID_ARGUMENT for a value of another type, UNIMPLEMENTED
        for a tensor type that JSON cannot express.
    """
    if isinstance(value, dict):
        return _from_object(value, dtype)
    if dtype in ("float", "double"):
        fits = type(value) in (int, float)
    elif dtype in _INT_RANGES:
        low, high = _INT_RANGES[dtype]
        fits = type(value) is int and low <= value <= high
    elif dtype == "bool":
        fits = isinstance(value, bool)
    elif dtype == "string":
        fits = isinstance(value, str)
    else:
        text = f"Conversion of JSON Value: {describe(value)} to type: {dtype}"
        raise StatusError(Code.UNIMPLEMENTED, text)
    if not fits:
        raise _type_error(value, dtype)
    return _bytes(value) if isinstance(value, str) else value


def elements(flat: list[Any], dtype: str) -> list[Any] | None:
    """Return many values as elements at once, or None where one needs a closer look.

    The types are told apart in bulk: most requests hold one type throughout.
    """
    kinds = set(map(type, flat))
    if dtype in ("float", "double"):
        return flat if kinds <= {int, float} else None
    if dtype in _INT_RANGES:
        low, high = _INT_RANGES[dtype]
        whole = kinds <= {int} and (
            not flat or (min(flat) >= low and max(flat) <= high)
        )
        return flat if whole else None
    if dtype == "string":
        return [_bytes(text) for text in flat] if kinds <= {str} else None
    return flat if dtype == "bool" and kinds <= {bool} else None


def build(flat: list[Any], shape: Iterable[int], dtype: str) -> Array:
    """Return the tensor that holds the elements in row-major order.

    Raises: StatusError: INVALID_ARGUMENT for more dimensions than an array can have.
    """
    sizes = tuple(shape)
    try:
        if dtype == "string":
            return object_array(flat, sizes)
        kind = numpy_type(NUMBERS[dtype])
        if dtype == "float":
            # Beyond float32 becomes infinity or zero, silently, as upstream.
            with np.errstate(over="ignore", under="ignore"):
                return np.array(flat, np.float64).astype(kind).reshape(sizes)
        wide = np.dtype(np.int32) if dtype in _WRAPPING else kind
        return np.array(flat, wide).astype(kind, copy=False).reshape(sizes)
    except (KeyError, ValueError) as err:
        raise invalid_argument(
            f"Cannot build a tensor of type {dtype} with {len(sizes)} dimensions"
        ) from err


def _from_object(value: dict[str, object], dtype: str) -> bytes:
    if dtype != "string":
        raise _type_error(value, dtype)
    if not is_base64(value):
        raise invalid_argument(
            f"JSON Value: {describe(value)} not formatted correctly for base64 data"
        )
    text = _BASE64_SPACE.sub("", value["b64"]).encode("utf-8", "surrogateescape")
    match = _BASE64.fullmatch(text)
    padding = len(match.group(1)) if match else 0
    bare = text.rstrip(b"=")
    if match is None or (padding and (len(text) % 4)) or len(bare) % 4 == 1:
        raise invalid_argument("Unable to base64 decode")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4))
    except binascii.Error as err:
        raise invalid_argument("Unable to base64 decode") from err


def _type_error(value: object, dtype: str) -> StatusError:
    return invalid_argument(
        f"JSON Value: {describe(value)} Type: {json_type(value)} "
        f"is not of expected type: {dtype}"
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
