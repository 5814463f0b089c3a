"""Abuses of the gRPC port: wrong messages, and what is not even HTTP/2."""

import random
import struct
import time
from typing import Any

import grpc
import numpy as np

from benchmarks.serving import http2
from benchmarks.serving.abuses import (
    CLOSED,
    LEFT,
    MODEL,
    Abuse,
    Place,
    abuse,
    answer,
    connected,
    leave,
    slowly,
    valid_message,
    valid_request,
)
from benchmarks.serving.requests import Asked, grpc_message
from benchmarks.serving.target import PREDICT
from serving import messages
from serving.tensors import fill_proto, strings

_LARGE = 5 * 2**20
_STREAMS = 200
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
]


def _call(
    place: Place,
    message: bytes,
    *,
    method: str = PREDICT,
    timeout_s: float = 20.0,
    cancel_after_s: float | None = None,
) -> str:
    with grpc.insecure_channel(str(place.grpc), options=_OPTIONS) as channel:
        ask: Any = channel.unary_unary(method)
        future = ask.future(message, timeout=timeout_s)
        if cancel_after_s is not None:
            time.sleep(cancel_after_s)
            future.cancel()
        return str(future.code().name)


def _random_message(rng: random.Random, place: Place) -> str:
    return _call(place, rng.randbytes(rng.randrange(1, 5_000)))


def _cut_message(rng: random.Random, place: Place) -> str:
    whole = valid_message()
    return _call(place, whole[: rng.randrange(len(whole))])


def _changed_message(rng: random.Random, place: Place) -> str:
    changed = bytearray(valid_message())
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return _call(place, bytes(changed))


def _wrong_tensor(rng: random.Random, place: Place) -> str:
    request = messages.PredictRequest.FromString(valid_message())
    tensor = request.inputs["user_id"]
    tensor.Clear()
    fill_proto(
        tensor,
        rng.choice(
            [
                np.ones([1], np.float32),
                np.ones([3, 2], np.int64),
                strings("no batch"),
                strings([["a", "b"], ["c", "d"]]),
            ]
        ),
    )
    return _call(place, request.SerializeToString())


def _huge_shape(rng: random.Random, place: Place) -> str:
    request = messages.PredictRequest.FromString(valid_message())
    dim = request.inputs["user_id"].tensor_shape.dim[0]
    dim.size = rng.choice([2**31, 2**62, -1])
    return _call(place, request.SerializeToString())


def _unknown_model(_: random.Random, place: Place) -> str:
    return _call(place, grpc_message(Asked(model="nobody"), "196"))


def _unknown_signature(_: random.Random, place: Place) -> str:
    return _call(place, grpc_message(Asked(model=MODEL, signature="none"), "196"))


def _unknown_method(_: random.Random, place: Place) -> str:
    return _call(place, valid_message(), method="/tensorflow.serving.Nothing/None")


def _large_message(rng: random.Random, place: Place) -> str:
    return _call(place, valid_message("x" * rng.randrange(_LARGE // 2, _LARGE)))


def _cancelled(rng: random.Random, place: Place) -> str:
    return _call(place, valid_message(), cancel_after_s=rng.random() * 0.02)


def _impatient(_: random.Random, place: Place) -> str:
    return _call(place, valid_message(), timeout_s=0.002)


def _no_http2(rng: random.Random, place: Place) -> str:
    return answer(place.grpc, [rng.randbytes(500)], half_close=True)


def _http1(_: random.Random, place: Place) -> str:
    return answer(place.grpc, [valid_request("x")], half_close=True)


def _wild_frames(rng: random.Random, place: Place) -> str:
    frames = [
        http2.frame(
            rng.randrange(12), rng.randrange(256), rng.randrange(9), rng.randbytes(40)
        )
        for _ in range(20)
    ]
    return leave(place.grpc, [http2.opening(), *frames])


def _headers(place: Place, stream: int, flags: int = http2.END_HEADERS) -> bytes:
    block = http2.request_headers(PREDICT, str(place.grpc))
    return http2.frame(http2.HEADERS, flags, stream, block)


def _half_call(_: random.Random, place: Place) -> str:
    half = http2.grpc_frame_payload(valid_message())[:-5]
    data = http2.frame(http2.DATA, 0, 1, half)
    parts = [http2.opening(), _headers(place, 1), data]
    return leave(place.grpc, slowly(parts, 0.2), reset=True)


def _half_closed_call(_: random.Random, place: Place) -> str:
    """End the stream before the message is whole, and look at the connection."""
    half = http2.grpc_frame_payload(valid_message())[:-5]
    with connected(place.grpc) as sock:
        data = http2.frame(http2.DATA, http2.END_STREAM, 1, half)
        sock.sendall(http2.opening() + _headers(place, 1) + data)
        time.sleep(0.5)
        return LEFT if sock.recv(2**16) else CLOSED


def _rapid_reset(_: random.Random, place: Place) -> str:
    cancel = struct.pack(">I", 8)
    parts = [http2.opening()]
    for stream in range(1, 2 * _STREAMS, 2):
        parts.append(_headers(place, stream))
        parts.append(http2.frame(http2.RST_STREAM, 0, stream, cancel))
    return leave(place.grpc, [b"".join(parts)])


def _slow_preface(_: random.Random, place: Place) -> str:
    begin = http2.opening()[:12]
    return leave(place.grpc, slowly([begin[at : at + 1] for at in range(12)], 0.2))


_REFUSED = ("INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND", "FAILED_PRECONDITION")
GRPC_ABUSES: tuple[Abuse, ...] = (
    abuse("gRPC: random bytes as message", _random_message, *_REFUSED),
    abuse("gRPC: a message cut off", _cut_message, *_REFUSED),
    abuse("gRPC: one bit changed", _changed_message, "OK", "UNIMPLEMENTED", *_REFUSED),
    abuse("gRPC: wrong type or shape", _wrong_tensor, "INVALID_ARGUMENT", "OK"),
    abuse("gRPC: a shape without end", _huge_shape, "INVALID_ARGUMENT"),
    abuse("gRPC: unknown model", _unknown_model, "NOT_FOUND"),
    abuse("gRPC: unknown signature", _unknown_signature, "FAILED_PRECONDITION"),
    abuse("gRPC: unknown method", _unknown_method, "UNIMPLEMENTED"),
    abuse("gRPC: an id of up to 5 MiB", _large_message, "OK"),
    abuse("gRPC: cancelled", _cancelled, "CANCELLED", "OK"),
    # Who waits too long in a batch's queue gets TensorFlow Serving's own answer.
    abuse(
        *("gRPC: 2 ms of patience", _impatient),
        *("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "OK"),
    ),
    abuse("gRPC: no HTTP/2 at all", _no_http2, CLOSED),
    abuse("gRPC: HTTP/1.1", _http1, CLOSED, "HTTP 400"),
    abuse("gRPC: wild frames", _wild_frames, LEFT, CLOSED),
    abuse("gRPC: half a call, then gone", _half_call, LEFT),
    abuse("gRPC: half a message, stream ended", _half_closed_call, LEFT, CLOSED),
    abuse("gRPC: 200 calls reset at once", _rapid_reset, LEFT, CLOSED),
    abuse("gRPC: a preface byte by byte, then gone", _slow_preface, LEFT, CLOSED),
)
