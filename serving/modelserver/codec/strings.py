"""JSON strings: reading with RapidJSON's errors, writing with RapidJSON's escapes."""

import re

_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")
_SIMPLE = {
    '"': '"',
    "/": "/",
    "\\": "\\",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f]')
_ESCAPED = {value: f"\\{letter}" for letter, value in _SIMPLE.items() if letter != "/"}
_BAD_HEX = r"Incorrect hex digit after \u escape in string."
_BAD_PAIR = "The surrogate pair in string is invalid."


class StringError(ValueError):
    """A string is malformed at a character of the document."""

    def __init__(self, problem: str, pos: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.pos = pos


def read(text: str, pos: int) -> tuple[str, int]:
    """Return the string whose opening quote is at `pos`, and the place after it.

    Raises: StringError: not closed, bad escape, control character or lone surrogate.
    """
    parts: list[str] = []
    pos += 1
    while True:
        match = _PLAIN.match(text, pos)
        end = match.end() if match else pos
        parts.append(text[pos:end])
        pos = end
        char = text[pos : pos + 1]
        if char == '"':
            return "".join(parts), pos + 1
        if char in ("", "\0"):
            raise StringError("Missing a closing quotation mark in string.", pos)
        if char != "\\":
            raise StringError("Invalid encoding in string.", pos)
        part, pos = _escape(text, pos)
        parts.append(part)


def quote(text: str) -> str:
    """Return a text as a JSON string: only quotes, backslashes and controls escaped."""
    return f'"{_TO_ESCAPE.sub(_escape_one, text)}"'


def _escape_one(match: re.Match[str]) -> str:
    char = match.group()
    return _ESCAPED.get(char) or f"\\u{ord(char):04X}"


def _escape(text: str, start: int) -> tuple[str, int]:
    """Read the escape whose backslash is at `start`; errors point at the backslash."""
    letter = text[start + 1 : start + 2]
    if letter in _SIMPLE:
        return _SIMPLE[letter], start + 2
    if letter != "u":
        raise StringError("Invalid escape character in string.", start)
    high = _hex4(text, start + 2, start)
    if not 0xD800 <= high <= 0xDFFF:
        return chr(high), start + 6
    if high > 0xDBFF or text[start + 6 : start + 8] != "\\u":
        raise StringError(_BAD_PAIR, start)
    low = _hex4(text, start + 8, start)
    if not 0xDC00 <= low <= 0xDFFF:
        raise StringError(_BAD_PAIR, start)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), start + 12


def _hex4(text: str, pos: int, start: int) -> int:
    match = _HEX4.match(text, pos)
    if match is None:
        raise StringError(_BAD_HEX, start)
    return int(match.group(), 16)
