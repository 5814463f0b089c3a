"""Chooses requests, and hands what was asked and answered to a thread that writes."""

import collections
import logging
import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from serving.messages import GetModelStatusRequest
from serving.modelserver.errors import Code
from serving.modelserver.predict import DEFAULT_SIGNATURE
from serving.modelserver.prediction_log import KINDS, PredictionLog
from serving.modelserver.request_log.files import RotatedFiles
from serving.modelserver.request_log.settings import LogSettings

MOST_WAITING = 1000
MOST_WAITING_BYTES = 64 * 2**20
_PAUSE_S = 5.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One request and its answer, as the bytes of gRPC's messages.

    `method`: predict, classify, regress or multi_inference; `version`: which answered;
    `at`: Unix seconds.
    """

    settings: LogSettings
    model: str
    version: int
    method: str
    at: int
    request: bytes
    response: bytes

    @property
    def size(self) -> int:
        """Return how many bytes it holds."""
        return len(self.request) + len(self.response)


class RequestLog:
    """Writes a sample of what is asked and answered; any thread may use it.

    In: `tags`: of the graphs that answer; `most_bytes`: of one file; `count`: told the
        model of each chosen request and how that ended: OK = written,
        RESOURCE_EXHAUSTED = dropped since too many waited, UNAVAILABLE = its file
        cannot be written.
    """

    def __init__(
        self, tags: Collection[str], most_bytes: int, count: Callable[[str, Code], None]
    ) -> None:
        self._tags, self._most_bytes, self._count = tuple(tags), most_bytes, count
        self._changed = threading.Condition()
        self._waiting: collections.deque[Exchange] = collections.deque()
        self._waiting_bytes = 0
        self._kept: frozenset[str] | None = None
        self._closed = False
        self._files: dict[str, RotatedFiles] = {}
        self._paused_until: dict[str, float] = {}
        self._thread: threading.Thread | None = None

    def add(self, exchange: Exchange) -> None:
        """Have an exchange written, or drop it if too many wait; never blocks."""
        with self._changed:
            size = self._waiting_bytes + exchange.size
            full = len(self._waiting) >= MOST_WAITING or size > MOST_WAITING_BYTES
            if not full and not self._closed:
                self._waiting.append(exchange)
                self._waiting_bytes = size
                self._ensure_thread()
                self._changed.notify()
                return
        self._count(exchange.model, Code.RESOURCE_EXHAUSTED)

    def keep(self, prefixes: Collection[str]) -> None:
        """End the files of all other prefixes, once what waits is written."""
        with self._changed:
            self._kept = frozenset(prefixes)
            self._changed.notify()

    def close(self, timeout_s: float) -> None:
        """Write what waits, as far as that goes in the time, and end all files."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread:
            self._thread.join(timeout_s)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="request log", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        wait_s: float | None = None
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, wait_s)
                exchanges, self._waiting = self._waiting, collections.deque()
                self._waiting_bytes = 0
                kept, self._kept = self._kept, None
                closed = self._closed
            for exchange in exchanges:
                self._count(exchange.model, self._write(exchange))
            if closed or kept is not None:
                self._end(() if kept is None or closed else kept)
            if closed:
                return
            wait_s = self._sync()

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._kept is not None or self._closed

    def _write(self, exchange: Exchange) -> Code:
        prefix = exchange.settings.prefix
        if time.monotonic() < self._paused_until.get(prefix, 0):
            return Code.UNAVAILABLE
        files = self._files.get(prefix)
        if files is None:
            files = self._files[prefix] = RotatedFiles(prefix, self._most_bytes)
        try:
            files.append(as_log(exchange, self._tags))
        except OSError as err:
            self._tell(prefix, err)
            return Code.UNAVAILABLE
        return Code.OK

    def _sync(self) -> float | None:
        """Sync what is due. Out: seconds until more is; None: nothing waits."""
        waits = []
        for prefix, files in self._files.items():
            try:
                waits.append(files.sync_if_due())
            except OSError as err:
                self._tell(prefix, err)
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _end(self, kept: Collection[str]) -> None:
        for prefix in self._files.keys() - set(kept):
            try:
                self._files.pop(prefix).close()
            except OSError as err:
                self._tell(prefix, err)

    def _tell(self, prefix: str, err: OSError) -> None:
        self._paused_until[prefix] = time.monotonic() + _PAUSE_S
        logger.error(
            "%s*: requests cannot be logged: %s. They are answered all the same; next "
            "try in %d s.",
            prefix,
            err.strerror or type(err).__name__,
            _PAUSE_S,
        )


def is_chosen(settings: LogSettings | None) -> bool:
    """Draw whether a request is logged."""
    return settings is not None and random.random() < settings.rate


def as_log(exchange: Exchange, tags: Collection[str]) -> bytes:
    """Return the serialized PredictionLog of an exchange."""
    log = PredictionLog()
    metadata = log.log_metadata
    metadata.model_spec.name = exchange.model
    metadata.model_spec.version.value = exchange.version
    metadata.model_spec.signature_name = _signature(exchange)
    metadata.sampling_config.sampling_rate = exchange.settings.rate
    metadata.saved_model_tags.extend(tags)
    metadata.timestamp_secs = exchange.at
    logged = getattr(log, KINDS[exchange.method])
    logged.request, logged.response = exchange.request, exchange.response
    return bytes(log.SerializeToString())


def _signature(exchange: Exchange) -> str:
    """Return which signature answered; "" of a call of several."""
    if exchange.method == "multi_inference":
        return ""
    try:
        # The first field of these requests is the model spec, as of this one.
        spec = GetModelStatusRequest.FromString(exchange.request).model_spec
    except DecodeError:
        return ""
    return str(spec.signature_name) or DEFAULT_SIGNATURE
