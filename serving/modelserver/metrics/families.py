"""The metrics of TensorFlow Serving, by its names, and what adds to them.

Names are TensorFlow's with every character outside [a-zA-Z0-9_] turned into a colon.
Latency counts what succeeded; `API` is as upstream has it: `Predict` over gRPC, the
verb of the URL over REST, nothing for status and metadata.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from serving.modelserver.errors import Code
from serving.modelserver.metrics.page import render
from serving.modelserver.metrics.store import Family, Store, exponential

_SERVING = ":tensorflow:serving:"
_BATCHING = f"{_SERVING}batching_session:"
_LATENCY_US = exponential(10, 1.8, 33)
_SIZES = exponential(1, 2, 15)
REQUEST_COUNT = Family(
    name=f"{_SERVING}request_count", kind="counter", labels=("model_name", "status")
)
REQUEST_LATENCY = Family(
    name=f"{_SERVING}request_latency",
    kind="histogram",
    labels=("model_name", "API", "entrypoint"),
    limits=_LATENCY_US,
)
RUNTIME_LATENCY = Family(
    name=f"{_SERVING}runtime_latency",
    kind="histogram",
    labels=("model_name", "API", "runtime"),
    limits=_LATENCY_US,
)
EXAMPLE_COUNTS = Family(
    name=f"{_SERVING}request_example_counts",
    kind="histogram",
    labels=("model",),
    limits=_SIZES,
)
EXAMPLE_COUNT_TOTAL = Family(
    name=f"{_SERVING}request_example_count_total", kind="counter", labels=("model",)
)
REQUEST_LOG_COUNT = Family(
    name=f"{_SERVING}request_log_count",
    kind="counter",
    labels=("model_name", "status_code"),
)
WARMUP_LATENCY = Family(
    name=f"{_SERVING}model_warmup_latency",
    kind="histogram",
    labels=("model_path", "status"),
    limits=_LATENCY_US,
)
WARMUP_RECORDS = Family(
    name=f"{_SERVING}model_warmup_records_read",
    kind="counter",
    labels=("model_path", "status"),
)
MLMD_MAP = Family(
    name=f"{_SERVING}mlmd_map", kind="gauge", labels=("model_name", "version")
)
QUEUING_LATENCY = Family(
    name=f"{_BATCHING}queuing_latency",
    kind="histogram",
    labels=("thread_pool_name",),
    limits=exponential(100, 1.2, 52),
)
WRAPPED_RUN_COUNT = Family(name=f"{_BATCHING}wrapped_run_count", kind="counter")
PADDING_SIZE = Family(
    name=f"{_BATCHING}padding_size",
    kind="histogram",
    labels=("execution_batch_size",),
    limits=_SIZES,
)
INPUT_BATCH_SIZE = Family(
    name=f"{_BATCHING}input_batch_size", kind="histogram", limits=_SIZES
)
PROCESSED_BATCH_SIZE = Family(
    name=f"{_BATCHING}processed_batch_size", kind="histogram", limits=_SIZES
)
# Ours, for what TensorFlow Serving has no such thing as.
REFUSED_COUNT = Family(
    name="tandem_refused_requests_total", kind="counter", labels=("entrypoint",)
)
WORKER_DEATHS = Family(
    name="tandem_worker_deaths_total", kind="counter", labels=("model_name",)
)
_ALL = [value for value in list(globals().values()) if isinstance(value, Family)]
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")
# An enum's own `name` takes as long as all the rest of counting a request.
_NAMES = {code: code.name for code in Code}
# What a call reports of itself while it runs, such as how full the server is.
Gauges = Callable[[], Iterable[tuple[Family, list[tuple[tuple[str, ...], float]]]]]


class ServingMetrics:
    """All metrics of one process; every method may be called from any thread."""

    def __init__(self) -> None:
        self._store = Store(_ALL)
        self._gauges: list[Gauges] = []
        self._served: set[str] = set()

    def observe_request(
        self,
        model: str,
        api: str,
        entrypoint: Literal["GRPC", "REST"],
        status: Code,
        latency_us: float,
    ) -> None:
        """Count one request and, if it succeeded, how long it took.

        gRPC counts Predict, Classify and Regress alone; REST every hit under `/v1`,
        with an empty model where the target names none. Where thousands of models
        were asked for that never answered, further ones share one name.
        """
        if status is Code.OK:
            self._served.add(model)
        trusted = model in self._served
        self._store.add(REQUEST_COUNT, (model, _NAMES[status]), trusted=trusted)
        if status is Code.OK:
            self._store.observe(REQUEST_LATENCY, (model, api, entrypoint), latency_us)

    def observe_runtime(self, model: str, api: str, latency_us: float) -> None:
        """Note how long the graph itself ran; `api` is Predict, Classify or Regress."""
        self._store.observe(RUNTIME_LATENCY, (model, api, "TF1"), latency_us)

    def observe_examples(self, model: str, count: int) -> None:
        """Note how many examples a MultiInference request held."""
        self._store.observe(EXAMPLE_COUNTS, (model,), count)
        self._store.add(EXAMPLE_COUNT_TOTAL, (model,), count)

    def observe_warmup(
        self, path: str, status: Code, latency_us: float, records: int
    ) -> None:
        """Note one version's warm-up: the time it took and the records it read."""
        labels = (path, status.name)
        self._store.observe(WARMUP_LATENCY, labels, latency_us)
        self._store.add(WARMUP_RECORDS, labels, records)

    def note_metadata(self, model: str, version: int) -> None:
        """Note that a version came with an id of ML Metadata.

        As upstream's page does, which has no place for texts, it shows a zero for it.
        """
        self._store.add(MLMD_MAP, (model, str(version)), 0)

    def observe_queuing(self, thread_pool: str, latency_us: float) -> None:
        """Note how long a request waited for its batch."""
        self._store.observe(QUEUING_LATENCY, (thread_pool,), latency_us)

    def observe_batch(self, sizes: Sequence[int], padded_to: int) -> None:
        """Note one run of a batch: the rows of each request in it, and of the whole."""
        self._store.add(WRAPPED_RUN_COUNT, ())
        for size in sizes:
            self._store.observe(INPUT_BATCH_SIZE, (), size)
        self._store.observe(PROCESSED_BATCH_SIZE, (), padded_to)
        padding = padded_to - sum(sizes)
        self._store.observe(PADDING_SIZE, (str(padded_to),), padding)

    def count_logged(self, model: str, status: Code) -> None:
        """Count one request that was written to a log of samples, or failed to be."""
        self._store.add(REQUEST_LOG_COUNT, (model, status.name))

    def count_refused(self, entrypoint: Literal["GRPC", "REST"]) -> None:
        """Count one request that was turned away because too many were waiting."""
        self._store.add(REFUSED_COUNT, (entrypoint,))

    def count_worker_death(self, model: str) -> None:
        """Count one worker that ended although nobody asked it to."""
        self._store.add(WORKER_DEATHS, (model,))

    def drain(self) -> list[Any]:
        """Return what was added since the last call, for another process's `absorb`."""
        return self._store.drain()

    def absorb(self, drained: Sequence[Any]) -> None:
        """Add what a worker's `drain` gave."""
        self._store.absorb(drained)

    def add_gauges(self, gauges: Gauges) -> None:
        """Show what this returns on each page, beside the counters."""
        self._gauges.append(gauges)

    def counts(self, names: Iterable[str]) -> dict[str, int]:
        """Return the counts, over all labels, of metrics by their names upstream.

        In: `names`: such as `/tensorflow/serving/request_count`; what is no counter is
            0, as upstream has it.
        """
        totals = {
            family.name: int(sum(series.total for _, series in found))
            for family, found in self._store.collect()
            if family.kind == "counter"
        }
        return {name: totals.get(_NO_NAME.sub(":", name), 0) for name in names}

    def page(self) -> bytes:
        """Return the Prometheus page."""
        shown = [item for gauges in self._gauges for item in gauges()]
        return render(self._store.collect(), shown)
