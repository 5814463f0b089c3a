"""The channel between the front process and a worker, without TensorFlow."""

import asyncio
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.modelserver.batching import BatchingParameters
from serving.modelserver.errors import Code, StatusError
from serving.modelserver.event_loop import EventLoop
from serving.modelserver.flags import Flags
from serving.modelserver.worker.frames import Decoder, Frame, Method, encode
from serving.modelserver.worker.order import Order
from serving.modelserver.worker.priority import in_the_shadow
from serving.modelserver.worker.remote import RemoteServable
from serving.modelserver.worker.turns import Turns

FRAMES = st.builds(
    Frame,
    call=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(Method).map(int),
    payload=st.binary(max_size=300),
    time_us=st.integers(0, 2**32 - 1),
)


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 200)))
def test_frames_survive_any_cut(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(map(encode, sent))
    decoder = Decoder()
    received: list[Frame] = []
    for size in [*cuts, len(stream) or 1]:
        if stream:
            received += decoder.feed(stream[:size])
            stream = stream[size:]
    assert received == sent


def test_orders_arrive_as_they_were_given() -> None:
    batching = BatchingParameters(max_batch_size=8, allowed_batch_sizes=(2, 8))
    order = Order(
        model="é",
        version=-3,
        path="/models/\udcff",
        flags=Flags(model_name="x", enable_batching=True),
        batching=batching,
        in_background=True,
    )
    assert Order.from_bytes(order.to_bytes()) == order


class Worker:
    """The other end of a channel: answers what it is told to."""

    def __init__(self, events: EventLoop) -> None:
        ours, self.socket = socket.socketpair()
        self.events = events
        self.servable = RemoteServable(ours, 1, events.loop)
        self.lost = threading.Event()
        self.servable.watch(self.lost.set)
        self._decoder = Decoder()

    def ask(self, payload: bytes, time_left_s: float | None = None) -> object:
        call = self.servable.call(Method.PREDICT, payload, time_left_s)
        return asyncio.run_coroutine_threadsafe(call, self.events.loop)

    def receive(self, count: int) -> list[Frame]:
        frames: list[Frame] = []
        while len(frames) < count:
            frames += self._decoder.feed(self.socket.recv(2**16))
        return frames

    def reply(self, call: int, payload: bytes, code: Code = Code.OK) -> None:
        self.socket.sendall(encode(Frame(call, code, payload)))


@pytest.fixture
def worker() -> Iterator[Worker]:
    events = EventLoop()
    made = Worker(events)
    yield made
    made.servable.close()
    made.socket.close()
    events.close()


def test_answers_find_their_calls_in_any_order(worker: Worker) -> None:
    calls = [worker.ask(b"%d" % number) for number in range(20)]
    frames = worker.receive(20)
    assert all(frame.kind == Method.PREDICT for frame in frames)
    assert all(frame.time_us == 0 for frame in frames)
    for frame in reversed(frames):
        worker.reply(frame.call, b"re " + frame.payload)
    answers = [call.result(5) for call in calls]  # type: ignore[attr-defined]
    assert answers == [b"re %d" % number for number in range(20)]


def test_errors_keep_their_code_and_text(worker: Worker) -> None:
    call = worker.ask(b"x", time_left_s=0.5)
    (frame,) = worker.receive(1)
    assert 0 < frame.time_us <= 500_000
    worker.reply(frame.call, "schlecht é".encode(), Code.OUT_OF_RANGE)
    with pytest.raises(StatusError, match="schlecht é") as caught:
        call.result(5)  # type: ignore[attr-defined]
    assert caught.value.code is Code.OUT_OF_RANGE


def test_an_answer_that_nobody_waits_for_is_dropped(worker: Worker) -> None:
    tired = worker.ask(b"a")
    (frame,) = worker.receive(1)
    tired.cancel()  # type: ignore[attr-defined]
    patient = worker.ask(b"b")
    (other,) = worker.receive(1)
    worker.reply(frame.call, b"late")
    worker.reply(other.call, b"good")
    assert patient.result(5) == b"good"  # type: ignore[attr-defined]


def test_what_is_in_flight_fails_when_the_worker_ends(worker: Worker) -> None:
    calls = [worker.ask(b"x") for _ in range(3)]
    worker.receive(3)
    worker.socket.close()
    for call in calls:
        with pytest.raises(StatusError) as caught:
            call.result(5)  # type: ignore[attr-defined]
        assert caught.value.code is Code.UNAVAILABLE
    assert worker.lost.wait(5)
    with pytest.raises(StatusError, match="has ended"):
        worker.ask(b"y").result(5)  # type: ignore[attr-defined]


def test_closing_is_no_loss(worker: Worker) -> None:
    worker.servable.close()
    assert worker.socket.recv(1) == b""
    time.sleep(0.05)
    assert not worker.lost.is_set()


def test_calls_are_worked_at_by_as_many_threads_as_may_be() -> None:
    ours, theirs = socket.socketpair()
    together, working, done = threading.Barrier(3), 0, queue.SimpleQueue[bytes]()
    most = 0

    def work(frame: Frame) -> None:
        nonlocal working, most
        working += 1
        most = max(most, working)
        together.wait(5)
        working -= 1
        done.put(frame.payload)

    turns = Turns(theirs, work, most=3)
    thread = threading.Thread(target=turns.run)
    thread.start()
    payloads = [b"%d" % number for number in range(9)]
    # At once, and each by itself.
    ours.sendall(b"".join(encode(Frame(1, 1, payload)) for payload in payloads[:5]))
    for payload in payloads[5:]:
        ours.sendall(encode(Frame(1, 1, payload)))
    assert sorted(done.get(timeout=5) for _ in payloads) == payloads
    assert most == 3
    ours.close()
    thread.join(5)
    assert not thread.is_alive()


def test_the_end_is_noticed_while_every_thread_is_at_work() -> None:
    ours, theirs = socket.socketpair()
    busy, forever = threading.Event(), threading.Event()

    def work(frame: Frame) -> None:
        busy.set()
        forever.wait()

    thread = threading.Thread(target=Turns(theirs, work, most=1).run)
    thread.start()
    ours.sendall(2 * encode(Frame(1, 1, b"x")))
    assert busy.wait(5)
    ours.close()
    thread.join(5)
    assert not thread.is_alive()
    forever.set()


def standing() -> tuple[int, int]:
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)


def test_work_in_the_shadow_runs_when_nothing_else_does() -> None:
    before = standing()
    seen: list[tuple[int, int]] = []
    started, ended = threading.Event(), threading.Event()

    def helper() -> None:
        seen.append(standing())
        started.set()
        ended.wait(5)
        seen.append(standing())

    thread = threading.Thread(target=helper)

    def work() -> None:
        seen.append(standing())
        thread.start()
        started.wait(5)

    in_the_shadow(work)
    ended.set()
    thread.join()
    # Who may not raise a priority again lowers that of the one thread.
    low = (os.SCHED_IDLE, before[1]) if may_raise() else (os.SCHED_OTHER, 15)
    assert seen == [low, low, before if may_raise() else low]
    assert standing() == before
    with pytest.raises(ValueError, match="told"):
        in_the_shadow(lambda: exec("raise ValueError('told')"))


def may_raise() -> bool:
    return os.geteuid() == 0


@pytest.mark.skipif(not may_raise(), reason="only root gets priority back")
def test_work_that_starves_gets_more_and_more() -> None:
    seen: list[tuple[int, int]] = []
    before = standing()

    def work() -> None:
        deadline = time.monotonic() + 60
        while before not in seen and time.monotonic() < deadline:
            time.sleep(0.01)
            if standing() not in seen:
                seen.append(standing())

    in_the_shadow(work, patience_s=0.3)
    later = [(os.SCHED_OTHER, nice) for nice in (15, 10, 5)]
    steps = [(os.SCHED_IDLE, before[1]), *later, before]
    # On a busy machine it may not get to look at each of them.
    assert seen == [step for step in steps if step in seen]
    assert seen[-1] == before
    assert standing() == before
