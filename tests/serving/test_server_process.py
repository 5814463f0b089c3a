"""The server as a process: start, swap under load, signals, and users' mistakes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from benchmarks.serving.processes import cpu_of
from serving import messages
from serving.client import GrpcClient, RestClient, Retries, ServingError
from serving.modelserver.errors import StartupError
from serving.modelserver.flags import Flags, parse_flags, usage, without_effect
from serving.modelserver.model_config import configured_models
from serving.modelserver.server import ModelServer
from serving.modelserver.versions import Everything, Latest, Specific
from serving.tensors import fill_proto, from_proto
from tests.serving.rest_cases import check_http, http_case
from tests.serving.support import Address, ask, free_ports

ROOT = Path(__file__).parents[2]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "serving", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def launch(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("modelserver", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


# What a person can get wrong.


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "neither --model_config_file nor --model_base_path is given"),
        (["--model_base_path=models/m"], "to have an absolute path or URI"),
        (["--model_config_file=/no/such.config"], "cannot be read: No such file"),
        (["--port=eight"], "--port: expected an integer, got 'eight'"),
        (["--port=70000"], "--port: expected a port up to 65535, got 70000"),
        (["--port=0"], "--port=0 turns gRPC off"),
        (["--grpc_max_threads=0"], "--grpc_max_threads: expected at least 1, got 0"),
        (["--version=maybe"], "--version: expected true or false, got 'maybe'"),
        (["--log_format=xml"], "--log_format: expected text or json, got 'xml'"),
        (["--max_waiting_requests=0"], "--max_waiting_requests: expected at least 1"),
        (["--use_alts_credentials"], "Use --ssl_config_file in its place"),
        (
            ["--batching_parameters_file=/b"],
            "--batching_parameters_file is given without --enable_batching",
        ),
        (
            ["--per_process_gpu_memory_fraction=half"],
            "--per_process_gpu_memory_fraction: expected a number, got 'half'",
        ),
    ],
)
def test_mistakes_in_flags(arguments: list[str], text: str) -> None:
    with pytest.raises(StartupError) as caught:
        ModelServer(parse_flags(arguments)[0])
    assert text in str(caught.value)


def test_mistake_ends_the_process_with_one_message() -> None:
    done = run("modelserver", "--model_config_file=/no/such.config")
    assert done.returncode == 2
    assert done.stderr.startswith("modelserver: --model_config_file=/no/such.config")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_flags_are_parsed_as_upstream() -> None:
    flags, unknown = parse_flags(
        ["--port", "9", "--rest_api_port=81", "--nope=1", "-port=3", "--version"]
    )
    assert unknown == ["--port", "9", "--nope=1", "-port=3"]
    assert (flags.port, flags.rest_api_port, flags.version) == (8500, 81, True)
    flags, unknown = parse_flags(["--rest_api_enable_cors_support=TRUE", "--port=1"])
    assert (flags.rest_api_enable_cors_support, flags.port, unknown) == (True, 1, [])
    assert "--rest_api_timeout_in_ms=30000" in usage()


def test_flags_without_effect_are_named_with_the_reason() -> None:
    given = ["--prefer_tflite_model", "--enable_profiler=true", "--num_load_threads=2"]
    flags, unknown = parse_flags([*given, "--per_process_gpu_memory_fraction=0.5"])
    assert unknown == []
    assert without_effect(flags) == {
        "prefer_tflite_model": "TensorFlow Lite models are not served",
        "per_process_gpu_memory_fraction": "memory is taken as needed",
    }


def test_unknown_arguments_are_told_and_the_start_goes_on() -> None:
    done = run("modelserver", "--version", "--colour=red")
    assert done.returncode == 0
    assert "unknown argument: --colour=red\nusage: " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("tensorflow: 2.")
    assert run("modelserver", "--help").stdout.startswith("usage: ")


ONE = 'config {{ name: "m" base_path: "/m" model_platform: "tensorflow" {} }}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {\n  nonsense: 1\n}", "2:3 : "),
        ("{", "Expected a ModelServerConfig in text format"),
        (ONE.format("") * 2, "Illegal to list model m multiple times"),
        (
            'config { name: "m" base_path: "m" model_platform: "tensorflow" }',
            "Expected model m to have an absolute path or URI; got base_path()=m",
        ),
        (
            'config { name: "m" base_path: "/m" }',
            "Illegal setting neither ModelServerConfig::model_type nor",
        ),
        (
            'config { name: "m" base_path: "/m" model_platform: "onnx" }',
            "Model m requests unsupported platform onnx",
        ),
        (
            ONE.format('version_labels { key: "a" value: 1 }'),
            "--allow_version_labels_for_unavailable_models=true",
        ),
    ],
)
def test_mistakes_in_the_config_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "models.config"
    path.write_text(f"model_config_list {{ {text} }}" if "config {" in text else text)
    with pytest.raises(StartupError) as caught:
        ModelServer(Flags(model_config_file=str(path), port=free_ports(1)[0]))
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_config_file(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text(
        "model_config_list {\n"
        + ONE.format("")
        + 'config { name: "a" base_path: "gs://b/a" model_type: TENSORFLOW'
        "  model_version_policy { specific { versions: 4 versions: 2 } } }"
        'config { name: "b" base_path: "/b" model_platform: "tensorflow"'
        "  model_version_policy { latest { num_versions: 3 } } }"
        'config { name: "c" base_path: "/c" model_platform: "tensorflow"'
        '  model_version_policy { all {} } version_labels { key: "l" value: 7 } }'
        "}"
    )
    found = configured_models(Flags(model_config_file=str(path)))
    assert [model.name for model in found] == ["m", "a", "b", "c"]
    policies = [model.policy for model in found]
    assert policies == [Latest(), Specific(frozenset({2, 4})), Latest(3), Everything()]
    assert (found[1].base_path, dict(found[3].labels)) == ("gs://b/a", {"l": 7})
    path.write_text("")
    assert configured_models(Flags(model_config_file=str(path))) == []


def test_taken_ports(tmp_path: Path) -> None:
    (free,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("modelserver", f"--model_base_path={tmp_path}", f"--port={port}")
        assert done.returncode == 2
        assert f"--port={port} cannot be bound: Address already in use" in done.stderr
        flags = Flags(model_base_path=str(tmp_path), port=free, rest_api_port=port)
        with pytest.raises(StartupError, match=f"--rest_api_port={port} cannot"):
            ModelServer(flags)


def test_waiting_for_a_model_is_told_and_can_be_interrupted(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    process = launch(f"--model_base_path={tmp_path}/none", f"--port={port}")
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"Waiting for {tmp_path}/none" in line
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        end(process)


def test_broken_model_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    server = ModelServer(
        Flags(
            model_name="m",
            model_base_path=str(tmp_path / "m"),
            port=free_ports(1)[0],
            max_num_load_retries=0,
        )
    )
    try:
        with pytest.raises(StartupError, match=r"did not become available.*name: m"):
            server.start(threading.Event())
    finally:
        server.stop()


# A running process.


@pytest.fixture(scope="module")
def process(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[subprocess.Popen[str], Address, Path]]:
    from tests.serving.models import save_halver, save_kinds

    root = tmp_path_factory.mktemp("swapped")
    save_halver(root / "m" / "1")
    save_kinds(root / "kinds" / "1")
    lines = [
        f'  config {{ name: "{name}" base_path: "{root}/{name}" '
        'model_platform: "tensorflow" }'
        for name in ("m", "kinds")
    ]
    config = root / "models.config"
    config.write_text("\n".join(["model_config_list {", *lines, "}"]))
    grpc_port, rest_port = free_ports(2)
    running = launch(
        f"--model_config_file={config}",
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        "--rest_api_enable_cors_support",
        "--enable_signature_method_name_check",
        "--enable_serialization_as_tensor_content",
        "--max_num_load_retries=1",
        "--load_retry_interval_micros=100000",
        "--model_config_file_poll_wait_seconds=1",
        "--log_format=json",
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line == (
            f"Serving m 1; kinds 1: gRPC on port {grpc_port}, "
            f"REST on port {rest_port}.\n"
        )
        yield running, Address(f"127.0.0.1:{grpc_port}", rest_port), root
    finally:
        end(running)


@pytest.mark.parametrize(
    "name", ["http-cors-post", "http-cors-preflight", "http-metrics-disabled"]
)
def test_rest_cases_of_a_server_with_cors_and_no_monitoring(
    process: tuple[subprocess.Popen[str], Address, Path], name: str
) -> None:
    check_http(http_case(name), process[1].rest_port)


def test_method_names_are_checked_if_asked_for(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    port = process[1].rest_port
    body = b'{"signature_name":"classify","examples":[{"x":1.0}]}'
    answer = ask(port, "POST", "/v1/models/kinds:classify", body)
    text = (
        "Expected classification signature method_name to be "
        "tensorflow/serving/classify. Was: tensorflow/serving/predict"
    )
    assert (answer.status, answer.json) == (400, {"error": text})
    body = b'{"signature_name":"length","instances":["abc"]}'
    answer = ask(port, "POST", "/v1/models/kinds:predict", body)
    assert answer.status == 500
    assert "Was: tensorflow/serving/measure" in answer.json["error"]
    texts = {"s": np.array(["abc"])}
    with (
        GrpcClient(process[1].grpc) as client,
        pytest.raises(ServingError, match=r"INTERNAL.*method_name to be one of {"),
    ):
        client.predict("kinds", texts, "length")


def test_compact_tensors_are_for_grpc_alone(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    body = b'{"signature_name":"defaults","inputs":{"x":[1.5],"k":[1]}}'
    answer = ask(process[1].rest_port, "POST", "/v1/models/kinds:predict", body)
    assert answer.json == {"outputs": {"k": [1], "y": [2.5]}}
    request = messages.PredictRequest(output_filter=["y"])
    request.model_spec.name = "kinds"
    request.model_spec.signature_name = "defaults"
    fill_proto(request.inputs["x"], np.array([1.5], np.float32))
    with grpc.insecure_channel(process[1].grpc) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        found = call(request.SerializeToString(), timeout=20)
    y = messages.PredictResponse.FromString(found).outputs["y"]
    assert (len(y.tensor_content), len(y.float_val)) == (4, 0)
    assert from_proto(y).tolist() == [4.5]


def until(check: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def swap(client: GrpcClient, root: Path) -> None:
    """Publish version 2 of m, unless it is there, and wait until it alone is served."""
    from tests.serving.models import save_halver

    staged, final = root / "m" / "staged", root / "m" / "2"
    if not final.exists():
        save_halver(staged, offset=100.0)
        staged.rename(final)

    def swapped() -> bool:
        found = {v.version: v.state for v in client.status("m")}
        return (found.get(2), found.get(1)) == ("AVAILABLE", "END")

    until(swapped)


def test_no_request_fails_while_a_version_is_swapped(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    _, address, root = process
    done = threading.Event()
    answers: list[set[float]] = [set(), set()]
    failures: list[Exception] = []

    def ask_on(place: int, client: Any) -> None:
        while not done.is_set():
            try:
                found = client.predict("m", {"x": np.array([2.0], np.float32)})
                answers[place].add(float(found["y"][0]))
            except ServingError as err:
                failures.append(err)

    with GrpcClient(address.grpc) as one, RestClient(address.rest) as two:
        threads = [
            threading.Thread(target=ask_on, args=pair) for pair in enumerate((one, two))
        ]
        for thread in threads:
            thread.start()
        swap(one, root)
        done.set()
        for thread in threads:
            thread.join()
        assert [v.version for v in two.status("m")] == [2, 1]
    target = "/v1/models/m/versions/1:predict"
    gone = ask(address.rest_port, "POST", target, b"{}")
    text = "Servable not found for request: Specific(m, 1)"
    assert (gone.status, gone.json) == (404, {"error": text})
    assert failures == []
    assert answers == [{3.0, 101.0}, {3.0, 101.0}]


def test_the_config_file_is_read_again(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    _, address, root = process
    config = root / "models.config"
    target = "/v1/models/kinds/labels/here/metadata"
    assert ask(address.rest_port, "GET", target).status == 400
    label = 'version_labels { key: "here" value: 1 }'
    config.write_text(config.read_text().replace('/kinds"', f'/kinds" {label}'))
    deadline = time.monotonic() + 20
    while ask(address.rest_port, "GET", target).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_cors_headers_on_every_handler_response(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    port = process[1].rest_port
    for method, target in (
        ("GET", "/v1/models/m"),
        ("GET", "/v1/x"),
        ("OPTIONS", "/v1/"),
    ):
        headers = ask(port, method, target, Origin="http://a").headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["access-control-allow-methods"] == "POST, GET"
        assert headers["access-control-allow-headers"] == "Content-Type"


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [
        int(c) for t in tasks.iterdir() for c in (t / "children").read_text().split()
    ]


def workers(process: subprocess.Popen[str]) -> set[int]:
    (zygote,) = children(process.pid)
    return set(children(zygote))


def start(process: subprocess.Popen[str], *threads: threading.Thread) -> None:
    """Start threads that ask slowly; return when a worker computes for them."""
    before = cpu_of(process.pid)
    for thread in threads:
        thread.start()
    until(lambda: cpu_of(process.pid) > before + 0.2)


def slowly(client: GrpcClient, results: list[object], steps: int) -> None:
    try:
        answer = client.predict("kinds", {"n": np.array([steps], np.int32)}, "slow")
        results.append(answer["y"].shape)
    except ServingError as err:
        results.append(err.code)


def test_only_workers_hold_tensorflow(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    running, _, _ = process
    assert "tensorflow" not in Path(f"/proc/{running.pid}/maps").read_text()
    (zygote,) = children(running.pid)
    assert "libtensorflow" in Path(f"/proc/{zygote}/maps").read_text()
    assert len(workers(running)) == 2


def test_a_killed_worker_comes_back(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    running, address, _ = process
    results: list[object] = []
    with GrpcClient(address.grpc, retries=Retries(attempts=1)) as client:
        thread = threading.Thread(target=slowly, args=(client, results, 2_000_000))
        start(running, thread)
        killed = workers(running)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        thread.join()
        assert results == ["UNAVAILABLE"]
        with pytest.raises(ServingError) as caught:
            client.predict("m", {"x": np.array([2.0], np.float32)})
        assert caught.value.code == "UNAVAILABLE"
        for name in ("m", "kinds"):
            until(lambda name=name: "AVAILABLE" in states(client, name))  # type: ignore[misc]
        assert client.predict("m", {"x": np.array([2.0], np.float32)})["y"].size == 1
    assert len(workers(running)) == 2
    assert not workers(running) & killed


def states(client: GrpcClient, model: str) -> list[str]:
    return [version.state for version in client.status(model)]


def test_a_version_removed_while_in_use_answers_and_ends(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    running, address, root = process
    results: list[object] = []
    with GrpcClient(address.grpc) as client:
        # It outlasts the second after which the server looks at the folder again.
        thread = threading.Thread(target=slowly, args=(client, results, 600_000))
        start(running, thread)
        (root / "kinds" / "1").rename(root / "kinds" / "away")
        until(lambda: states(client, "kinds") == ["UNLOADING"])
        with pytest.raises(ServingError, match=r"Latest\(kinds\)"):
            client.predict("kinds", {"x": np.array([1], np.float32)}, "guarded")
        thread.join()
        assert results == [(1,)]
        until(lambda: states(client, "kinds") == ["END"])
        # Its memory goes back with its process.
        until(lambda: len(workers(running)) == 1)
        (root / "kinds" / "away").rename(root / "kinds" / "1")
        until(lambda: states(client, "kinds") == ["AVAILABLE"])


def test_a_corrupt_version_is_left_alone(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    running, address, root = process
    staged = root / "m" / "staged3"
    (staged / "variables").mkdir(parents=True)
    (staged / "saved_model.pb").write_bytes(b"\x0a\xffnot a model")
    staged.rename(root / "m" / "3")
    with GrpcClient(address.grpc) as client:
        until(lambda: states(client, "m")[:2] == ["END", "AVAILABLE"])
        broken = client.status("m")[0]
        assert (broken.version, broken.error_code != "OK") == (3, True)
        assert broken.error_message
        assert client.predict("m", {"x": np.array([2.0], np.float32)})["y"].size == 1
    until(lambda: len(workers(running)) == 2)
    shutil.rmtree(root / "m" / "3")


def test_sigterm_finishes_what_is_in_flight_and_logs_no_request(
    process: tuple[subprocess.Popen[str], Address, Path],
) -> None:
    running, address, root = process
    results: list[Any] = []
    slow = {"n": np.array([300_000], np.int32)}

    def ask_slowly(client: Any) -> None:
        try:
            results.append(client.predict("kinds", slow, "slow")["y"].shape)
        except ServingError as err:
            results.append(err)

    one = GrpcClient(address.grpc, timeout_s=30.0)
    with one, RestClient(address.rest, timeout_s=30.0) as two:
        swap(one, root)
        # It asks for a signature once; nobody could answer that after the signal.
        two.predict("kinds", {"n": np.array([1], np.int32)}, "slow")
        with pytest.raises(ServingError, match="too big"):
            one.predict("kinds", {"x": np.array([77777], np.float32)}, "guarded")
        ask(address.rest_port, "GET", "/v1/models/secret-user")
        threads = [threading.Thread(target=ask_slowly, args=(c,)) for c in (one, two)]
        start(running, *threads)
        others = [*children(running.pid), *workers(running)]
        running.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert results == [(1,), (1,)]
        assert running.wait(20) == 0
        assert not [pid for pid in others if Path(f"/proc/{pid}").exists()]
    assert running.stderr is not None
    log = running.stderr.read()
    # Earlier tests made loads fail and killed a worker, which is told as such.
    levels = {json.loads(line)["level"] for line in log.splitlines()}
    assert levels <= {"info", "warning", "error"}
    assert "Loaded m version 2" in log
    assert "Unloaded m version 1" in log
    for private in ("secret-user", "77777", "Traceback"):
        assert private not in log


# The other commands.


def test_query_prints_a_table(address: Address) -> None:
    for option in (f"--grpc={address.grpc}", f"--rest={address.rest}"):
        done = run("query", "--user", "196", "--k", "3", option)
        assert (done.returncode, done.stderr) == (0, "")
        assert "For user 196" in done.stdout
        rows = [
            line.split("│")[1:-1] for line in done.stdout.splitlines() if "│" in line
        ]
        assert [cell.strip() for cell in rows[1]] == ["2", "Title 1 é", "i1", "0.9000"]
        assert len(rows) == 3


def test_query_prints_json(address: Address) -> None:
    done = run("query", "--user", "é", "--k", "2", "--grpc", address.grpc, "--json")
    document = json.loads(done.stdout)
    assert document["user_id"] == "é"
    assert [row["item_id"] for row in document["items"]] == ["i0", "i1"]
    assert document["items"][1] == {
        "rank": 2,
        "item_id": "i1",
        "title": "Title 1 é",
        "score": pytest.approx(0.9),
        "columns": {"year": 1991},
    }


def test_query_without_a_server() -> None:
    (port,) = free_ports(1)
    done = run("query", "--user", "1", "--grpc", f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert done.stderr == (
        f"query: nothing listens at 127.0.0.1:{port}. `make serve` starts a server.\n"
    )


def test_query_without_a_user() -> None:
    done = run("query")
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: python -m serving query")
    assert "--user" in done.stderr
    both = run("query", "--user", "1", "--grpc", "a", "--rest", "b")
    assert (both.returncode, "not both" in both.stderr) == (2, True)


def test_query_that_the_model_refuses(address: Address) -> None:
    done = run("query", "--user", "1", "--k", "500", "--grpc", address.grpc)
    assert done.returncode == 2
    assert "k is above max_k" in done.stderr


def export(root: Path, name: str, version: str, ops: object) -> None:
    folder = root / name / version
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"ops_beyond_stock": ops}))


def test_config_lists_what_a_server_can_load(tmp_path: Path) -> None:
    models = tmp_path / "models"
    export(models, "recommender", "1", [])
    export(models, "retrieval", "1", [])
    export(models, "retrieval", "20", ["Scann>ScannSearchBatched"])
    (models / "empty").mkdir()
    (models / "models.config").write_text("")
    stock = run("config", "--root", "/models/", "--models", models)
    assert stock.stdout == (
        "model_config_list {\n"
        '  config { name: "recommender" base_path: "/models/recommender" '
        'model_platform: "tensorflow" }\n'
        "}\n"
    )
    both = run("config", "--root", "/models", "--models", models, "--scann")
    (tmp_path / "scann.config").write_text(both.stdout)
    found = configured_models(Flags(model_config_file=str(tmp_path / "scann.config")))
    assert [model.base_path for model in found] == [
        "/models/recommender",
        "/models/retrieval",
    ]


def test_config_takes_the_newest_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from serving.__main__ import cli

    monkeypatch.chdir(tmp_path)
    missing = CliRunner().invoke(cli, ["config", "--root", "/m"])
    assert (missing.exit_code, "make train" in missing.output) == (2, True)
    for number, name in enumerate(("old", "new")):
        export(tmp_path / "artifacts" / name / "models", name, "1", [])
        os.utime(tmp_path / "artifacts" / name / "models", (number, number))
    found = CliRunner().invoke(cli, ["config", "--root", "/m"])
    assert "/m/new" in found.output
    assert "/m/old" not in found.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "got KeyError"),
        ("[", "got JSONDecodeError"),
        ('{"ops_beyond_stock":1}', "got 1"),
    ],
)
def test_config_with_a_bad_manifest(tmp_path: Path, text: str, message: str) -> None:
    from serving.model_list import ModelListError, servables

    export(tmp_path, "m", "3", [])
    (tmp_path / "m" / "3" / "manifest.json").write_text(text)
    with pytest.raises(ModelListError, match=message) as caught:
        servables(tmp_path)
    assert str(tmp_path / "m" / "3" / "manifest.json") in str(caught.value)
    with pytest.raises(ModelListError, match="expected a folder of servables"):
        servables(tmp_path / "no")


def test_query_needs_no_tensorflow_and_little_time(address: Address) -> None:
    code = (
        "import sys; from serving.client import GrpcClient;"
        f"client = GrpcClient('{address.grpc}'); print(len(client.recommend('1')));"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "5\nFalse\n"
