"""TFRecord files, read and written without TensorFlow.

A record is its length (8 bytes, little-endian), a checksum of those, its content, and a
checksum of that. The checksum is CRC-32C, rotated and shifted ("masked"). Source of the
format: https://www.tensorflow.org/tutorials/load_data/tfrecord.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from serving.modelserver.errors import Code, StatusError

_ALL_ONES = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8
_READ_BYTES = 2**20


def read_records(file: BinaryIO) -> Iterator[bytes]:
    """Read the contents of the records, in order.

    Raises: StatusError: DATA_LOSS, in TensorFlow's words, where a record is cut off or
        does not fit its checksum.
    """
    offset = 0
    while header := file.read(12):
        length = int.from_bytes(_checked(header, 8, offset), "little")
        stored = _read(file, length + 4)
        yield _checked(stored, length, offset)
        offset += len(header) + len(stored)


def masked_crc(data: bytes) -> int:
    """Return the checksum that a TFRecord file stores for some bytes."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _ALL_ONES


def as_record(content: bytes) -> bytes:
    """Return a record as it stands in a file: `read_records` gives the content back."""
    length = struct.pack("<Q", len(content))
    crcs = [struct.pack("<I", masked_crc(part)) for part in (length, content)]
    return b"".join((length, crcs[0], content, crcs[1]))


def _checked(stored: bytes, length: int, offset: int) -> bytes:
    hint = "" if offset else " (Is this even a TFRecord file?)"
    if len(stored) != length + 4:
        raise StatusError(Code.DATA_LOSS, f"truncated record at {offset}{hint}")
    content = stored[:length]
    if struct.unpack_from("<I", stored, length)[0] != masked_crc(content):
        raise StatusError(Code.DATA_LOSS, f"corrupted record at {offset}{hint}")
    return content


def _read(file: BinaryIO, size: int) -> bytes:
    """Read so many bytes, or what there is: a wrong length asks for no memory."""
    chunks = []
    while size and (chunk := file.read(min(size, _READ_BYTES))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
