"""The same path on MovieLens-100K with the real text weights."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.fetch import fetch
from serving.client import GrpcClient
from tests.integration.support import ROOT, process
from tests.serving.support import Address, free_ports

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        os.environ.get("TANDEM_REAL") != "1", reason="TANDEM_REAL is not 1"
    ),
]

TOML = "trainer/configs/ml-100k.toml"
KNOWN, UNKNOWN = "196", "nobody"
# Few epochs: the path is what is tested here, and the full fit takes its time.
SETTINGS = (
    "retrieval.epochs=2",
    "retrieval.dim=32",
    "retrieval.history_length=30",
    "ranking.epochs=1",
    "ranking.candidates=100",
    "ranking.window=0.15",
    "train.validation_events=500",
)
SERVABLES = ("ranking", "recommender", "retrieval")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "ml-100k"
    settings = [f"--set={setting}" for setting in SETTINGS]
    command = [sys.executable, "-m", "trainer", "train", TOML, f"--out={folder}"]
    done = subprocess.run([*command, *settings], cwd=ROOT, timeout=1_200)
    assert done.returncode == 0
    return folder


@pytest.fixture(scope="module")
def server(out: Path) -> Iterator[Address]:
    grpc_port, rest_port = free_ports(2)
    flags = (
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--model_config_file={out / 'models' / 'models.scann.config'}",
    )
    with process("serving", "modelserver", *flags) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert all(name in line for name in SERVABLES)
        yield Address(f"127.0.0.1:{grpc_port}", rest_port)


def query(user: str, server: Address, *options: str) -> str:
    command = ["query", "--user", user, "--k", "10", "--grpc", server.grpc, *options]
    done = subprocess.run(
        [sys.executable, "-m", "serving", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def raw(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(fetch("ml-100k")) / f"{name}.csv", dtype=str)


@pytest.mark.parametrize("user", [KNOWN, UNKNOWN])
def test_ten_titles_with_scores(server: Address, user: str) -> None:
    found = json.loads(query(user, server, "--json"))
    assert found["user_id"] == user
    rows = found["items"]
    assert [row["rank"] for row in rows] == list(range(1, 11))
    items = [row["item_id"] for row in rows]
    assert len(set(items)) == 10
    titles = raw("items").set_index("item_id")["title"]
    assert [row["title"] for row in rows] == list(titles[items])
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    events = raw("interactions")
    met = set(events.loc[events["user_id"] == KNOWN, "item_id"])
    assert len(met) == 39
    if user == KNOWN:
        assert not met & set(items)


def test_the_table_shows_them(server: Address) -> None:
    rows = json.loads(query(KNOWN, server, "--json"))["items"]
    table = " ".join(query(KNOWN, server).split())
    for row in rows:
        assert row["title"].split()[0] in table
        assert f"{row['score']:.4f}" in table


def test_rest_equals_grpc_equals_python(out: Path, server: Address) -> None:
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the ops of the text tower

    users = [KNOWN, UNKNOWN]
    body = {"instances": [{"user_id": user} for user in users]}
    request = urllib.request.Request(
        f"http://{server.rest}/v1/models/recommender:predict",
        json.dumps(body).encode(),
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        rest = json.loads(response.read())["predictions"]
    with GrpcClient(server.grpc) as client:
        grpc = [client.recommend(user) for user in users]
    (folder,) = (out / "models" / "recommender").glob("[0-9]*")
    model = tf.saved_model.load(str(folder))
    python = model.signatures["serving_default"](user_id=tf.constant(users))
    for place in range(len(users)):
        items = [r.item_id for r in grpc[place]]
        assert rest[place]["item_id"] == items
        assert [i.decode() for i in python["item_id"][place].numpy()] == items
        scores = [r.score for r in grpc[place]]
        np.testing.assert_allclose(rest[place]["score"], scores, atol=1e-5)
        np.testing.assert_allclose(python["score"][place], scores, atol=1e-5)


def test_a_new_film_lies_beside_its_like(server: Address) -> None:
    """Text alone places a film that nobody has seen."""
    with GrpcClient(server.grpc) as client:
        vectors = [
            client.embed_text(text)
            for text in (
                "Star Wars: A New Hope (1977)",
                "Star Trek: The Wrath of Khan (1982)",
                "A romantic comedy about a wedding (1995)",
            )
        ]
    space, trek, wedding = (v / np.linalg.norm(v) for v in vectors)
    assert space @ trek > space @ wedding


def test_the_report_names_the_baselines(out: Path) -> None:
    models = json.loads((out / "report.json").read_text())["models"]
    assert {"retrieval", "two_stage", "popularity", "ease"} <= set(models)
    for name, found in models.items():
        metric = found["metrics"]["ndcg@10"]
        assert 0 < metric["low"] <= metric["mean"] <= metric["high"] < 1, name
