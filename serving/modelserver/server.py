"""The server as a whole: load, open the ports, serve, finish what is in flight."""

import logging
import threading
from typing import TYPE_CHECKING

from serving.modelserver.errors import StartupError, StatusError
from serving.modelserver.flags import Flags
from serving.modelserver.lifecycle import Servable
from serving.modelserver.manager import ManagerOptions, ModelManager
from serving.modelserver.model_config import check_labels, configured_models
from serving.modelserver.registry import Registry
from serving.modelserver.sockets import listener

if TYPE_CHECKING:
    import grpc

    from serving.modelserver.rest_server import RestServer

_STEP_S = 0.1
_GRACE_S = 30.0
logger = logging.getLogger(__name__)


class ModelServer:
    """One server. Everything that needs TensorFlow is imported when it starts.

    Raises: StartupError: on construction, if configuration or ports are wrong.
    """

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self.registry = Registry()
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
        self._manager = ModelManager(self.registry, self._load, _options(flags))
        self._grpc: grpc.Server | None = None
        self._rest: RestServer | None = None

    def start(self, stopping: threading.Event) -> bool:
        """Load every model, then open the ports; False if told to stop before.

        Raises: StartupError: a model failed to load, or a port was taken meanwhile.
        """
        self._manager.start()
        try:
            while not self.registry.wait_until_ready(_STEP_S):
                if stopping.is_set():
                    return False
        except StatusError as err:
            raise StartupError(f"Failed to start server. {err.message}") from err
        self._open()
        return True

    def stop(self) -> None:
        """Take no new requests, finish those in flight, end."""
        grpc_stopped = self._grpc.stop(_GRACE_S) if self._grpc else None
        if self._rest:
            self._rest.stop()
        if grpc_stopped:
            grpc_stopped.wait()
        self._manager.stop(timeout_s=1.0)

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

    def _load(self, path: str) -> Servable:
        from serving.modelserver.servable import load_saved_model

        return load_saved_model(path, self.flags.saved_model_tags.split(","))

    def _open(self) -> None:
        from serving.modelserver.grpc_api import build_grpc_server

        self._grpc = build_grpc_server(self.registry, self.flags)
        if self._rest_port:
            from serving.modelserver.rest_server import RestServer

            self._rest = RestServer(self.registry, self.flags)
            self._rest.start()
        self._grpc.start()


def _options(flags: Flags) -> ManagerOptions:
    return ManagerOptions(
        poll_wait_s=flags.file_system_poll_wait_seconds,
        max_num_load_retries=flags.max_num_load_retries,
        load_retry_interval_s=flags.load_retry_interval_micros / 1e6,
    )


def _check_port(name: str, port: int) -> None:
    if not port:
        return
    listener(name, port).close()
