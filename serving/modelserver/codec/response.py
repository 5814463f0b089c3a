"""Output tensors, and errors, as response text."""

import base64
from collections.abc import Iterable, Mapping
from math import prod

from serving.modelserver.codec.floats import float_texts
from serving.modelserver.codec.strings import quote
from serving.modelserver.errors import invalid_argument
from serving.tensors import NAMES, Array, type_number

_PAD = "    "
_FLOATS = {"float", "double"}
_INTS = {"int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"}
_BYTES_SUFFIX = "_bytes"
# Depth of nesting at which the values of the first list of a response stand.
_ROW_DEPTH = 2


def render_rows(outputs: Mapping[str, Array]) -> bytes:
    """Return the response to a request in row format.

    In: `outputs`: every output of the signature, each (batch, ...).
    Raises: StatusError: an output has no batch dimension, another batch size, or a
        type that JSON cannot express.
    """
    count = _batch_size(outputs)
    named = len(outputs) > 1
    depth = _ROW_DEPTH + named
    columns = [_row_texts(name, array, depth) for name, array in outputs.items()]
    rows = columns[0]
    if named:
        keys = [quote(name) for name in outputs]
        rows = [
            _object(zip(keys, texts, strict=True), _ROW_DEPTH)
            for texts in zip(*columns, strict=True)
        ]
    listed = f"[{', '.join(rows)}\n{_PAD}]" if count else "[]"
    return _encode(f'{{\n{_PAD}"predictions": {listed}\n}}')


def render_columns(outputs: Mapping[str, Array]) -> bytes:
    """Return the response to a request in columnar format.

    In: `outputs`: every output of the signature, of any shape.
    Raises: StatusError: no outputs, or a type that JSON cannot express.
    """
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        text = _column_text(name, array, 1)
    else:
        members = [(quote(n), _column_text(n, a, 2)) for n, a in outputs.items()]
        text = _object(members, 1)
    return _encode(f'{{\n{_PAD}"outputs": {text}\n}}')


def render_error(message: str) -> bytes:
    """Return the error object of a failed request."""
    return _encode(f'{{\n{_PAD}"error": {quote(message)}\n}}')


def _batch_size(outputs: Mapping[str, Array]) -> int:
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    count: int | None = None
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        count = array.shape[0] if count is None else count
        if array.shape[0] != count:
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} "
                f"expecting: {count}"
            )
    return count or 0


def _row_texts(name: str, array: Array, depth: int) -> list[str]:
    """Return one text for each instance, its lists on one line."""
    texts = _leaf_texts(name, array, depth + array.ndim - 1)
    for axis in range(array.ndim - 1, 0, -1):
        groups = _groups(texts, array.shape, axis)
        texts = [f"[{', '.join(group)}]" for group in groups]
    return texts


def _column_text(name: str, array: Array, depth: int) -> str:
    """Return the text of a whole tensor, one element a line."""
    texts = _leaf_texts(name, array, depth + array.ndim)
    for axis in range(array.ndim - 1, -1, -1):
        outer = f"\n{_PAD * (depth + axis)}"
        inner = f"{outer}{_PAD}"
        texts = [
            f"[{inner}{f',{inner}'.join(group)}{outer}]" if group else "[]"
            for group in _groups(texts, array.shape, axis)
        ]
    return texts[0]


def _groups(texts: list[str], shape: tuple[int, ...], axis: int) -> list[list[str]]:
    size = shape[axis]
    return [texts[i * size : (i + 1) * size] for i in range(prod(shape[:axis]))]


def _leaf_texts(name: str, array: Array, depth: int) -> list[str]:
    dtype = _type_name(array)
    flat = array.reshape(-1)
    if dtype in _FLOATS:
        return float_texts(flat)
    if dtype in _INTS:
        return list(map(str, flat.tolist()))
    if dtype == "bool":
        return ["true" if value else "false" for value in flat.tolist()]
    if dtype != "string":
        raise invalid_argument(f"Failed to write JSON value for tensor type: {dtype}")
    if name.endswith(_BYTES_SUFFIX):
        return [_base64_object(value, depth) for value in flat.tolist()]
    return [quote(v.decode("utf-8", "surrogateescape")) for v in flat.tolist()]


def _type_name(array: Array) -> str:
    try:
        return NAMES[type_number(array)]
    except ValueError:
        name = array.dtype.name
        raise invalid_argument(
            f"Failed to write JSON value for tensor type: {name}"
        ) from None


def _base64_object(value: bytes, depth: int) -> str:
    return _object([('"b64"', f'"{base64.b64encode(value).decode()}"')], depth)


def _object(members: Iterable[tuple[str, str]], depth: int) -> str:
    inner = f"\n{_PAD * (depth + 1)}"
    lines = f",{inner}".join(f"{key}: {text}" for key, text in members)
    return f"{{{inner}{lines}\n{_PAD * depth}}}"


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
