"""The load generator: when it sends, what it counts, whom it asks, when it ends."""

import asyncio
import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.serving import http2
from benchmarks.serving.address import loopback
from benchmarks.serving.arrivals import due_times
from benchmarks.serving.commands import cli
from benchmarks.serving.grpc_connection import GrpcConnection
from benchmarks.serving.outcome import Outcome, percentiles, summary
from benchmarks.serving.plan import Plan
from benchmarks.serving.requests import Asked, drawn
from benchmarks.serving.stolen import Stolen
from benchmarks.serving.swap import compared
from benchmarks.serving.table import part_lines
from benchmarks.serving.target import PREDICT, Target
from data.errors import ConfigError
from serving import messages
from serving.tensors import from_proto

IDS = ["a", "b", "c"]
STALL_S = 0.6


class Fake:
    """A server of Predict over gRPC and REST that counts, and can be made to stall."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.code: grpc.StatusCode | None = None
        self.status = 200
        self.free = threading.Event()
        self.free.set()
        self.grpc_port = self.rest_port = 0

    def stall(self, seconds: float, after: float) -> None:
        """Answer nothing for some seconds, as a process that is held up does."""
        threading.Timer(after, self.free.clear).start()
        threading.Timer(after + seconds, self.free.set).start()

    def take(self, user: str) -> None:
        self.asked[user] += 1
        assert self.free.wait(20)

    def predict(self, request: bytes, context: Any) -> bytes:
        message = messages.PredictRequest.FromString(request)
        self.take(from_proto(message.inputs["user_id"])[0].decode())
        if self.code is not None:
            context.abort(self.code, "no")
        return b"\x0a\x00"

    def target(self, protocol: str) -> Target:
        port = self.grpc_port if protocol == "grpc" else self.rest_port
        address = loopback(f"127.0.0.1:{port}")
        return Target(address=address, protocol=protocol, asked=Asked(), ids=IDS)  # type: ignore[arg-type]


@contextmanager
def _rest(fake: Fake) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 2**16  # Head and body in one packet.

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            fake.take(json.loads(self.rfile.read(size))["inputs"]["user_id"][0])
            self.send_response(fake.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    server = grpc.server(futures.ThreadPoolExecutor(32))
    handler: Any = grpc.unary_unary_rpc_method_handler(fake.predict)
    service, _, method = PREDICT.strip("/").partition("/")
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    fake.grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with _rest(fake) as fake.rest_port:
        yield fake
    fake.free.set()
    server.stop(0).wait()


PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "rest"])


@given(
    rate=st.floats(0.5, 2_000),
    seconds=st.floats(0.1, 5),
    kind=st.sampled_from(["poisson", "constant"]),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=60)
def test_arrivals_keep_rate_time_and_seed(
    rate: float, seconds: float, kind: Any, seed: int
) -> None:
    times = due_times(rate, seconds, kind, seed)
    assert (np.diff(times) >= 0).all()
    assert ((times >= 0) & (times < seconds)).all()
    expected = rate * seconds
    assert abs(len(times) - expected) <= 1 + (6 * expected**0.5 + 6) * (
        kind == "poisson"
    )
    np.testing.assert_array_equal(times, due_times(rate, seconds, kind, seed))


def test_poisson_gaps_are_exponential_and_constant_ones_even() -> None:
    gaps = np.diff(due_times(1_000, 20, "poisson", 3))
    assert gaps.mean() == pytest.approx(1e-3, rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert np.diff(due_times(100, 2, "constant")) == pytest.approx(0.01)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=500))
def test_percentiles_occurred_and_rise_to_the_greatest(values: list[float]) -> None:
    found = list(percentiles(np.array(values)).values())
    assert found == sorted(found)
    assert set(found) <= set(values)
    assert found[-1] == max(values)
    for share, value in zip((0.5, 0.9, 0.99, 0.999), found, strict=False):
        assert np.mean(np.array(values) <= value) >= share - 1e-9


def test_the_same_seed_asks_the_same_ids() -> None:
    assert drawn(IDS, 1, 50) == drawn(IDS, 1, 50)
    assert drawn(IDS, 1, 50) != drawn(IDS, 2, 50)


@PROTOCOLS
def test_a_closed_loop_counts_what_was_asked(fake: Fake, protocol: str) -> None:
    outcome = fake.target(protocol).send(
        Plan(clients=4, seconds=20, requests=300, seed=5)
    )
    found = summary(outcome)
    assert (found["requests"], found["ok"], found["errors"]) == (300, 300, {})
    assert fake.asked == Counter(drawn(IDS, 5, 300))
    assert found["seconds"] < 15
    assert (outcome.sent >= outcome.due).all()
    assert (outcome.ended > outcome.sent).all()


@PROTOCOLS
def test_a_closed_loop_ends_in_time(fake: Fake, protocol: str) -> None:
    begin = time.monotonic()
    outcome = fake.target(protocol).send(Plan(clients=2, seconds=0.3))
    assert time.monotonic() - begin < 5
    assert len(outcome.due) > 2
    assert outcome.due.max() < 0.3


@PROTOCOLS
def test_a_stall_shows_in_the_percentiles_of_an_open_loop(
    fake: Fake, protocol: str
) -> None:
    """Two connections hold two requests; all others that were due waited as well."""
    fake.stall(STALL_S, after=0.4)
    plan = Plan(clients=2, seconds=2.0, rate=100, arrivals="constant")
    outcome = fake.target(protocol).send(plan)
    found = summary(outcome)
    assert found["ok"] == found["requests"] == 200
    # A third of the time nothing was answered: that share of requests waited.
    assert found["latency_ms"]["p90"] > 1e3 * STALL_S / 3
    assert found["latency_ms"]["max"] > 1e3 * STALL_S * 0.8
    from_sending = 1e3 * (outcome.ended - outcome.sent)
    assert np.quantile(from_sending, 0.9) < found["latency_ms"]["p90"] / 2


@PROTOCOLS
def test_a_silent_server_cannot_keep_a_load_from_ending(
    fake: Fake, protocol: str
) -> None:
    fake.free.clear()
    begin = time.monotonic()
    outcome = fake.target(protocol).send(
        Plan(clients=2, seconds=0.3, rate=50, arrivals="constant", timeout_s=0.4)
    )
    assert time.monotonic() - begin < 4
    found = summary(outcome)
    assert (found["requests"], found["ok"]) == (15, 0)
    assert set(found["errors"]) <= {"DEADLINE_EXCEEDED", "NOT_SENT"}
    assert found["latency_ms"] == {}


def test_errors_are_counted_by_code(fake: Fake) -> None:
    plan = Plan(clients=2, seconds=20, requests=20)
    fake.status = 503
    assert summary(fake.target("rest").send(plan))["errors"] == {"HTTP 503": 20}
    fake.code = grpc.StatusCode.RESOURCE_EXHAUSTED
    found = summary(fake.target("grpc").send(plan))
    assert found["errors"] == {"RESOURCE_EXHAUSTED": 20}
    assert (found["ok"], found["per_s"]) == (0, 0.0)


def test_a_server_that_hangs_up_is_asked_again(tmp_path: Path) -> None:
    async def run() -> Outcome:
        met = 0

        async def hang_up(reader: Any, writer: asyncio.StreamWriter) -> None:
            nonlocal met
            met += 1
            await reader.readuntil(b"\r\n\r\n")
            if met > 2:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
                writer.write(b"Connection: close\r\n\r\n")
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = Target(
            address=loopback(f"127.0.0.1:{port}"),
            protocol="rest",
            asked=Asked(),
            ids=IDS,
        )
        plan = Plan(clients=1, seconds=20, requests=6)
        outcome = await asyncio.to_thread(target.send, plan)
        server.close()
        return outcome

    outcome = asyncio.run(run())
    assert outcome.code.tolist() == ["UNAVAILABLE"] * 2 + ["OK"] * 4
    outcome.save(tmp_path / "raw.npz")
    assert summary(Outcome.load(tmp_path / "raw.npz")) == summary(outcome)


@pytest.mark.parametrize(
    "target", ["8.8.8.8:80", "0.0.0.0:8500", "10.0.0.1:1", "[2001:db8::1]:80"]
)
def test_other_machines_are_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="this machine alone"):
        loopback(target)
    result = CliRunner().invoke(cli, ["load", "--grpc", target])
    assert result.exit_code == 2


def test_a_name_counts_by_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loopback("localhost:80").host in ("127.0.0.1", "::1")
    infos = [(2, 1, 6, "", (host, 80)) for host in ("127.0.0.1", "192.0.2.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: infos)
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        loopback("two-faced.example:80")


@pytest.mark.parametrize("target", ["localhost", "localhost:0", ":80", "127.0.0.1:x"])
def test_what_is_no_address_is_told(target: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        loopback(target)


def test_mistakes_of_a_command_are_told(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("196\n")
    run = CliRunner().invoke
    asked = ["load", "--grpc", "127.0.0.1:1", "--ids", str(ids)]
    for more in (["--rest", "127.0.0.1:2"], ["--clients", "0"], ["--rate", "0"], []):
        result = run(cli, [*asked, *more])
        assert result.exit_code == 2, result.output
    assert run(cli, ["load", "--grpc", "127.0.0.1:1", "--ids", "none"]).exit_code == 2


@given(code=st.integers(0, 16), huffman=st.booleans(), indexed=st.booleans())
def test_a_status_is_read_in_every_coding(
    code: int, huffman: bool, indexed: bool
) -> None:
    def text(value: str) -> bytes:
        raw = http2._huffman(value) if huffman else value.encode()
        return bytes([(0x80 if huffman else 0) | len(raw)]) + raw

    other = b"\x0f\x10" + bytes([16]) + b"application/grpc"
    literal = b"\x40" if indexed else b"\x10"
    block = b"\x20\x88" + other + literal + text("grpc-status") + text(str(code))
    assert http2.grpc_status(block) == code
    assert http2.grpc_status(b"\x20\x88" + other) is None
    with pytest.raises(ValueError, match="table of size 0"):
        http2.grpc_status(b"\xbe")


@given(data=st.data())
def test_frames_are_read_however_they_are_cut(data: st.DataObject) -> None:
    trailers = b"\x88\x00\x0bgrpc-status\x015"
    answer = b"".join(
        [
            http2.frame(http2.SETTINGS, 0, 0, b""),
            http2.frame(http2.HEADERS, http2.END_HEADERS, 1, b"\x88"),
            http2.frame(http2.DATA, 0, 1, b"\0\0\0\0\x02ab"),
            http2.frame(http2.PING, 0, 0, b"12345678"),
            http2.frame(http2.HEADERS, http2.END_STREAM, 1, trailers[:5]),
            http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, trailers[5:]),
        ]
    )
    places = st.lists(st.integers(0, len(answer)), max_size=9)
    cuts = [0, *sorted(data.draw(places)), len(answer)]
    codes: list[str] = []
    connection = GrpcConnection(codes.append, lambda: None, b"\x83")
    written = Written()
    connection.connection_made(written)  # type: ignore[arg-type]
    connection.send(b"")
    for begin, end in itertools.pairwise(cuts):
        connection.data_received(answer[begin:end])
    assert codes == ["NOT_FOUND"]
    assert http2.frame(http2.PING, http2.ACK, 0, b"12345678") in written.parts


@dataclass
class Written:
    """A transport that keeps what is written."""

    def __post_init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.parts.append(data)


def test_swaps_are_compared_with_what_is_far_from_them() -> None:
    due = np.arange(0, 60, 0.01)
    ended = due + 0.010
    ended[(due >= 18) & (due < 20)] += 0.050  # While a version is loaded,
    ended[(due >= 20) & (due < 21)] += 0.020  # and when it has taken over at 20.
    outcome = Outcome(
        due=due,
        sent=due,
        ended=ended,
        code=np.full(len(due), "OK"),
        started=0.0,
        cpu_s=1.0,
    )
    one = {"published": 15.0, "taken_over": {"a": 20.0}, "complete": True}
    two = {"published": 40.0, "taken_over": {"a": 41.0, "b": 42.0}, "complete": True}
    found = compared(outcome, [one, two])
    assert found["steady"]["latency_ms"]["max"] == pytest.approx(10)
    assert found["around"]["requests"] == pytest.approx(500 + 600, abs=3)
    assert found["around"]["p99_ratio"] == pytest.approx(6)
    assert found["while_loading"]["requests"] == pytest.approx(750 + 450, abs=3)
    swaps = [{**swap, "took_s": 5.0} for swap in (one, two)]
    figures = {**found, "swaps": swaps, "rate": 100, "capacity_per_s": 200}
    figures["stolen"] = {"share": 0.021, "worst_at": 12.0, "worst_s": 0.5}
    measured = dict.fromkeys(
        ("when", "commit", "cores", "processor", "load_before", "load_after"), 0
    )
    text = part_lines("swap", {**figures, "servables": ["a"], "measured": measured})
    assert "6.00 | at most 1.5 | **missed**" in text
    assert found["too_late"] == 0
    later = {**two, "taken_over": {"a": 41.0, "b": 70.0}}
    assert compared(outcome, [one, later])["too_late"] == 1
    assert "Failed requests: 0 of 6,000 (none): met" in text
    assert "2.1% of the CPU time, 0.50 s of it in the second from 12 s on" in text


def test_stolen_time_is_told_for_the_worst_second() -> None:
    stolen = Stolen()
    stolen.samples = [(0.0, 5.0), (1.0, 5.0), (1.5, 5.3), (2.0, 5.6), (4.0, 5.8)]
    at, seconds = stolen.worst()
    assert (at, seconds) == (1.0, pytest.approx(0.6))
    assert stolen.share == pytest.approx(0.8 / 4 / (os.cpu_count() or 1))
