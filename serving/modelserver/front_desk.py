"""Where requests of both transports come in, are timed, counted and noted."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from serving.modelserver.errors import Code, StatusError
from serving.modelserver.limits import Admission, Entrypoint
from serving.modelserver.logs import log_access
from serving.modelserver.metrics import ServingMetrics
from serving.modelserver.registry import Lease, Registry
from serving.modelserver.request_log.log import Exchange, RequestLog, is_chosen
from serving.modelserver.worker.frames import LOGGED, Exchanged, Method

# What can be logged, and as which of gRPC's methods.
_KINDS = {
    Method.PREDICT: "predict",
    Method.REST_PREDICT: "predict",
    Method.CLASSIFY: "classify",
    Method.REST_CLASSIFY: "classify",
    Method.REGRESS: "regress",
    Method.REST_REGRESS: "regress",
    Method.MULTI_INFERENCE: "multi_inference",
}


@dataclass(kw_only=True)
class Visit:
    """What is known of a request so far: the call, its API in metrics, the model."""

    call: str = ""
    api: str = ""
    model: str = ""
    status: Code = Code.OK


@dataclass(frozen=True, kw_only=True)
class FrontDesk:
    """What both transports share."""

    registry: Registry
    metrics: ServingMetrics
    admission: Admission
    request_log: RequestLog

    async def ask(
        self, lease: Lease, method: Method, payload: bytes, time_left_s: float | None
    ) -> bytes:
        """Return a worker's answer, and log both if the request is drawn for it.

        Raises: StatusError: the worker's; what is not answered is not logged.
        """
        name, settings = _KINDS.get(method), lease.logging
        if settings is None or name is None or not is_chosen(settings):
            return await lease.servable.call(method, payload, time_left_s)
        if method in LOGGED:
            # The worker alone knows what REST's text means to the model.
            told = await lease.servable.call(LOGGED[method], payload, time_left_s)
            exchanged = Exchanged.from_bytes(told)
        else:
            answer = await lease.servable.call(method, payload, time_left_s)
            exchanged = Exchanged(payload, answer, answer)
        self.request_log.add(
            Exchange(
                settings=settings,
                model=lease.name,
                version=lease.version,
                method=name,
                at=int(time.time()),
                request=exchanged.request,
                response=exchanged.response,
            )
        )
        return exchanged.answer

    @contextlib.contextmanager
    def visit(self, entrypoint: Entrypoint, *, counted: bool = True) -> Iterator[Visit]:
        """Count how a request ends, and how long that takes; the block says what it is.

        An error that leaves the block is the request's status, unless that is set.
        """
        started = time.perf_counter()
        visit = Visit()
        try:
            yield visit
        except StatusError as err:
            visit.status = err.code
            raise
        except asyncio.CancelledError:
            visit.status = Code.CANCELLED
            raise
        except Exception:
            visit.status = visit.status or Code.INTERNAL
            raise
        finally:
            took_us = (time.perf_counter() - started) * 1e6
            if counted:
                self.metrics.observe_request(
                    visit.model, visit.api, entrypoint, visit.status, took_us
                )
            log_access(entrypoint, visit.call, visit.model, visit.status.name, took_us)
