"""Reads logged requests: TFRecord files of PredictionLog, as TensorFlow Serving's."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from data import files
from data.console import say
from data.errors import DataError

COMPARED = ("serving_default", "with_history", "with_context")
ENDING = ".tfrecord"
PADDING_BELOW = -1e29
_EXPECTED = (
    "Expected TFRecord files of PredictionLog messages, as `logging_config` of a "
    "server's configuration asks for them."
)
_NOT_CONTEXT = ("user_id", "item_id", "history", "exclude", "k", "time")
_LISTS = ("boost", "bury")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One row of a logged call, and what was answered to it.

    `history`: oldest first, without padding; `time`: 0 where none was given; `logged`:
    Unix seconds, 0 = not known; `context`: raw, by column; `items`: those whose scores
    are compared, all but the boosted ones; `heads`: theirs, float32 (items,) by output.
    """

    servable: str
    version: int
    signature: str
    user: str
    history: tuple[str, ...]
    time: int
    logged: int
    context: Mapping[str, Any]
    items: tuple[str, ...]
    heads: Mapping[str, np.ndarray]


@dataclass(kw_only=True)
class Log:
    """What some files hold. `left_out`: how many records are not compared, by why."""

    asked: list[Asked] = field(default_factory=list)
    records: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def read_logs(
    paths: Sequence[str], published: Mapping[str, Collection[int]], most: int
) -> Log:
    """Read the requests of some files, or of the files in some folders.

    In: `published`: the versions of each servable; `most`: rows that are kept, drawn
    evenly from all.
    Raises: DataError: a file that is not there or holds something else, naming record
        and byte; a record of a model or a version that is not published.
    """
    log = Log()
    rng = np.random.default_rng(0)
    seen = 0
    for path in _files(paths):
        for where, record in _records(path):
            log.records += 1
            for asked in _rows(record, where, published, log):
                seen += 1
                if len(log.asked) < most:
                    log.asked.append(asked)
                elif (place := int(rng.integers(seen))) < most:
                    log.asked[place] = asked
    if not log.records:
        raise DataError(f"{', '.join(paths)}: no record. {_EXPECTED}")
    if seen > most:
        log.left_out["beyond --most"] = seen - most
    return log


def _files(paths: Sequence[str]) -> list[str]:
    found: list[str] = []
    for path in paths:
        if files.is_folder(path):
            names = [n for n in sorted(files.listdir(path)) if n.endswith(ENDING)]
            if not names:
                raise DataError(f"{path}: no file *{ENDING} in it. {_EXPECTED}")
            found += [files.join(path, name) for name in names]
        elif files.exists(path):
            found.append(path)
        else:
            raise DataError(f"{path}: no such file. {_EXPECTED}")
    return found


def _records(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield each record, and where it stands, in words."""
    count, offset = 0, 0
    records = tf.compat.v1.io.tf_record_iterator(path)
    while True:
        where = f"{path}: record {count + 1}, at byte {offset:,}"
        try:
            record = next(records)
        except StopIteration:
            return
        except tf.errors.DataLossError as err:
            if count and "truncated" in err.message:
                # A server writes it now, or was killed while it did.
                say(f"{where}: it is cut off, and left out.")
                return
            problem = re.sub(r" at \d+.*", "", err.message, flags=re.S)
            raise DataError(f"{where}: {problem}. {_EXPECTED}") from err
        yield where, record
        count, offset = count + 1, offset + len(record) + 16


def _rows(
    record: bytes, where: str, published: Mapping[str, Collection[int]], log: Log
) -> Iterator[Asked]:
    from tensorflow_serving.apis import prediction_log_pb2

    try:
        logged = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as err:
        raise DataError(f"{where}: it is no PredictionLog. {_EXPECTED}") from err
    spec = logged.log_metadata.model_spec
    if not spec.HasField("version"):
        spec = logged.predict_log.response.model_spec
    _check(spec, where, published)
    if logged.WhichOneof("log_type") != "predict_log":
        log.left_out[str(logged.WhichOneof("log_type"))] += 1
        return
    request, response = logged.predict_log.request, logged.predict_log.response
    signature = request.model_spec.signature_name or COMPARED[0]
    if signature not in COMPARED:
        log.left_out[signature] += 1
        return
    try:
        inputs = {n: tf.make_ndarray(v) for n, v in request.inputs.items()}
        outputs = {n: tf.make_ndarray(v) for n, v in response.outputs.items()}
        yield from _split(spec, signature, inputs, outputs, logged.log_metadata)
    except (KeyError, ValueError, IndexError, TypeError) as err:
        raise DataError(
            f"{where}: not what {spec.name}'s {signature} is asked or answers "
            f"({type(err).__name__}). Leave this log out: another model's or release's."
        ) from err


def _check(spec: Any, where: str, published: Mapping[str, Collection[int]]) -> None:
    names = ", ".join(sorted(published))
    if spec.name not in published:
        raise DataError(
            f"{where}: answered by model {spec.name!r}, expected one of {names}. Leave "
            "this log out, or name the --model that it is of."
        )
    version = spec.version.value
    if version not in published[spec.name]:
        known = ", ".join(map(str, sorted(published[spec.name])[-5:]))
        raise DataError(
            f"{where}: answered by version {version} of {spec.name}, expected one that "
            f"--model holds: {known}. Leave this log out, or put the version back."
        )


def _split(
    spec: Any,
    signature: str,
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    metadata: Any,
) -> Iterator[Asked]:
    """Yield the rows of a call."""
    lists = {n: _texts(inputs[n]) for n in ("history", *_LISTS) if n in inputs}
    users = _texts(inputs["user_id"])
    answered = inputs if spec.name == "ranking" else outputs
    items = _texts(answered["item_id"]) if "item_id" in answered else None
    heads = {n: v for n, v in outputs.items() if v.dtype.kind == "f"}
    context = {n: v for n, v in inputs.items() if n not in (*_NOT_CONTEXT, *_LISTS)}
    for row, user in enumerate(users.tolist()):
        boosted = set(lists["boost"][row]) if "boost" in lists else set()
        own = [] if items is None else items[row].tolist()
        scored = [c for c, item in enumerate(own) if item and item not in boosted]
        yield Asked(
            servable=spec.name,
            version=spec.version.value,
            signature=signature,
            user=user,
            history=tuple(filter(None, lists["history"][row]))
            if "history" in lists
            else (),
            time=int(inputs["time"][row]) if "time" in inputs else 0,
            logged=int(metadata.timestamp_secs),
            context={n: _plain(v[row]) for n, v in context.items()},
            items=tuple(own[c] for c in scored),
            heads={n: v[row][scored] for n, v in heads.items()},
        )


def _texts(values: np.ndarray) -> np.ndarray:
    """Decode a tensor of strings. Out: object array of str."""
    flat = [v.decode("utf-8", "replace") for v in values.reshape(-1).tolist()]
    texts = np.empty(len(flat), object)
    texts[:] = flat
    return texts.reshape(values.shape)


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
