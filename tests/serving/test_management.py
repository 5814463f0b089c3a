"""A running server as operators see it: reload, labels, metrics, health, limits."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from serving.messages import HealthCheckRequest, HealthCheckResponse
from serving.modelserver.server import ModelServer
from serving.modelserver.tfrecord import as_record
from tests.serving.support import Address, ask

PAGE = "/monitoring/prometheus/metrics"
CODE = grpc.StatusCode
# What version 1 of a model adds to half of x, by model; version 2 adds one more.
OFFSETS = {"red": 10.0, "blue": 20.0}


def eventually(check: Callable[[], bool], within_s: float = 40) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "the expected state did not come"
        time.sleep(0.05)


class Operator:
    """What an operator can do to the server with the official stubs and plain HTTP."""

    def __init__(self, address: Address, models: Path, root: Path) -> None:
        self.address = address
        self.root = root
        self.channel = grpc.insecure_channel(address.grpc)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self.channel
        )
        self._before = (models / "models.config").read_text()

    def reload(self, *metrics: str, **labels: dict[str, int]) -> Any:
        """Serve the models of the session, and those named here with their labels.

        In: `metrics`: what the answer is to tell the growth of.
        """
        config = text_format.Parse(
            self._before, model_server_config_pb2.ModelServerConfig()
        )
        for name, versions in labels.items():
            model = config.model_config_list.config.add(
                name=name,
                base_path=str(self.root / name),
                model_platform="tensorflow",
            )
            model.model_version_policy.all.SetInParent()
            model.version_labels.update(versions)
        return self.send(config, *metrics)

    def send(self, config: Any, *metrics: str) -> Any:
        request = model_management_pb2.ReloadConfigRequest(
            config=config, metric_names=metrics
        )
        return self.models.HandleReloadConfigRequest(request, timeout=60)

    def states(self, model: str) -> list[tuple[int, int]]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        found = self.models.GetModelStatus(request, timeout=20).model_version_status
        return [(status.version, status.state) for status in found]

    def predict(self, model: str, label: str) -> float:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.version_label = label
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.zeros(1, np.float32)))
        answer = self.prediction.Predict(request, timeout=20)
        return float(answer.outputs["y"].float_val[0])

    def rest_predict(self, model: str, label: str) -> float:
        target = f"/v1/models/{model}/labels/{label}:predict"
        found = ask(self.address.rest_port, "POST", target, b'{"instances": [0.0]}')
        assert found.status == 200, found.body
        return float(found.json["predictions"][0])

    def page(self) -> dict[str, float]:
        found = ask(self.address.rest_port, "GET", PAGE)
        assert found.status == 200
        assert found.headers["content-type"] == "text/plain"
        lines = found.body.decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if line[0] != "#")
        return {name: float(value) for name, _, value in samples}


@pytest.fixture(scope="module")
def operator(
    address: Address, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    from tests.serving.models import save_halver

    root = tmp_path_factory.mktemp("managed")
    for name, offset in OFFSETS.items():
        for number in (1, 2):
            save_halver(root / name / str(number), offset=offset + number - 1)
    made = Operator(address, models, root)
    yield made
    made.reload()
    made.channel.close()


def refused(call: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    return caught.value.code(), caught.value.details() or ""


# Reload and labels.


def test_labels_move_while_serving(operator: Operator) -> None:
    operator.reload(red={}, blue={})
    both = [(2, 30), (1, 30)]
    eventually(lambda: all(operator.states(name) == both for name in OFFSETS))
    operator.reload(red={"stable": 1, "canary": 2}, blue={"stable": 2})
    assert operator.predict("red", "stable") == 10
    assert operator.rest_predict("red", "canary") == 11
    assert operator.rest_predict("blue", "stable") == 21
    done = threading.Event()
    seen: dict[str, set[float]] = {"red": set(), "blue": set()}
    failures: list[BaseException] = []

    def keep_asking(call: Callable[[str, str], float]) -> None:
        while not done.is_set():
            for model, answers in seen.items():
                try:
                    answers.add(call(model, "stable"))
                except BaseException as err:
                    failures.append(err)

    calls = (operator.predict, operator.rest_predict)
    threads = [threading.Thread(target=keep_asking, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        for red, blue in ((2, 1), (1, 2), (2, 2)):
            operator.reload(
                red={"stable": red, "canary": 3 - red}, blue={"stable": blue}
            )
            assert operator.predict("red", "stable") == 9 + red
            assert operator.predict("red", "canary") == 12 - red
            assert operator.rest_predict("blue", "stable") == 19 + blue
            time.sleep(0.2)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert seen == {"red": {10.0, 11.0}, "blue": {20.0, 21.0}}
    operator.reload(red={"stable": 1}, blue={})
    found = refused(operator.predict, "red", "canary")
    assert found == (
        CODE.INVALID_ARGUMENT,
        "Unrecognized servable version label: canary",
    )


def test_a_refused_reload_changes_nothing(operator: Operator) -> None:
    operator.reload(red={"stable": 1}, blue={"stable": 1})
    code, text = refused(lambda: operator.reload(red={"stable": 7}, blue={"stable": 2}))
    assert code is CODE.FAILED_PRECONDITION
    assert "label to version 7 of model red, which is not currently avail" in text
    assert operator.predict("blue", "stable") == 20
    # A new label may point at what is not loaded: the server was told to permit it.
    operator.reload(red={"stable": 1, "next": 7})
    code, text = refused(operator.predict, "red", "next")
    assert (code, text) == (
        CODE.NOT_FOUND,
        "Servable not found for request: Specific(red, 7)",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Only ModelConfigList is currently supported"),
        (
            'model_config_list { config { name: "m" base_path: "/m" '
            'model_platform: "onnx" } }',
            "Illegal to change a model's platform",
        ),
        (
            'model_config_list { config { name: "x" base_path: "x" '
            'model_platform: "tensorflow" } }',
            "Expected model x to have an absolute path or URI; got base_path()=x",
        ),
    ],
)
def test_configurations_that_are_refused(
    operator: Operator, text: str, message: str
) -> None:
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    code, found = refused(operator.send, config)
    assert code is CODE.INVALID_ARGUMENT
    assert message in found
    assert (124, 30) in operator.states("m")


def test_a_corrupt_version_and_one_that_is_taken_away(operator: Operator) -> None:
    operator.reload(red={"stable": 2}, blue={})
    eventually(lambda: operator.states("red") == [(2, 30), (1, 30)])
    (operator.root / "staged").mkdir()
    (operator.root / "staged" / "saved_model.pb").write_bytes(b"nonsense")
    (operator.root / "staged").rename(operator.root / "red" / "3")
    # It is tried again each minute, and is LOADING until it is given up.
    eventually(lambda: (3, 20) in operator.states("red"))
    assert operator.predict("red", "stable") == 11
    shutil.rmtree(operator.root / "red" / "3")
    shutil.rmtree(operator.root / "red" / "1")
    gone = [(3, 50), (2, 30), (1, 50)]
    eventually(lambda: operator.states("red") == gone)
    assert operator.predict("red", "stable") == 11


def test_models_left_out_are_unloaded(operator: Operator) -> None:
    operator.reload(blue={"stable": 1})
    eventually(lambda: operator.states("blue") == [(2, 30), (1, 30)])
    operator.reload()
    eventually(lambda: {state for _, state in operator.states("blue")} == {50})
    assert refused(operator.predict, "blue", "stable")[0] is CODE.INVALID_ARGUMENT
    target = "/v1/models/blue:predict"
    found = ask(operator.address.rest_port, "POST", target, b'{"instances": [0.0]}')
    assert found.status == 404
    assert b"Servable not found for request: Latest(blue)" in found.body


# Metrics.


def count(model: str, status: str) -> str:
    labels = f'model_name="{model}",status="{status}"'
    return f":tensorflow:serving:request_count{{{labels}}}"


def latencies(model: str, api: str, entrypoint: str) -> str:
    labels = f'model_name="{model}",API="{api}",entrypoint="{entrypoint}"'
    return f":tensorflow:serving:request_latency_count{{{labels}}}"


def test_requests_are_on_the_page(operator: Operator) -> None:
    port = operator.address.rest_port
    predict = "/v1/models/m:predict"

    def act() -> None:
        assert ask(port, "POST", predict, b'{"instances": [1.0]}').status == 200
        assert ask(port, "POST", predict, b"nonsense").status == 400
        assert ask(port, "GET", "/v1/models/m").status == 200
        assert ask(port, "GET", "/v1/models/m/metadata").status == 200
        assert ask(port, "GET", "/v1/models/stranger").status == 404
        assert ask(port, "GET", "/v1/nonsense").status == 400
        assert ask(port, "GET", f"/v1/models/m/versions/{2**70}").status == 400
        assert ask(port, "OPTIONS", "/v1/", Origin="http://a").status == 200
        assert ask(port, "GET", "/elsewhere").status == 404
        assert operator.predict("m", "stable") == 2
        assert refused(operator.predict, "m", "none")[0] is CODE.INVALID_ARGUMENT
        operator.states("m")

    before = operator.page()
    act()
    after = operator.page()
    changed = {
        name: number - before.get(name, 0)
        for name, number in after.items()
        if re.match(r":tensorflow:serving:re\w+_(count|latency_count)\{", name)
        and number != before.get(name, 0)
    }
    runtime = ":tensorflow:serving:runtime_latency_count"
    assert changed == {
        count("m", "OK"): 4,
        count("m", "INVALID_ARGUMENT"): 2,
        count("stranger", "NOT_FOUND"): 1,
        count("", "INVALID_ARGUMENT"): 2,
        count("", "OK"): 1,
        latencies("m", "predict", "REST"): 1,
        latencies("m", "", "REST"): 2,
        latencies("", "", "REST"): 1,
        latencies("m", "Predict", "GRPC"): 1,
    }
    labels = '{model_name="m",API="Predict",runtime="TF1"}'
    assert after[runtime + labels] - before.get(runtime + labels, 0) == 2
    assert after["process_resident_memory_bytes{}"] > 1e6
    workers = [name for name in after if name.startswith("tandem_worker_threads{")]
    assert any('model_name="m",version="124"' in name for name in workers)
    assert after["tandem_requests_in_server{}"] == 0


def test_a_reload_tells_what_its_loads_have_counted(operator: Operator) -> None:
    from tests.serving.models import save_halver

    version = operator.root / "green" / "1"
    save_halver(version)
    extra = version / "assets.extra"
    extra.mkdir()
    (extra / "mlmd_uuid").write_text("an-id")
    # Records without a request are read as well.
    (extra / "tf_serving_warmup_requests").write_bytes(3 * as_record(b""))
    name = "/tensorflow/serving/model_warmup_records_read"
    told = operator.reload(name, "/none", green={})
    grown = {metric.name: metric.int64_value_increase for metric in told.metric}
    assert grown == {name: 3, "/none": 0}
    assert not operator.reload().metric
    page = operator.page()
    assert page[':tensorflow:serving:mlmd_map{model_name="green",version="1"}'] == 0


def test_the_page_as_upstream_serves_it(operator: Operator) -> None:
    port = operator.address.rest_port
    found = ask(port, "GET", f"{PAGE}?name=x")
    assert found.status == 400
    assert found.headers["content-type"] == "text/plain"
    assert found.body.decode() == f"Unexpected path: {PAGE}?name=x. Should be {PAGE}"
    assert ask(port, "POST", PAGE, b"x").body.startswith(b"# TYPE ")
    assert ask(port, "GET", f"{PAGE}/").status == 404


# Health, and a server that is full.


def test_health(operator: Operator) -> None:
    call = operator.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    for name in ("", "PredictionService", "ModelService"):
        assert call(HealthCheckRequest(service=name), timeout=20).status == 1
    unknown = HealthCheckRequest(service="tensorflow.serving.PredictionService")
    assert refused(call, unknown)[0] is CODE.NOT_FOUND


def test_a_full_server_says_so_at_once(operator: Operator, server: ModelServer) -> None:
    admission = server._desk.admission
    places = admission._limit
    for _ in range(places):
        admission.enter("GRPC")
    try:
        port = operator.address.rest_port
        body = b'{"instances": [1.0]}'
        found = ask(port, "POST", "/v1/models/m:predict", body)
        assert (found.status, found.headers["retry-after"]) == (503, "1")
        assert "Too many requests are waiting" in found.json["error"]
        code, text = refused(operator.predict, "m", "stable")
        assert code is CODE.UNAVAILABLE
        assert "Too many requests are waiting" in text
        # Whoever probes the server or looks after it is still answered.
        assert ask(port, "GET", "/v1/models/m").status == 200
        assert (124, 30) in operator.states("m")
        assert operator.page()["tandem_requests_in_server{}"] == places
    finally:
        for _ in range(places):
            admission.leave()
    assert operator.predict("m", "stable") == 2
