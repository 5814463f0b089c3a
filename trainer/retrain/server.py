"""Asks a running server which versions it serves, and moves its labels.

Any server of TensorFlow Serving's ModelService: what it serves is given by the whole
model configuration, so that is what is sent.
"""

import time
from collections.abc import Mapping, Sequence

import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from data import files
from data.console import say
from trainer.errors import ExportError
from trainer.export.publish import SERVABLES, config_text

CALL_S, POLL_S = 60.0, 0.5
AVAILABLE = get_model_status_pb2.ModelVersionStatus.State.AVAILABLE


class Server:
    """A server of the models in a folder, which it may know under another name."""

    def __init__(self, address: str, root: str, wait_s: float) -> None:
        """In: `address`: HOST:PORT of gRPC; `root`: the models' folder as it sees it.

        Raises: ExportError when nothing answers there, or a server of other models.
        """
        self.address, self.root, self.wait_s = address, root, wait_s
        self._stub = model_service_pb2_grpc.ModelServiceStub(
            grpc.insecure_channel(address)
        )
        self.names = tuple(n for n in SERVABLES if self.states(n) is not None)
        if not self.names:
            raise ExportError(
                f"{address}: serves none of {', '.join(SERVABLES)}, expected a server "
                "of these models. Name another one (--server), or none."
            )

    def states(self, name: str) -> dict[int, int] | None:
        """Return the state of each version of a model; None if it is not served."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        try:
            found = self._stub.GetModelStatus(request, timeout=CALL_S)
        except grpc.RpcError as err:
            if err.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise ExportError(
                f"{self.address}: {err.code().name}: {err.details()}; expected a "
                "server of TensorFlow Serving's API. Start it (make serve), or leave "
                "--server out."
            ) from err
        return {one.version: one.state for one in found.model_version_status}

    def configure(self, labels: Mapping[str, int], more: Sequence[int] = ()) -> None:
        """Have versions loaded and named.

        In: `labels`: the version of each; `more`: versions to load without a label;
        with neither, the newest is served. Raises: ExportError when it is refused.
        """
        request = model_management_pb2.ReloadConfigRequest()
        text = config_text(self.root, self.names, labels, more)
        text_format.Parse(text, request.config)
        try:
            answer = self._stub.HandleReloadConfigRequest(request, timeout=self.wait_s)
        except grpc.RpcError as err:
            raise ExportError(
                f"{self.address}: refused the configuration: {err.details()}. The "
                "labels are as they were."
            ) from err
        if answer.status.error_code:
            raise ExportError(
                f"{self.address}: refused the configuration: "
                f"{answer.status.error_message}. The labels are as they were."
            )

    def wait(self, version: int) -> None:
        """Wait until a version of all models is AVAILABLE.

        Raises: ExportError after `wait_s`, naming the models that are not.
        """
        deadline = time.monotonic() + self.wait_s
        while True:
            missing = [n for n in self.names if not self.serves(n, version)]
            if not missing:
                return
            if time.monotonic() > deadline:
                raise ExportError(
                    f"{self.address}: version {version} of {', '.join(missing)} is not "
                    f"AVAILABLE after {self.wait_s:.0f} s ([retrain] wait_s). No label "
                    "was moved; look at the server's log, then run the same command."
                )
            time.sleep(POLL_S)

    def serves(self, name: str, version: int) -> bool:
        """Tell whether a version of a model is AVAILABLE."""
        return version in self.available(name)

    def available(self, name: str) -> set[int]:
        """Return the versions of a model that are AVAILABLE."""
        states = self.states(name) or {}
        return {version for version, state in states.items() if state == AVAILABLE}

    def held(self, labels: Mapping[str, int]) -> dict[str, int]:
        """Return labels as the server can hold them: on versions that it has loaded.

        Those that were moved on disk alone may name others, and a server does not tell
        what its own name: its oldest version stands for it, newer ones may be canaries.
        """
        loaded = set.intersection(*map(self.available, self.names))
        if not loaded:
            return {}
        return {n: v if v in loaded else min(loaded) for n, v in labels.items()}


def move_labels(
    server: Server, before: Mapping[str, int], after: Mapping[str, int]
) -> None:
    """Load what labels are to name, wait until it is served, then move them.

    A label on a version that is not loaded is refused: so in two configurations. If
    the new versions do not come, the server is told what it was told before.
    """
    before = server.held(before)
    wanted = sorted(set(after.values()))
    server.configure(before, wanted)
    try:
        for version in wanted:
            server.wait(version)
        server.configure(after)
    except ExportError:
        server.configure(before)
        raise
    say(f"{server.address}: {', '.join(f'{n} is {v}' for n, v in after.items())}")


def root_of(models: str, root: str) -> str:
    """Return the models' folder as a server sees it."""
    if root:
        return root
    import os

    return models if files.is_remote(models) else os.path.abspath(models)


_ = model_server_config_pb2  # Registers the message that `config` holds.
