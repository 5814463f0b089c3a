"""A server of TensorFlow Serving's ModelService that loads nothing and takes notes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)

from trainer.export.labels import read_labels
from trainer.export.publish import SERVABLES, versions

STATES = get_model_status_pb2.ModelVersionStatus.State
NO_ROOM = "no room for it"


@dataclass(frozen=True)
class Told:
    """A configuration, the same for all models, and the labels on disk as it came."""

    labels: dict[str, int]
    versions: list[int]
    on_disk: dict[str, int]


@dataclass
class FakeServer(model_service_pb2_grpc.ModelServiceServicer):
    """Serves the newest version in a folder, then what it is told.

    `slow`: by model, how often its states are asked for before a version that it was
    told to load is AVAILABLE; `refuses`: the configurations that it refuses, counted
    from 0, `in_answer` of the call rather than by its status. A label on a version
    that is not AVAILABLE is refused, as TensorFlow Serving does.
    `calls`: in order, the model whose states were asked for or what was told.
    """

    folder: Path
    names: tuple[str, ...] = SERVABLES
    slow: dict[str, int] = field(default_factory=dict)
    refuses: tuple[int, ...] = ()
    in_answer: bool = False
    address: str = ""
    calls: list[str | Told] = field(default_factory=list)
    base_paths: dict[str, str] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    loaded: dict[str, dict[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loaded = {name: {self._newest(name): 0} for name in self.names}

    def _newest(self, name: str) -> int:
        return versions(str(self.folder), name)[-1]

    @property
    def told(self) -> list[Told]:
        return [call for call in self.calls if isinstance(call, Told)]

    def serve(self, *numbers: int, **labels: int) -> None:
        """Serve versions, and name some, without having been told."""
        self.loaded = {name: dict.fromkeys(numbers, 0) for name in self.names}
        self.labels = labels

    def GetModelStatus(self, request: Any, context: Any) -> Any:
        name = request.model_spec.name
        self.calls.append(name)
        if name not in self.names:
            told = f"Could not find any versions of model {name}"
            context.abort(grpc.StatusCode.NOT_FOUND, told)
        answer = get_model_status_pb2.GetModelStatusResponse()
        for version, left in self.loaded[name].items():
            state = STATES.LOADING if left > 0 else STATES.AVAILABLE
            answer.model_version_status.add(version=version, state=state)
            self.loaded[name][version] = left - 1
        return answer

    def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        models = list(request.config.model_config_list.config)
        self.base_paths = {model.name: model.base_path for model in models}
        told = [
            Told(
                dict(model.version_labels),
                list(model.model_version_policy.specific.versions),
                read_labels(str(self.folder)),
            )
            for model in models
        ]
        assert all(one == told[0] for one in told)
        self.calls.append(told[0])
        answer = model_management_pb2.ReloadConfigResponse()
        if len(self.told) - 1 in self.refuses:
            if not self.in_answer:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, NO_ROOM)
            answer.status.error_code, answer.status.error_message = 3, NO_ROOM
            return answer
        self._check_labels(told[0], context)
        self.labels = told[0].labels
        for name in self.base_paths:
            wanted = told[0].versions or [self._newest(name)]
            slow = self.slow.get(name, 0)
            self.loaded[name] = {v: self.loaded[name].get(v, slow) for v in wanted}
        return answer

    def _check_labels(self, told: Told, context: Any) -> None:
        for name in self.base_paths:
            for version in told.labels.values():
                if self.loaded[name].get(version, 1) > 0:
                    context.abort(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model "
                        f"{name}, which is not currently available for inference",
                    )


@contextmanager
def listening(fake: FakeServer) -> Iterator[FakeServer]:
    """Let it answer at a free port, which `address` names then."""
    server = grpc.server(ThreadPoolExecutor(1))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()
