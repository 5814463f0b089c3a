"""Nested JSON lists to the shape and elements of one tensor."""

from itertools import chain
from typing import Any

from serving.modelserver.codec.debug import describe
from serving.modelserver.codec.values import element, elements
from serving.modelserver.errors import invalid_argument


def regular(value: object, dtype: str) -> tuple[list[int], list[Any]] | None:
    """Return shape and elements of an evenly nested value, or None if it is not one.

    Works level by level on whole lists, which is many times faster than `checked`;
    whatever it cannot take is left to `checked`, which knows the error to raise.
    """
    shape: list[int] = []
    flat: list[Any] = [value]
    while flat and isinstance(flat[0], list):
        size = len(flat[0])
        if any(not isinstance(part, list) or len(part) != size for part in flat):
            return None
        shape.append(size)
        flat = list(chain.from_iterable(flat))
    found = elements(flat, dtype)
    return None if found is None else (shape, found)


def checked(value: object, dtype: str) -> tuple[list[int], list[Any]]:
    """Return shape and elements, looking at one value after the other.

    The shape follows first elements down; every list must then agree with it.

    Raises: StatusError: the first value, in reading order, of wrong size, depth, type.
    """
    shape = _shape(value)
    flat: list[Any] = []
    open_lists = [iter([value])]
    while open_lists:
        level = len(open_lists) - 1
        item = next(open_lists[-1], _END)
        if item is _END:
            open_lists.pop()
        elif isinstance(item, list):
            _check_list(item, level, shape)
            open_lists.append(iter(item))
        elif level != len(shape):
            raise invalid_argument(
                f"JSON Value: {describe(item)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        else:
            flat.append(element(item, dtype))
    return shape, flat


_END = object()


def _shape(value: object) -> list[int]:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _check_list(item: list[object], level: int, shape: list[int]) -> None:
    if level >= len(shape):
        raise invalid_argument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(item) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(item)} at level: {level} "
            f"expected size: {shape[level]}"
        )
