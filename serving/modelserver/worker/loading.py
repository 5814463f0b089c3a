"""From an order to a version that answers: threads first, then the model, then warm."""

import os
import time
from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from serving.modelserver.batching import (
    BatchedServable,
    BatchScheduler,
    version_parameters,
)
from serving.modelserver.errors import Code, StatusError
from serving.modelserver.lifecycle import Servable
from serving.modelserver.metrics import ServingMetrics
from serving.modelserver.servable import (
    Parallelism,
    SavedModel,
    is_file,
    load_saved_model,
    open_session,
)
from serving.modelserver.warmup import WarmupRequest, replay
from serving.modelserver.worker.calls import Calls
from serving.modelserver.worker.frames import Frame, Method
from serving.modelserver.worker.order import Order
from serving.tensors import Array

_METHODS = {
    "predict": Method.PREDICT,
    "classify": Method.CLASSIFY,
    "regress": Method.REGRESS,
    "multi_inference": Method.MULTI_INFERENCE,
}
_METADATA = ("assets.extra", "mlmd_uuid")
# TensorFlow's own choice is one for each CPU. Requests then wait for threads to wake up
# for every small op, and take half as much CPU time again, twice as much in a text
# encoder; several requests at a time use several CPUs anyway.
_INTRA_OP = 1


class Version:
    """One version of a model.

    TensorFlow's threads and those of batches start here, at the priority of the calling
    thread; `load` may then run at a lower one.

    Raises: StatusError: the version's batching parameters are wrong.
    """

    def __init__(self, order: Order) -> None:
        flags = order.flags
        shared = flags.tensorflow_session_parallelism
        self._order = order
        self._metrics = ServingMetrics()
        self._parallelism = Parallelism(
            intra_op=flags.tensorflow_intra_op_parallelism or shared or _INTRA_OP,
            inter_op=flags.tensorflow_inter_op_parallelism or shared,
        )
        self._session = open_session(self._parallelism)
        self._model: SavedModel | None = None
        self._calls: Calls | None = None
        self._scheduler: BatchScheduler | None = None
        batching = version_parameters(
            order.path,
            order.batching,
            per_model=flags.enable_per_model_batching_parameters,
        )
        if batching:
            self._scheduler = BatchScheduler(batching, self._run, self._metrics)

    def load(self) -> None:
        """Load the version and answer its warm-up requests.

        Raises: whatever TensorFlow raises, and StatusError for warm-up requests.
        """
        tags = self._order.flags.saved_model_tags.split(",")
        self._model = load_saved_model(
            self._order.path, tags, self._session, self._parallelism
        )
        if self._order.flags.enable_model_warmup:
            self._warm_up(self._new_calls(self._model, queued=False))
        if is_file(os.path.join(self._order.path, *_METADATA)):
            self._metrics.note_metadata(self._order.model, self._order.version)
        self._calls = self._new_calls(self._model, queued=True)

    def answer(self, frame: Frame) -> bytes:
        """Return the answer to a call; see `Calls`."""
        assert self._calls
        try:
            return self._calls.answer(frame)
        except DecodeError:
            # As gRPC answers what is not the method's message.
            text = "The request is not the message that this method takes"
            raise StatusError(Code.INTERNAL, text) from None

    def _run(
        self, signature: str, inputs: Mapping[str, Array], wanted: Sequence[str]
    ) -> dict[str, Array]:
        assert self._model
        return self._model.run(signature, inputs, wanted)

    def _new_calls(self, model: SavedModel, *, queued: bool) -> Calls:
        servable: Servable = model
        if self._scheduler:
            servable = BatchedServable(model, self._scheduler, queued=queued)
        return Calls(self._order, servable, self._metrics)

    def _warm_up(self, calls: Calls) -> None:
        def answer(request: WarmupRequest) -> None:
            calls.answer(Frame(0, _METHODS[request.method], request.request))

        path = self._order.path
        started = time.monotonic()
        status, records = Code.OK, 0
        try:
            times = self._order.flags.num_request_iterations_for_warmup
            result = replay(path, answer, times)
            if result is None:
                return
            records = result.records
        except StatusError as err:
            status = err.code
            raise
        finally:
            took_us = (time.monotonic() - started) * 1e6
            self._metrics.observe_warmup(path, status, took_us, records)
