"""Requests that a version answers before it takes traffic.

`assets.extra/tf_serving_warmup_requests` in a version's folder is a TFRecord file of
PredictionLog messages, as TensorFlow Serving reads it. Of each only the request counts;
the model and version that it names are those of whoever recorded it, and ignored.
Whoever calls `replay` gives what answers a request, batched where requests are batched,
and lets the load fail where it raises.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from google.protobuf.message import DecodeError

from serving.modelserver.errors import Code, StatusError, invalid_argument
from serving.modelserver.prediction_log import KINDS, PredictionLog
from serving.modelserver.tfrecord import read_records

PLACE = ("assets.extra", "tf_serving_warmup_requests")
_MOST_RECORDS = 1000
_METHODS = {field: method for method, field in KINDS.items()}


@dataclass(frozen=True)
class WarmupRequest:
    """A recorded request: the gRPC method, and the bytes of its request message.

    `method` is predict, classify, regress or multi_inference.
    """

    method: str
    request: bytes


@dataclass(frozen=True)
class WarmupResult:
    """How many records there were, those without a request too, and the time taken."""

    records: int
    seconds: float


def replay(
    folder: str, answer: Callable[[WarmupRequest], object], iterations: int = 0
) -> WarmupResult | None:
    """Answer each recorded request of a version in order, so many times each.

    In: `folder`: the version's, a path or a URI. `answer`: raises where it cannot.
        `iterations`: as in --num_request_iterations_for_warmup, below 1 = once.
    Out: None = there is no such file.
    Raises: StatusError: the first failure, with the number of the record: that of
        `answer`; INVALID_ARGUMENT: a record or its request does not parse, or there are
        more than 1000 (after they ran); DATA_LOSS: the file is damaged; UNIMPLEMENTED:
        a session's or a streamed request.
    """
    path = os.path.join(folder, *PLACE)
    started = time.monotonic()
    file = _open_if_there(path)
    if file is None:
        return None
    count = 0
    with file:
        for count, record in enumerate(_records(file, path), 1):
            where = f"(record {count} of {path})"
            request = _request(record, where)
            if request is not None:
                _answer(request, answer, max(iterations, 1), where)
            if count > _MOST_RECORDS:
                raise invalid_argument(
                    "Number of warmup records exceeds the maximum "
                    f"({_MOST_RECORDS}) at {path}"
                )
    return WarmupResult(count, time.monotonic() - started)


def _answer(
    request: WarmupRequest,
    answer: Callable[[WarmupRequest], object],
    times: int,
    where: str,
) -> None:
    try:
        for _ in range(times):
            answer(request)
    except StatusError as err:
        raise StatusError(err.code, f"{err.message} {where}") from err
    except DecodeError as err:
        raise invalid_argument(f"Failed to parse warmup record: {where}") from err


def _records(file: BinaryIO, path: str) -> Any:
    try:
        yield from read_records(file)
    except StatusError as err:
        raise StatusError(
            err.code,
            f"{err.message}. Please verify your warmup data is in TFRecord format. "
            f"({path})",
        ) from err


def _request(record: bytes, where: str) -> WarmupRequest | None:
    try:
        log = PredictionLog.FromString(record)
    except DecodeError as err:
        raise invalid_argument(f"Failed to parse warmup record: {where}") from err
    kind = log.WhichOneof("log_type")
    if kind is None:
        return None
    if kind not in _METHODS:
        number = PredictionLog.DESCRIPTOR.fields_by_name[kind].number
        raise StatusError(
            Code.UNIMPLEMENTED,
            f"Unsupported log_type for warmup: {number}, {kind} {where}",
        )
    return WarmupRequest(_METHODS[kind], getattr(log, kind).request)


def _open_if_there(path: str) -> BinaryIO | None:
    if "://" not in path:
        try:
            return open(path, "rb")
        except FileNotFoundError:
            return None
    import tensorflow as tf

    if not tf.io.gfile.exists(path):
        return None
    file: BinaryIO = tf.io.gfile.GFile(path, "rb")
    return file
