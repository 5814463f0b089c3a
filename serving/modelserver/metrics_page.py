"""The Prometheus page: the front's numbers and, added up, those of the workers."""

import asyncio
import contextlib
import json

from serving.modelserver.errors import StatusError
from serving.modelserver.lifecycle import Loaded
from serving.modelserver.metrics import ServingMetrics
from serving.modelserver.registry import Registry
from serving.modelserver.worker.frames import Method

_WAIT_S = 1.0


class MetricsPage:
    """What is served at a path, if there is one.

    In: `path`: see `monitoring_config.prometheus_path`; None = no page.
    """

    def __init__(
        self, path: str | None, registry: Registry, metrics: ServingMetrics
    ) -> None:
        self._path = path
        self._registry = registry
        self._metrics = metrics

    def is_at(self, target: str) -> bool:
        """Tell whether a request target is the page's, with or without a query."""
        return self._path is not None and target.partition("?")[0] == self._path

    async def answer(self, target: str) -> tuple[int, bytes]:
        """Return HTTP status and text for a target of the page."""
        if target != self._path:
            text = f"Unexpected path: {target}. Should be {self._path}"
            return 400, text.encode()
        await absorb_all(self._registry, self._metrics)
        return 200, self._metrics.page()


async def absorb_all(registry: Registry, metrics: ServingMetrics) -> None:
    """Add what all workers have counted since they were last asked."""
    loaded = registry.loaded()
    await asyncio.gather(*(absorb(servable, metrics) for _, _, servable in loaded))


async def absorb(servable: Loaded, metrics: ServingMetrics) -> None:
    """Add what a worker has counted since it was last asked, if it answers."""
    with contextlib.suppress(StatusError, TimeoutError):
        async with asyncio.timeout(_WAIT_S):
            metrics.absorb(json.loads(await servable.call(Method.METRICS, b"")))
