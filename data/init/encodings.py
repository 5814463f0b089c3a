"""Which encoding a table's bytes are in."""

import codecs
import re

from charset_normalizer import from_bytes

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What tables are still written in; a guess among all encodings is a worse one.
GUESSED = (
    *("cp1252", "cp1250", "iso8859_2", "cp1251", "koi8_r", "cp1253", "cp1254"),
    *("cp1255", "cp1256", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
LATIN = {"cp1250", "cp1252", "cp1254", "iso8859_2"}
BROKEN = (
    "nearly UTF-8, and so letters beyond ASCII come out wrong: some lines are broken, "
    "which no reader takes; mend them and set utf-8; one is"
)
GUESSED_BYTES = 1 << 16
UNDEFINED_IN_CP1252 = b"\x81\x8d\x8f\x90\x9d"
HIGH_BYTE = re.compile(rb"[\x80-\xff]")
CONTROLS = re.compile(rb"[\x80-\x9f]")
# Signs that stand between letters only when the encoding is another one.
MISREAD = re.compile(
    r"(?<=[^\W\d_])[\xa1-\xb9\xbb-\xbf\xd7\xf7\xf0\xfe\xfd](?=[^\W\d_])"
)


def find_encoding(pieces: tuple[bytes, ...]) -> tuple[str, str]:
    """Return the name of the encoding, as Python knows it, and a note or "".

    In: the file's start and pieces of it, cut anywhere. UTF-8 is taken if all of it
    is UTF-8; what is not, is guessed at from the lines that are not ASCII.
    """
    head = pieces[0]
    for mark, name in MARKS:
        if head.startswith(mark):
            return name, ""
    if head[:4096].count(0):
        return ("utf-16-le" if head[1:4096:2].count(0) else "utf-16-be"), ""
    if all(map(_is_utf8, pieces)):
        return "utf-8", ""
    lines = _telling_lines(pieces)
    broken = [line for line in lines if not _is_utf8(line)]
    if len(broken) < 0.5 * len(lines):
        return "latin-1", f"{BROKEN} {broken[0][:40] if broken else lines[-1][:40]!r}"
    return _guess(b"".join(lines)), ""


def is_wide(encoding: str) -> bool:
    """Tell whether a line break takes more than one byte."""
    return encoding.startswith(("utf-16", "utf-32"))


def _is_utf8(piece: bytes) -> bool:
    # A piece may begin and end inside a character.
    trimmed = piece.lstrip(bytes(range(0x80, 0xC0))) if piece else piece
    try:
        codecs.getincrementaldecoder("utf-8")().decode(trimmed)
    except UnicodeDecodeError:
        return False
    return True


def _telling_lines(pieces: tuple[bytes, ...]) -> list[bytes]:
    """Return the lines that are not ASCII, up to some size."""
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        for match in re.finditer(rb"[^\n]*[\x80-\xff][^\n]*\n?", piece):
            kept.append(match[0])
            size += len(match[0])
            if size > GUESSED_BYTES:
                return kept
    return kept


def _guess(lines: bytes) -> str:
    best = from_bytes(lines, cp_isolation=list(GUESSED)).best()
    name = "cp1252" if best is None else best.encoding
    if name in LATIN and _reads_western(lines):
        name = "cp1252"
    if name != "cp1252":
        return name
    if any(byte in lines for byte in UNDEFINED_IN_CP1252) or not CONTROLS.search(lines):
        return "latin-1"  # Which has a character for every byte.
    return "cp1252"


def _reads_western(lines: bytes) -> bool:
    """Tell whether the bytes above ASCII are Western European letters in words."""
    text = lines.decode("cp1252", "replace")
    return len(MISREAD.findall(text)) <= 0.1 * len(HIGH_BYTE.findall(lines))
