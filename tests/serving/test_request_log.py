"""Requests and answers that `logging_config` asks for: chosen, written, told apart."""

import errno
import json
import logging
import os
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from serving import messages
from serving.modelserver.errors import Code, StatusError
from serving.modelserver.prediction_log import PredictionLog
from serving.modelserver.request_log import log as log_module
from serving.modelserver.request_log.files import RecordFile, RotatedFiles
from serving.modelserver.request_log.log import Exchange, RequestLog, is_chosen
from serving.modelserver.request_log.settings import LogSettings, log_settings
from serving.modelserver.server import ModelServer
from serving.modelserver.tfrecord import as_record, read_records
from serving.modelserver.worker.frames import Exchanged
from serving.tensors import fill_proto, from_proto, strings
from tests.serving.support import Address, ask

SECRET = "user-4711"


def records(folder: Path, name: str = "*.tfrecord") -> list[bytes]:
    """Return all records of a folder's files, in the order of their names."""
    found = []
    for path in sorted(folder.glob(name)):
        with path.open("rb") as file:
            found += read_records(file)
    return found


def exchange(settings: LogSettings, request: bytes = b"", model: str = "m") -> Exchange:
    return Exchange(
        settings=settings,
        model=model,
        version=7,
        method="predict",
        at=1_700_000_000,
        request=request,
        response=b"",
    )


def new_log(counts: Counter[tuple[str, Code]], most_bytes: int = 2**20) -> RequestLog:
    def count(model: str, code: Code) -> None:
        counts[model, code] += 1

    return RequestLog(["serve"], most_bytes, count)


@given(
    st.lists(st.binary(max_size=300), max_size=20),
    st.integers(1, 1000),
)
def test_files_hold_the_records_in_order_and_are_no_larger(
    contents: list[bytes], most_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)  # Which takes most of the time.
        files = RotatedFiles(f"{folder}/m", most_bytes)
        for content in contents:
            files.append(content)
        files.close()
        assert records(Path(folder)) == contents
        for path in Path(folder).iterdir():
            with path.open("rb") as file:
                alone = len(list(read_records(file))) == 1
            assert alone or path.stat().st_size <= most_bytes
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_record_that_does_not_fit_on_the_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RecordFile(str(tmp_path / "a.tfrecord"))
    file.append(as_record(b"whole"))
    write, full = os.write, OSError(errno.ENOSPC, "No space left on device")
    left = [7]

    def write_some(number: int, data: Any) -> int:
        if not left:
            raise full
        return write(number, data[: left.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_some)
        with pytest.raises(OSError, match="No space"):
            file.append(as_record(b"too much"))
    file.append(as_record(b"after"))
    file.close()
    assert records(tmp_path) == [b"whole", b"after"]


def test_a_log_that_cannot_be_written_is_told_once_and_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counts: Counter[tuple[str, Code]] = Counter()
    log = new_log(counts)
    settings = LogSettings(prefix=str(tmp_path / "gone" / "m"), rate=1.0)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            log.add(exchange(settings, SECRET.encode()))
        log.close(5)
    assert counts == {("m", Code.UNAVAILABLE): 3}
    assert len(caplog.messages) == 1
    assert "gone/m*: requests cannot be logged: No such file" in caplog.messages[0]
    assert SECRET not in caplog.text


def test_what_waits_is_bounded_and_drops_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MOST_WAITING", 3)
    counts: Counter[tuple[str, Code]] = Counter()
    log = new_log(counts)
    gate, entered = threading.Event(), threading.Event()
    append = RotatedFiles.append

    def held_up(self: RotatedFiles, content: bytes) -> None:
        entered.set()
        gate.wait(10)
        append(self, content)

    monkeypatch.setattr(RotatedFiles, "append", held_up)
    settings = LogSettings(prefix=str(tmp_path / "m"), rate=1.0)
    log.add(exchange(settings))
    assert entered.wait(10)
    for _ in range(5):
        log.add(exchange(settings))
    assert counts == {("m", Code.RESOURCE_EXHAUSTED): 2}
    gate.set()
    log.close(10)
    assert counts["m", Code.OK] == 4
    assert len(records(tmp_path)) == 4


def test_many_bytes_do_not_wait_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MOST_WAITING_BYTES", 100)
    counts: Counter[tuple[str, Code]] = Counter()
    log = new_log(counts)
    log.add(exchange(LogSettings(prefix=str(tmp_path / "m"), rate=1.0), bytes(101)))
    log.close(5)
    assert counts == {("m", Code.RESOURCE_EXHAUSTED): 1}


def test_a_share_is_chosen() -> None:
    def chosen(rate: float) -> int:
        settings = LogSettings(prefix="/m", rate=rate)
        return sum(is_chosen(settings) for _ in range(2000))

    assert chosen(1.0) == 2000
    assert 400 < chosen(0.3) < 800
    assert not is_chosen(None)


@given(st.binary(), st.binary(), st.binary())
def test_what_a_worker_tells_is_read_back(
    request: bytes, response: bytes, answer: bytes
) -> None:
    told = Exchanged(request, response, answer)
    assert Exchanged.from_bytes(told.to_bytes()) == told


def config(text: str) -> Any:
    from tensorflow_serving.config import logging_config_pb2

    return text_format.Parse(text, logging_config_pb2.LoggingConfig())


def collector(prefix: object, rate: float = 0.5, kind: str = "tfrecord") -> str:
    return (
        f'log_collector_config {{ type: "{kind}" filename_prefix: "{prefix}" }} '
        f"sampling_config {{ sampling_rate: {rate} }}"
    )


def test_settings_are_read(tmp_path: Path) -> None:
    prefix = tmp_path / "m"
    expected = LogSettings(prefix=str(prefix), rate=0.5)
    assert log_settings("m", config(collector(prefix))) == expected
    assert log_settings("m", config(collector(prefix, kind=""))) == expected
    assert log_settings("m", config("")) is None
    assert log_settings("m", config(collector("", rate=0))) is None


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (collector("/m", kind="x"), Code.NOT_FOUND, "Factory for type: x"),
        (collector("/m", rate=1.5), Code.INVALID_ARGUMENT, "from 0 to 1, got 1.5"),
        (collector("/m", rate=-1), Code.INVALID_ARGUMENT, "from 0 to 1"),
        (collector("m"), Code.INVALID_ARGUMENT, "absolute local path.*got 'm'"),
        (collector("gs://b/m"), Code.INVALID_ARGUMENT, "absolute local path"),
        (collector("/no/such/m"), Code.FAILED_PRECONDITION, "/no/such .*not exist"),
        ("custom_logging_config {}", Code.INVALID_ARGUMENT, "not supported"),
        (
            "sampling_config { per_task_sampling_configs {} }",
            Code.INVALID_ARGUMENT,
            "per_task_sampling_configs is not supported",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(
    text: str, code: Code, message: str
) -> None:
    with pytest.raises(StatusError, match=message) as caught:
        log_settings("m", config(text))
    assert caught.value.code is code


class Logging:
    """The session's server with some models logged; `prefix` begins their files."""

    def __init__(self, address: Address, models: Path, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.channel = grpc.insecure_channel(address.grpc)
        self._before = (models / "models.config").read_text()

    def configure(self, **logged: tuple[str, float]) -> None:
        """Log models from now on: each under a prefix, at a rate."""
        from tensorflow_serving.config import model_server_config_pb2

        message = model_server_config_pb2.ModelServerConfig()
        text_format.Parse(self._before, message)
        for model in message.model_config_list.config:
            if model.name in logged:
                prefix, rate = logged[model.name]
                text = collector(self.folder / prefix, rate)
                text_format.Parse(text, model.logging_config)
        request = messages.ReloadConfigRequest(config=message.SerializeToString())
        self._call("ModelService/HandleReloadConfigRequest", request)

    def predict(self, x: float) -> bytes:
        request = messages.PredictRequest()
        request.model_spec.name = "m"
        request.model_spec.version_label = "stable"
        fill_proto(request.inputs["x"], np.array([[x]], np.float32))
        return self._call("PredictionService/Predict", request)

    def _call(self, method: str, request: Any) -> bytes:
        call = self.channel.unary_unary(f"/tensorflow.serving.{method}")
        answer: bytes = call(request.SerializeToString(), timeout=30)
        return answer

    def post(self, target: str, **body: Any) -> bytes:
        answer = ask(
            self.address.rest_port,
            "POST",
            f"/v1/models/{target}",
            json.dumps(body).encode(),
        )
        assert answer.status == 200, answer.body
        return answer.body

    def logs(self, name: str = "*") -> list[Any]:
        """Return what the ended files hold."""
        return [PredictionLog.FromString(r) for r in records(self.folder, name)]


@pytest.fixture
def logged(
    server: ModelServer, address: Address, models: Path, tmp_path: Path
) -> Iterator[Logging]:
    made = Logging(address, models, tmp_path)
    yield made
    made.configure()


def settled(logged: Logging, count: int, name: str = "*") -> list[Any]:
    """Return the logs once there are so many: they are written beside the answers."""
    from tests.serving.test_management import eventually

    eventually(lambda: len(logged.logs(name)) >= count)
    found = logged.logs(name)
    assert len(found) == count
    return found


def test_a_served_request_is_logged_as_it_was_asked_and_answered(
    logged: Logging,
) -> None:
    logged.predict(1.0)
    logged.configure(m=("m", 1.0))
    response = logged.predict(3.0)
    (log,) = settled(logged, 1, "m-*.tfrecord")
    metadata = log.log_metadata
    assert metadata.model_spec.name == "m"
    assert metadata.model_spec.version.value == 123
    assert metadata.model_spec.signature_name == "serving_default"
    assert metadata.sampling_config.sampling_rate == 1
    assert list(metadata.saved_model_tags) == ["serve"]
    assert metadata.timestamp_secs > 1_700_000_000
    request = messages.PredictRequest.FromString(log.predict_log.request)
    assert request.model_spec.version_label == "stable"
    assert from_proto(request.inputs["x"]).tolist() == [[3.0]]
    assert log.predict_log.response == response


def test_rest_is_logged_as_grpc_would_have_carried_it(logged: Logging) -> None:
    logged.configure(m=("m", 1.0), recommender=("other", 1.0))
    body = logged.post(
        "recommender:predict",
        signature_name="with_history",
        instances=[{"user_id": SECRET, "history": ["i0"], "exclude": ["i1"], "k": 2}],
    )
    assert [row["item_id"] for row in json.loads(body)["predictions"]] == [["i2", "i3"]]
    (log,) = settled(logged, 1, "other-*")
    assert log.log_metadata.model_spec.signature_name == "with_history"
    request = messages.PredictRequest.FromString(log.predict_log.request)
    asked = {name: from_proto(value) for name, value in request.inputs.items()}
    np.testing.assert_array_equal(asked["user_id"], strings([SECRET]))
    np.testing.assert_array_equal(asked["history"], strings([["i0"]]))
    assert asked["k"].dtype == np.int32
    response = messages.PredictResponse.FromString(log.predict_log.response)
    assert response.model_spec.version.value == 20250102030405
    found = from_proto(response.outputs["item_id"])
    np.testing.assert_array_equal(found, strings([["i2", "i3"]]))
    scores = from_proto(response.outputs["score"])
    np.testing.assert_array_equal(scores, np.array([[0.8, 0.7]], np.float32))
    examples = [{"x": 2.0}, {"x": 4.0}]
    logged.post(
        "m/versions/123:regress", signature_name="regress_x_to_y", examples=examples
    )
    logged.post(
        "m:classify",
        signature_name="classify_x_to_y",
        context={"x": 1.0},
        examples=[{}],
    )
    first, second = settled(logged, 2, "m-*")
    result = messages.RegressionResponse.FromString(first.regress_log.response).result
    assert [one.value for one in result.regressions] == [3.0, 4.0]
    assert first.log_metadata.model_spec.version.value == 123
    request = messages.ClassificationRequest.FromString(second.classify_log.request)
    assert request.model_spec.signature_name == "classify_x_to_y"
    assert len(request.input.example_list_with_context.examples) == 1
    assert request.input.example_list_with_context.context
    told = messages.ClassificationResponse.FromString(second.classify_log.response)
    assert told.result.classifications[0].classes[0].score == 2.5
    assert second.log_metadata.model_spec.version.value == 124


def test_a_new_configuration_ends_the_file_and_begins_another(logged: Logging) -> None:
    logged.configure(m=("first", 1.0))
    logged.predict(1.0)
    logged.configure(m=("second", 1.0))
    logged.predict(2.0)
    logged.configure()
    logged.predict(3.0)
    (first,) = settled(logged, 1, "first-*")
    (second,) = settled(logged, 1, "second-*")
    values = [
        from_proto(
            messages.PredictRequest.FromString(log.predict_log.request).inputs["x"]
        )
        for log in (first, second)
    ]
    assert [value.item() for value in values] == [1.0, 2.0]


def test_what_fails_is_not_logged_and_the_page_counts_what_is(logged: Logging) -> None:
    logged.configure(m=("m", 1.0))
    port = logged.address.rest_port
    assert ask(port, "POST", "/v1/models/m:predict", b'{"instances": []}').status == 400
    logged.predict(1.0)
    settled(logged, 1)
    page = ask(port, "GET", "/monitoring/prometheus/metrics").body.decode()
    line = ':tensorflow:serving:request_log_count{model_name="m",status_code="OK"} '
    assert line in page


def test_a_refused_place_changes_nothing(logged: Logging) -> None:
    with pytest.raises(grpc.RpcError, match=r"no such.* does not exist"):
        logged.configure(m=("no such/m", 1.0))
    logged.predict(1.0)
    assert logged.logs() == []
