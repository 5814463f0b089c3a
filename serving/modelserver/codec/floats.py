"""Floating-point numbers as text, the way the response and error texts print them."""

import numpy as np
from numpy.typing import NDArray

_FULL_DIGITS = {np.dtype(np.float32): "%.9g", np.dtype(np.float64): "%.17g"}
# RapidJSON writes plain decimals between these powers of ten and exponents outside.
_MAX_PLAIN_POWER = 21
_MIN_PLAIN_POWER = -6


def float_texts(values: NDArray[np.floating]) -> list[str]:
    """Return the JSON text of each number.

    Six significant digits where they read back to the same number, else all that the
    type needs; never an integer literal, so that readers see the type in the text.

    In: `values`: float32 or float64 (n,).
    """
    full = _FULL_DIGITS[values.dtype]
    wide = values.astype(np.float64).tolist()
    short = [f"{value:g}" for value in wide]
    with np.errstate(over="ignore"):
        read_back = np.array([float(text) for text in short]).astype(values.dtype)
    same = (read_back == values).tolist()
    return [
        _finish(text if ok else full % value)
        for text, ok, value in zip(short, same, wide, strict=True)
    ]


def debug_text(value: float) -> str:
    """Return a double inside an error text: shortest digits that read back."""
    sign = "-" if np.signbit(value) else ""
    shortest = np.format_float_scientific(abs(value), trim="-", unique=True)
    digits, _, exponent = shortest.partition("e")
    whole = digits.replace(".", "")
    power = int(exponent) + 1
    if value == 0:
        return f"{sign}0.0"
    if len(whole) <= power <= _MAX_PLAIN_POWER:
        return f"{sign}{whole.ljust(power, '0')}.0"
    if 0 < power <= _MAX_PLAIN_POWER:
        return f"{sign}{whole[:power]}.{whole[power:]}"
    if _MIN_PLAIN_POWER < power <= 0:
        return f"{sign}0.{'0' * -power}{whole}"
    rest = f".{whole[1:]}" if len(whole) > 1 else ""
    return f"{sign}{whole[0]}{rest}e{power - 1}"


def _finish(text: str) -> str:
    if text in _SPECIAL:
        return _SPECIAL[text]
    return text if "." in text or "e" in text else f"{text}.0"


_SPECIAL = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
