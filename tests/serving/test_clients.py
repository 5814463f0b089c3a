"""Our own clients, over gRPC and REST, with one set of expectations."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from serving.client import (
    Client,
    GrpcClient,
    Recommendation,
    RestClient,
    ServingError,
    Widths,
)
from serving.client.options import padded
from serving.tensors import strings
from tests.serving.support import Address, free_ports


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.getfixturevalue(f"{request.param}_client")
    return found


def ids(items: list[Recommendation]) -> list[str]:
    return [item.item_id for item in items]


def test_recommend(client: Client) -> None:
    items = client.recommend("anyone at all é\0")
    assert ids(items) == ["i0", "i1", "i2", "i3", "i4"]
    assert items[1].title == "Title 1 é"
    assert items[1].columns == {"year": 1991}
    assert items[1].score == pytest.approx(0.9)


def test_recommend_leaves_out_what_is_seen_or_excluded(client: Client) -> None:
    items = client.recommend("u", history=["i0", "i2", "zz"], exclude=["i4"], k=3)
    assert ids(items) == ["i1", "i3", "i5"]
    assert ids(client.recommend("u", exclude=["i0"])) == [f"i{n}" for n in range(1, 8)]


def test_padding_is_not_a_recommendation(client: Client) -> None:
    items = client.recommend("u", history=["i0", "i1", "i2", "i3", "i4", "i5"], k=8)
    assert ids(items) == ["i6", "i7"]


@pytest.mark.parametrize("k", [0, 101])
def test_k_out_of_range_is_the_models_error(client: Client, k: int) -> None:
    with pytest.raises(ServingError, match="k ") as caught:
        client.recommend("u", k=k)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_similar(client: Client) -> None:
    assert ids(client.similar("i0")) == ["i1", "i2", "i3"]


def test_search(client: Client) -> None:
    assert ids(client.search("i0")) == ["i1", "i2"]
    assert all(found.title for found in client.search("i0"))


def test_rank(client: Client) -> None:
    items = client.rank("u", ["i1", "i5", "i3"])
    assert ids(items) == ["i5", "i3", "i1"]
    assert items[0].score == pytest.approx(0.5)
    assert items[0].columns["rating"] == 2.5
    assert items[0].title == "Title 5 é"
    assert client.rank("u", []) == []


def test_embed_text(client: Client) -> None:
    vector = client.embed_text("abc")
    np.testing.assert_array_equal(vector, np.array([3, 1], np.float32), strict=True)


def test_describe(client: Client) -> None:
    known, unknown = client.describe(["i2", "no"])
    assert (known.title, known.columns) == ("Title 2 é", {"year": 1992})
    assert (unknown.item_id, unknown.title) == ("no", "")
    assert client.describe([]) == []


def test_status(client: Client) -> None:
    states = [(found.version, found.state) for found in client.status("m")]
    assert states == [(124, "AVAILABLE"), (123, "AVAILABLE")]
    with pytest.raises(ServingError, match="NOT_FOUND") as caught:
        client.status("no")
    assert caught.value.message == "Could not find any versions of model no"


def test_metadata(client: Client) -> None:
    found = client.metadata("ranking")
    assert (found.name, found.version) == ("ranking", 20250102030405)
    signature = found.signatures["serving_default"]
    assert signature.inputs["item_id"].dtype == "string"
    assert signature.inputs["item_id"].shape == (-1, -1)
    assert set(signature.outputs) == {"like", "rating", "score"}


def test_metadata_is_the_same_either_way(
    grpc_client: GrpcClient, rest_client: RestClient
) -> None:
    for model in ("m", "kinds", "recommender"):
        assert grpc_client.metadata(model) == rest_client.metadata(model)


KINDS: dict[str, Any] = {
    "b": np.array([True, False]),
    "d": np.array([0.1, -np.inf], np.float64),
    "f": np.array([0.1, np.nan], np.float32),
    "i8": np.array([-128, 0], np.int8),
    "i16": np.array([-2, 0], np.int16),
    "i32": np.array([-3, 0], np.int32),
    "i64": np.array([2**63 - 1, 0], np.int64),
    "s": strings(["a\0é", ""]),
    "u8": np.array([255, 0], np.uint8),
    "u32": np.array([2**32 - 1, 0], np.uint32),
    "u64": np.array([2**64 - 1, 0], np.uint64),
}


def test_predict_keeps_every_type(client: Client) -> None:
    outputs = client.predict("kinds", KINDS)
    for name, value in KINDS.items():
        np.testing.assert_array_equal(outputs[name], value, strict=True)


def test_predict_keeps_bytes(client: Client) -> None:
    outputs = client.predict("kinds", {"s": strings([b"\xff\0", "é"])}, "echo")
    for name in ("text", "raw_bytes"):
        assert outputs[name].tolist() == [b"\xff\0", "é".encode()]


def test_predict_of_scalars_and_nothing(client: Client) -> None:
    total = client.predict("kinds", {"x": np.array([1, 2], np.float32)}, "scalar")["y"]
    np.testing.assert_array_equal(total, np.array(3, np.float32), strict=True)
    empty = client.predict("m", {"x": np.zeros((0,), np.float32)})["y"]
    assert empty.shape == (0,)


def test_unknown_signature(client: Client) -> None:
    with pytest.raises(ServingError, match="zz"):
        client.predict("m", {"x": np.array([1], np.float32)}, "zz")


def test_titles_are_optional(address: Address) -> None:
    with GrpcClient(address.grpc, titles=False) as client:
        assert client.recommend("u")[0].title == ""


def test_rest_client_follows_a_model_whose_outputs_change(
    rest_client: RestClient,
) -> None:
    stale = rest_client.metadata("m").signatures["serving_default"]
    rest_client._signatures["recommender", "serving_default"] = stale
    rest_client._signatures["recommender", "describe"] = stale
    assert rest_client.recommend("u")[0].title == "Title 0 é"


@pytest.mark.parametrize(
    ("given", "width", "trim", "expected"),
    [
        ([], None, True, [""]),
        (["a"], None, True, ["a"]),
        (["a", "b", "c"], None, True, ["a", "b", "c", ""]),
        (["a", "b"], 3, True, ["a", "b", ""]),
        (["a", "b", "c"], 2, True, ["b", "c"]),
        (["a", "b", "c"], 2, False, ["a", "b", "c", ""]),
    ],
)
def test_padding(
    given: list[str], width: int | None, trim: bool, expected: list[str]
) -> None:
    found = padded(given, width, trim=trim)
    assert found.tolist() == [[text.encode() for text in expected]]


def test_widths_from_a_manifest(tmp_path: Any) -> None:
    path = tmp_path / "manifest.json"
    path.write_text('{"limits": {"max_history": 50, "max_exclude": 100, "k": 10}}')
    assert Widths.from_manifest(path) == Widths(history=50, exclude=100)


def open_client(kind: str, port: int, timeout_s: float) -> Client:
    target = f"127.0.0.1:{port}"
    if kind == "grpc":
        return GrpcClient(target, timeout_s=timeout_s)
    return RestClient(target, timeout_s=timeout_s)


@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_nothing_listens(kind: str) -> None:
    (port,) = free_ports(1)
    with (
        open_client(kind, port, 10.0) as client,
        pytest.raises(ServingError) as caught,
    ):
        client.recommend("u")
    assert caught.value.code == "UNAVAILABLE"
    assert caught.value.message == (
        f"nothing listens at 127.0.0.1:{port}. `make serve` starts a server."
    )


@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_deadline(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = time.monotonic()
        with (
            open_client(kind, port, 0.5) as client,
            pytest.raises(ServingError) as caught,
        ):
            client.status("m")
        assert caught.value.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
        assert time.monotonic() - started < 5


@contextmanager
def flaky_http(failures: int) -> Iterator[tuple[int, list[int]]]:
    """Answer 503 so many times and then a status document."""
    server = socket.create_server(("127.0.0.1", 0))
    statuses: list[int] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                failing = len(statuses) < failures
                statuses.append(503 if failing else 200)
                body = (
                    b'{"error":"full"}' if failing else b'{"model_version_status":[]}'
                )
                head = (
                    f"HTTP/1.1 {statuses[-1]} x\r\nContent-Length: {len(body)}\r\n"
                    "Content-Type: application/json\r\nConnection: close\r\n\r\n"
                )
                connection.sendall(head.encode() + body)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1], statuses
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def test_unavailable_is_tried_again() -> None:
    with flaky_http(2) as (port, statuses), RestClient(f"127.0.0.1:{port}") as client:
        assert client.status("m") == []
    assert statuses == [503, 503, 200]


def test_unavailable_for_good_is_an_error() -> None:
    with (
        flaky_http(99) as (port, statuses),
        RestClient(f"127.0.0.1:{port}") as client,
        pytest.raises(ServingError, match="UNAVAILABLE: full"),
    ):
        client.status("m")
    assert statuses == [503] * 4


def test_port_of_something_else() -> None:
    with (
        flaky_http(0) as (port, _),
        GrpcClient(f"127.0.0.1:{port}", timeout_s=2) as client,
        pytest.raises(ServingError),
    ):
        client.status("m")
