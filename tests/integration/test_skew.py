"""Skew is found where there is some, and named; where there is none, nothing is."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from data.files import read_json
from serving import messages
from serving.client import GrpcClient
from tests.integration.support import Calls, EvaluatedJob, run_trainer
from tests.serving.support import Address, ask

FLOATS = ("score", "like", "rating")
FAIR = (
    *("recommender/default", "recommender/own history", "recommender/tv"),
    *("recommender/strangers", "recommender/boost"),
    *("retrieval/default", "retrieval/own history"),
    *("ranking", "ranking unknown", "ranking history"),
)


def write_log(path: Path, job: EvaluatedJob, calls: Calls, *names: str) -> Path:
    """Write calls and their answers as a server that logs everything does."""
    from tensorflow_serving.apis import prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as writer:
        for name in names:
            call, answer = calls.wanted[name], calls.answers[name]["outputs"]
            log = prediction_log_pb2.PredictionLog()
            log.log_metadata.timestamp_secs = 2**31
            spec = log.log_metadata.model_spec
            spec.name, spec.version.value = call["servable"], job.version
            request, response = log.predict_log.request, log.predict_log.response
            request.model_spec.CopyFrom(spec)
            request.model_spec.signature_name = call["signature"]
            for key, value in call["inputs"].items():
                kind = {"k": np.int32, "time": np.int64}.get(key)
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value, kind))
            for key, value in answer.items():
                kind = np.float32 if key in FLOATS else None
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value, kind))
            writer.write(log.SerializeToString())
    return path


def figures(place: Path) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return features and scores by name, and the problems."""
    (found,) = read_json(place)["versions"]
    features = {feature["name"]: feature for feature in found["features"]}
    scores = {score["name"]: score for score in found["scores"]}
    return features, scores, found["problems"]


def test_what_is_served_is_what_training_computes(
    evaluated: EvaluatedJob,
    calls: Calls,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = write_log(tmp_path / "fair.tfrecord", evaluated, calls, *FAIR)
    place = tmp_path / "skew.json"
    # Only users of the test part ask here, so who asks is not who is trained on.
    options = ("--json", place, "--set", "skew.max_distance=1")
    status = run_trainer("skew", log, "--model", evaluated.out, *options)
    said = capsys.readouterr()
    assert status == 0, said.err
    features, scores, problems = figures(place)
    assert problems == []
    compared = {name: f for name, f in features.items() if f["mismatch"] is not None}
    assert {name: f["mismatch"] for name, f in compared.items() if f["mismatch"]} == {}
    assert {
        "history",
        "history order",
        "items.genres",
        "items.text",
        "users.region",
    } < (compared.keys())
    assert features["context.device"]["rows"] == 10
    assert features["user_id"]["unknown"] > 0
    assert scores.keys() == {
        *("ranking.like", "ranking.rating", "ranking.score"),
        *("recommender.score", "retrieval.score"),
    }
    assert all(score["largest"] < 1e-3 for score in scores.values()), scores
    assert "items.genres" in said.out
    assert "No skew beyond the tolerances." in said.out


@pytest.fixture
def served_log(
    evaluated: EvaluatedJob, server: Address, tmp_path: Path
) -> Iterator[Path]:
    """Have the server log all it is asked into a folder, while the test asks it."""
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    folder = tmp_path / "logs"
    folder.mkdir()
    usual = (evaluated.models / "models.scann.config").read_text()
    message = text_format.Parse(usual, model_server_config_pb2.ModelServerConfig())
    for model in message.model_config_list.config:
        wanted = model.logging_config
        wanted.log_collector_config.type = "tfrecord"
        wanted.log_collector_config.filename_prefix = f"{folder}/{model.name}"
        wanted.sampling_config.sampling_rate = 1.0
    configure(server, message)
    yield folder
    configure(server, text_format.Parse(usual, type(message)()))


def configure(server: Address, config: Any) -> None:
    request = messages.ReloadConfigRequest(config=config.SerializeToString())
    with grpc.insecure_channel(server.grpc) as channel:
        method = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
        channel.unary_unary(method)(request.SerializeToString(), timeout=60)


def test_the_log_of_a_server_shows_no_skew(
    evaluated: EvaluatedJob,
    calls: Calls,
    server: Address,
    grpc_client: GrpcClient,
    served_log: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in FAIR:
        asked = calls.wanted[name]
        inputs = {
            key: np.asarray(value, {"k": np.int32, "time": np.int64}.get(key))
            for key, value in asked["inputs"].items()
        }
        grpc_client.predict(asked["servable"], inputs, asked["signature"])
    users = evaluated.prepared.user_ids[-3:].tolist()
    body = json.dumps({"inputs": {"user_id": users}}).encode()
    path = "/v1/models/recommender:predict"
    assert ask(server.rest_port, "POST", path, body).status == 200
    place = tmp_path / "skew.json"
    options = ("--json", place, "--set", "skew.max_distance=1")
    asked_of = len(FAIR) + 1
    until(lambda: logged(served_log) == asked_of)
    status = run_trainer("skew", served_log, "--model", evaluated.out, *options)
    assert status == 0, capsys.readouterr().err
    (found,) = read_json(place)["versions"]
    assert found["problems"] == []
    assert all(score["largest"] < 1e-3 for score in found["scores"])


def logged(folder: Path) -> int:
    return sum(len(list(tf.data.TFRecordDataset(str(p)))) for p in folder.iterdir())


def until(check: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_changed_column_and_a_reversed_history_are_named(
    evaluated: EvaluatedJob,
    calls: Calls,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    shutil.copytree(evaluated.out, out, copy_function=os.link)
    table = out / "data" / "items.parquet"
    items = pd.read_parquet(table)
    column = "feature.genres"
    items[column] = list(np.roll(np.stack(items[column].to_list()), 1, axis=0))
    table.unlink()  # It is the other folder's too.
    items.to_parquet(table)
    names = ("recommender/backwards", "ranking")
    log = write_log(tmp_path / "log.tfrecord", evaluated, calls, *names)
    place = tmp_path / "skew.json"
    options = ("--json", place, "--set", "skew.max_distance=1")
    assert run_trainer("skew", log, "--model", out, *options) == 3
    features, scores, problems = figures(place)
    differ = {name for name, found in features.items() if found["mismatch"]}
    assert differ == {"history order", "items.genres"}
    assert features["history order"]["mismatch"] > 0.2
    named = {problem.partition(":")[0] for problem in problems}
    # The scores of other features are others.
    assert named - {"recommender.score", *(s for s in scores if "ranking" in s)} == (
        differ
    )
    assert {"ranking.score", "ranking.like"} <= named
    assert "Skew: history order: " in capsys.readouterr().err


def test_another_version_s_log_is_a_mistake(
    evaluated: EvaluatedJob,
    calls: Calls,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = write_log(tmp_path / "log.tfrecord", evaluated, calls, "ranking")
    content = log.read_bytes()
    assert run_trainer("skew", log, "--model", tmp_path) == 2
    assert run_trainer("skew", tmp_path / "gone", "--model", evaluated.out) == 2
    (tmp_path / "text").write_bytes(content[1:])
    assert run_trainer("skew", tmp_path / "text", "--model", evaluated.out) == 2
    assert "record 1, at byte 0: corrupted record" in capsys.readouterr().err
