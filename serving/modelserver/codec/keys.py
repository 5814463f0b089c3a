"""Whether a parser that drops repeated keys has dropped any."""

from typing import Any

import numpy as np

_QUOTE, _COLON = b'":'
_OTHERS = bytes(set(range(256)) - {_QUOTE, _COLON})


def has_all_keys(body: bytes, document: object) -> bool:
    """Tell whether a document holds as many keys as its text.

    In: `body`: JSON that has been parsed without error; `document`: what it came to.
    """
    # Most requests have colons and keys nowhere else than where this looks.
    if body.count(b":") == _num_outer_keys(document):
        return True
    return _num_colons(body) == _num_keys(document)


def _num_colons(body: bytes) -> int:
    """Count the colons outside strings, one for each key."""
    if b"\\" in body:
        # From the left, so that what is left escapes a quote or means nothing here.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = np.frombuffer(body.translate(None, _OTHERS), np.uint8)
    in_string = np.logical_xor.accumulate(marks == _QUOTE)
    return int(np.count_nonzero((marks == _COLON) & ~in_string))


def _num_outer_keys(document: object) -> int:
    """Count the keys of an object, and of those in it or in lists in it."""
    if not isinstance(document, dict):
        return 0
    count = len(document)
    for value in document.values():
        if isinstance(value, dict):
            count += len(value)
        elif isinstance(value, list):
            count += sum(len(item) for item in value if isinstance(item, dict))
    return count


def _num_keys(document: object) -> int:
    """Count the keys of all objects, level by level."""
    count = 0
    level: list[Any] = [document]
    while level:
        inner: list[Any] = []
        for value in level:
            if type(value) is dict:
                count += len(value)
                inner.extend(item for item in value.values() if _holds(item))
            elif type(value) is list:
                inner.extend(item for item in value if _holds(item))
        level = inner
    return count


def _holds(value: object) -> bool:
    return type(value) is dict or type(value) is list
