"""The server and the query, as a person starts and asks them."""

import json
import re
import subprocess
import sys
import urllib.request
from typing import Any

import numpy as np
import pytest

from serving.client import Client, GrpcClient, RestClient, ServingError, Widths
from tests.integration.calls import (
    NOBODY,
    items_table,
    list_of,
    ordinary_user,
    seen_items,
    users_of_the_test_part,
    warm_items,
)
from tests.integration.support import ROOT, Calls, EvaluatedJob
from tests.serving.support import Address, free_ports

pytestmark = pytest.mark.serving


@pytest.fixture(params=["grpc", "rest"])
def client(
    request: pytest.FixtureRequest, grpc_client: GrpcClient, rest_client: RestClient
) -> Client:
    return grpc_client if request.param == "grpc" else rest_client


def query(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serving", "query", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_known_user(evaluated: EvaluatedJob, calls: Calls, client: Client) -> None:
    for place, user in enumerate(users_of_the_test_part(evaluated)[:5]):
        found = client.recommend(user)
        expected = calls["recommender/default"]
        assert [r.item_id for r in found] == list_of(expected, place)
        scores = [r.score for r in found]
        np.testing.assert_allclose(scores, expected["score"][place], atol=1e-4)
        titles = items_table(evaluated)["title"]
        assert [r.title for r in found] == [titles[r.item_id] for r in found]


def test_k_history_and_exclusions(
    evaluated: EvaluatedJob, calls: Calls, client: Client
) -> None:
    user = ordinary_user(evaluated)
    found = client.recommend(user, k=50)
    assert [r.item_id for r in found] == list_of(calls["recommender/k 50 of one"])
    first = [r.item_id for r in found[:5]]
    left = client.recommend(user, exclude=first, k=45)
    assert not set(first) & {r.item_id for r in left}
    # Others become candidates in their place, and may come anywhere.
    both = {r.item_id for r in found} & {r.item_id for r in left}
    assert len(both) > 35
    before, after = ([r.item_id for r in x if r.item_id in both] for x in (found, left))
    assert after == before
    with pytest.raises(ServingError, match=r"k: expected from 1 to 150") as caught:
        client.recommend(user, k=151)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_widths_of_the_manifest(
    evaluated: EvaluatedJob, server: Address, grpc_client: GrpcClient
) -> None:
    folder = evaluated.models / "recommender" / str(evaluated.version)
    widths = Widths.from_manifest(folder / "manifest.json")
    assert widths == Widths(history=20, exclude=20)
    user, items = ordinary_user(evaluated), warm_items(evaluated)[:3]
    with GrpcClient(server.grpc, widths=widths) as client:
        padded = client.recommend(user, history=items, exclude=items[:1])
    free = grpc_client.recommend(user, history=items, exclude=items[:1])
    assert [r.item_id for r in padded] == [r.item_id for r in free]


def test_an_unknown_user(evaluated: EvaluatedJob, calls: Calls, client: Client) -> None:
    found = client.recommend(NOBODY)
    assert [r.item_id for r in found] == list_of(calls["recommender/strangers"])
    assert all(r.title for r in found)


def test_the_other_servables(
    evaluated: EvaluatedJob, calls: Calls, client: Client
) -> None:
    user = ordinary_user(evaluated)
    items = sorted(evaluated.planted.successor)
    ranked = client.rank(user, [*items, "no such item"])
    expected = dict(zip(items, calls["ranking one"]["score"][0].tolist(), strict=True))
    assert ranked[-1].item_id == "no such item"
    for one in ranked[:-1]:
        assert abs(one.score - expected[one.item_id]) < 1e-4
        assert set(one.columns) > {"like", "rating"}
    words = " ".join(evaluated.planted.words[0])
    vector = calls["embed_text"]["embedding"][0]
    np.testing.assert_allclose(client.embed_text(words), vector, atol=1e-5)
    found = [one.item_id for one in client.search(words)]
    assert found == list_of(calls["recommender/search"])
    assert client.search(" ") == []


def test_every_servable_is_available(evaluated: EvaluatedJob, client: Client) -> None:
    for name in ("recommender", "ranking", "retrieval"):
        states = {v.version: v.state for v in client.status(name)}
        assert states == {evaluated.version: "AVAILABLE"}
        signatures = set(client.metadata(name).signatures)
        assert signatures >= set(evaluated.manifest(name)["signatures"])


def test_plain_http(evaluated: EvaluatedJob, calls: Calls, server: Address) -> None:
    def post(model: str, document: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://{server.rest}/v1/models/{model}:predict",
            json.dumps(document).encode(),
            {"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as response:
            return json.loads(response.read())

    users = users_of_the_test_part(evaluated)[:3]
    for model in ("recommender", "retrieval"):
        rows = post(model, {"instances": [{"user_id": user} for user in users]})
        expected = calls[f"{model}/default"]
        for place, row in enumerate(rows["predictions"]):
            assert row["item_id"] == list_of(expected, place)
            np.testing.assert_allclose(
                row["score"], expected["score"][place], atol=1e-4
            )
    columns = {"user_id": users[:1], "item_id": [["no such item", ""]]}
    found = post("ranking", {"inputs": columns})["outputs"]
    np.testing.assert_allclose(found["score"], [[-1e30, -1e30]], rtol=1e-6)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_query_prints_ten_rows(
    evaluated: EvaluatedJob, calls: Calls, server: Address, transport: str
) -> None:
    user = ordinary_user(evaluated)
    address = server.grpc if transport == "grpc" else server.rest
    arguments = ("--user", user, f"--{transport}", address)
    done = query(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    ranks = [int(n) for n in re.findall(r"^\W *(\d+) ", done.stdout, re.M)]
    assert ranks == list(range(1, 11))
    found = json.loads(query(*arguments, "--json").stdout)
    items = [row["item_id"] for row in found["items"]]
    assert items == list_of(calls["recommender/one"])
    assert not set(items) & set(seen_items(evaluated, user))
    titles = items_table(evaluated)["title"]
    assert [row["title"] for row in found["items"]] == list(titles[items])
    assert all(titles[item] in done.stdout for item in items)


def test_query_of_nobody(calls: Calls, server: Address) -> None:
    done = query("--user", NOBODY, "--grpc", server.grpc, "--json")
    assert done.returncode == 0
    items = [row["item_id"] for row in json.loads(done.stdout)["items"]]
    assert items == list_of(calls["recommender/strangers"])


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_no_server(transport: str) -> None:
    (port,) = free_ports(1)
    done = query("--user", "a", f"--{transport}", f"127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert str(port) in done.stderr
