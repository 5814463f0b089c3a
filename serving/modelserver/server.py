"""The server as a whole: load, open the ports, serve, finish what is in flight."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any

from serving.modelserver.batching import server_parameters
from serving.modelserver.channel import channel_options
from serving.modelserver.config_poller import ConfigPoller
from serving.modelserver.errors import StartupError, StatusError
from serving.modelserver.event_loop import EventLoop
from serving.modelserver.flags import Flags
from serving.modelserver.front_desk import FrontDesk
from serving.modelserver.grpc_server import GrpcServer
from serving.modelserver.lifecycle import Loaded
from serving.modelserver.limits import Admission
from serving.modelserver.manager import ManagerOptions, ModelManager
from serving.modelserver.metrics import ServingMetrics
from serving.modelserver.metrics.process import process_gauges
from serving.modelserver.metrics_page import MetricsPage, absorb
from serving.modelserver.model_config import check_labels, configured_models
from serving.modelserver.monitoring_config import prometheus_path
from serving.modelserver.registry import Registry
from serving.modelserver.reload import Reloader
from serving.modelserver.request_log.log import RequestLog
from serving.modelserver.rest_server import RestServer
from serving.modelserver.sockets import listener
from serving.modelserver.ssl_config import read_ssl_config
from serving.modelserver.versions import find_versions
from serving.modelserver.worker.folders import Folders
from serving.modelserver.worker.launcher import Launcher

_STEP_S = 0.1
_LAST_LOGS_S = 5.0
logger = logging.getLogger(__name__)


class ModelServer:
    """One server: this process, which holds no TensorFlow, and one for each version.

    Raises: StartupError: on construction, if configuration or ports are wrong.
    """

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self.registry = Registry()
        self._ending = False
        self._rest_port = flags.rest_api_port
        if flags.rest_api_port and flags.rest_api_port == flags.port:
            logger.error("--rest_api_port equals --port: serving without REST.")
            self._rest_port = 0
        models = configured_models(flags)
        check_labels(models, flags)
        # Bound for good only when the models are there; told early what is taken.
        for name, port in (("port", flags.port), ("rest_api_port", self._rest_port)):
            _check_port(name, port)
        self.registry.apply(models)
        # Mistakes in files are told before anything starts.
        read_ssl_config(flags.ssl_config_file)
        channel_options(flags.grpc_channel_arguments)
        batching = server_parameters(
            flags.enable_batching, flags.batching_parameters_file
        )
        self.metrics = ServingMetrics()
        self.metrics.add_gauges(process_gauges(self._workers))
        self._request_log = RequestLog(
            flags.saved_model_tags.split(","),
            flags.request_log_max_file_bytes,
            self.metrics.count_logged,
        )
        self._desk = FrontDesk(
            registry=self.registry,
            metrics=self.metrics,
            admission=Admission.of(flags, self.metrics),
            request_log=self._request_log,
        )
        path = prometheus_path(flags.monitoring_config_file)
        self._page = MetricsPage(path, self.registry, self.metrics)
        self._events = EventLoop()
        self._launcher = Launcher(
            flags,
            self._events.loop,
            batching,
            self._part_with,
        )
        self._folders = Folders(self._launcher, self._events.loop)
        self._manager = ModelManager(
            self.registry,
            self._launcher.load,
            _options(flags),
            lambda path: find_versions(path, self._folders.names),
            self.metrics.count_worker_death,
        )
        self._reloader = Reloader(
            self.registry,
            allow_unavailable_labels=flags.allow_version_labels_for_unavailable_models,
            look=self._take_configuration,
        )
        self._poller = _config_poller(flags, self._reloader)
        self._grpc: GrpcServer | None = None
        self._rest: RestServer | None = None

    def start(self, stopping: threading.Event) -> bool:
        """Load every model, then open the ports; False if told to stop before.

        Raises: StartupError: a model failed to load, or a port was taken meanwhile.
        """
        self._launcher.start()
        self._manager.start()
        try:
            while not self.registry.wait_until_ready(_STEP_S):
                if stopping.is_set():
                    return False
        except StatusError as err:
            raise StartupError(f"Failed to start server. {err.message}") from err
        self._launcher.in_background = True
        self._events.run(self._open())
        if self._poller:
            self._poller.start()
        return True

    def stop(self) -> None:
        """Take no new requests, finish those in flight, end all processes."""
        if self._poller:
            self._poller.stop()
        self._events.run(self._close())
        self._request_log.close(_LAST_LOGS_S)
        self._ending = True
        self._folders.close()
        for servable in self.registry.close():
            servable.close()
        # Returns when all workers have ended.
        self._launcher.close()
        self._manager.stop(timeout_s=1.0)
        self._events.close()

    def ready_line(self) -> str:
        """Return the line that says where what is served."""
        ports = [f"gRPC on port {self.flags.port}"] if self.flags.port else []
        if self.flags.grpc_socket_path:
            ports.append(f"gRPC on {self.flags.grpc_socket_path}")
        if self._rest:
            ports.append(f"REST on port {self._rest_port}")
        models = [
            f"{name} {', '.join(map(str, numbers))}"
            for name, numbers in self.registry.available().items()
        ]
        return f"Serving {'; '.join(models) or 'no model'}: {', '.join(ports)}."

    async def _open(self) -> None:
        self._grpc = GrpcServer(self._desk, self._reloader, self.flags)
        if self._rest_port:
            self._rest = RestServer(self._desk, self.flags, self._page)
            await self._rest.start()
        await self._grpc.start()

    async def _close(self) -> None:
        """Finish on both ports at a time what is in flight."""
        stops: list[Coroutine[Any, Any, None]] = []
        if self._grpc:
            stops.append(self._grpc.stop())
        if self._rest:
            stops.append(self._rest.stop())
        await asyncio.gather(*stops)

    def _take_configuration(self) -> None:
        """Act on a configuration that the registry has taken."""
        self._request_log.keep(self.registry.log_prefixes())
        self._manager.look()

    async def _part_with(self, servable: Loaded) -> None:
        """Take over what a worker has counted, unless nobody will ask for it."""
        if not self._ending:
            await absorb(servable, self.metrics)

    def _workers(self) -> list[tuple[str, int, int]]:
        """Return model, version and process id of each worker."""
        return [
            (name, version, servable.pid)
            for name, version, servable in self.registry.loaded()
        ]


def _config_poller(flags: Flags, reloader: Reloader) -> ConfigPoller | None:
    wait_s = flags.model_config_file_poll_wait_seconds
    if not flags.model_config_file or not wait_s:
        return None
    return ConfigPoller(flags.model_config_file, wait_s, reloader)


def _options(flags: Flags) -> ManagerOptions:
    return ManagerOptions(
        poll_wait_s=flags.file_system_poll_wait_seconds,
        max_num_load_retries=flags.max_num_load_retries,
        load_retry_interval_s=flags.load_retry_interval_micros / 1e6,
        num_load_threads=flags.num_load_threads or 1,
    )


def _check_port(name: str, port: int) -> None:
    if not port:
        return
    listener(name, port).close()
