"""Calls and answers on the socket between the front process and a worker.

A frame is a header and a payload: length of the payload (4 bytes), number of the call
(4), what is called or the status code of the answer (1), microseconds that are left for
the call (4; 0 = no limit, and in answers); all little-endian. Call 0 is the word of a
worker that it is ready, with its process id, or why it cannot be.
"""

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct("<IIBI")
_SIZES = struct.Struct("<II")
_MAX_US = 2**32 - 1
READY = 0


class Method(enum.IntEnum):
    """What a worker can be asked; gRPC messages or REST bodies go in and come out.

    The first ones are gRPC's, each with its message's bytes.
    """

    PREDICT = 1
    CLASSIFY = 2
    REGRESS = 3
    MULTI_INFERENCE = 4
    METADATA = 5
    REST_PREDICT = 6
    REST_CLASSIFY = 7
    REST_REGRESS = 8
    REST_METADATA = 9
    METRICS = 10
    LIST_FOLDER = 11
    LOGGED_REST_PREDICT = 12
    LOGGED_REST_CLASSIFY = 13
    LOGGED_REST_REGRESS = 14


# What to call in place of a method, to be told what the model was asked and answered.
LOGGED = {
    Method.REST_PREDICT: Method.LOGGED_REST_PREDICT,
    Method.REST_CLASSIFY: Method.LOGGED_REST_CLASSIFY,
    Method.REST_REGRESS: Method.LOGGED_REST_REGRESS,
}


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request and its answer as gRPC's messages, and the answer for the caller."""

    request: bytes
    response: bytes
    answer: bytes

    def to_bytes(self) -> bytes:
        """Return what a worker answers to a method of `LOGGED`."""
        sizes = _SIZES.pack(len(self.request), len(self.response))
        return b"".join((sizes, self.request, self.response, self.answer))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Exchanged":
        """Read what `to_bytes` wrote."""
        asked, answered = _SIZES.unpack_from(data)
        start = _SIZES.size
        middle = start + asked
        end = middle + answered
        return cls(data[start:middle], data[middle:end], data[end:])


@dataclass(frozen=True, slots=True)
class Frame:
    """One call or answer: `kind` is a Method or a status code, `time_us` is left."""

    call: int
    kind: int
    payload: bytes
    time_us: int = 0


def header(call: int, kind: int, size: int, time_us: float = 0) -> bytes:
    """Return what goes before a payload of `size` bytes."""
    return _HEADER.pack(size, call, kind, min(int(time_us), _MAX_US))


def encode(frame: Frame) -> bytes:
    """Return a frame as it goes over the socket."""
    start = header(frame.call, frame.kind, len(frame.payload), frame.time_us)
    return start + frame.payload


class Decoder:
    """Turns what a socket delivers, in pieces of any size, back into frames."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = _HEADER.size

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete with this piece."""
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._wanted:
            # A large payload comes in many pieces: they are joined once.
            return
        joined = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        start = 0
        while True:
            self._wanted = _HEADER.size
            if len(joined) - start < self._wanted:
                break
            size, call, kind, time_us = _HEADER.unpack_from(joined, start)
            self._wanted += size
            end = start + self._wanted
            if len(joined) < end:
                break
            yield Frame(call, kind, joined[start + _HEADER.size : end], time_us)
            start = end
        self._parts = [joined[start:]] if start < len(joined) else []
        self._size = len(joined) - start
