"""Requests that run together: each gets what it would have got alone."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.messages import SignatureDef
from serving.modelserver.batching import (
    BatchedServable,
    BatchingParameters,
    BatchScheduler,
    waiting_at_most,
)
from serving.modelserver.batching import scheduler as scheduler_module
from serving.modelserver.batching.queues import Queues
from serving.modelserver.batching.task import Task, make_task
from serving.modelserver.errors import Code, StatusError, invalid_argument
from serving.modelserver.metrics import ServingMetrics
from serving.tensors import Array, fill_proto, strings

Tensors = Mapping[str, Array]
FULL = "The batch scheduling queue to which this task was submitted is full; "


class Model:
    """Twice the input, and what it was asked; may wait for a go, and refuses -1."""

    def __init__(self) -> None:
        self.calls: list[Tensors] = []
        self.wanted: list[tuple[str, ...]] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()
        self.go.set()

    def __call__(
        self, signature: str, inputs: Tensors, wanted: tuple[str, ...]
    ) -> Tensors:
        self.calls.append(inputs)
        self.wanted.append(wanted)
        self.entered.release()
        assert self.go.wait(10)
        return answer(signature, inputs, wanted)

    @property
    def sizes(self) -> list[int]:
        return [len(next(iter(inputs.values()))) for inputs in self.calls]


def answer(
    signature: str, inputs: Tensors, wanted: tuple[str, ...]
) -> dict[str, Array]:
    """Answer each row from that row alone."""
    outputs = {}
    for name, array in inputs.items():
        if array.dtype == object:
            flat = [signature.encode() + value for value in array.reshape(-1).tolist()]
            outputs[f"{name}_out"] = strings(flat).reshape(array.shape)
        elif np.any(array == -1):
            raise invalid_argument(f"-1 in {array.reshape(-1).tolist()}")
        else:
            outputs[f"{name}_out"] = array * 2
    return {name: outputs[name] for name in wanted or outputs}


@contextmanager
def batching(
    model: Callable[..., Tensors], observer: Any = None, **changes: Any
) -> Iterator[BatchScheduler]:
    settings = {"num_batch_threads": 1, "batch_timeout_micros": 200_000} | changes
    scheduler = BatchScheduler(BatchingParameters(**settings), model, observer)
    try:
        yield scheduler
    finally:
        scheduler.close()


def numbers(*values: int) -> dict[str, Array]:
    return {"x": np.array(values, dtype=np.int64)}


def refusal(answer: "Future[Tensors]") -> StatusError:
    error = answer.exception(10)
    assert isinstance(error, StatusError)
    return error


@contextmanager
def refused(code: Code, message: str) -> Iterator[None]:
    with pytest.raises(StatusError) as caught:
        yield
    assert caught.value.code is code
    assert caught.value.message == message


def test_requests_of_many_clients_run_as_one() -> None:
    model = Model()
    with batching(model, max_batch_size=5) as scheduler:
        answers = [
            scheduler.submit("s", numbers(*rows)) for rows in [(1, 2), (3,), (4, 5)]
        ]
        got = [answer.result(10)["x_out"].tolist() for answer in answers]
    assert got == [[2, 4], [6], [8, 10]]
    assert [call["x"].tolist() for call in model.calls] == [[1, 2, 3, 4, 5]]


def test_a_batch_that_stays_small_runs_when_its_time_is_up() -> None:
    with batching(Model(), batch_timeout_micros=30_000) as scheduler:
        started = time.monotonic()
        scheduler.call("s", numbers(1))
        assert 0.03 <= time.monotonic() - started < 5


def test_without_a_timeout_a_free_thread_takes_what_is_there() -> None:
    model = Model()
    model.go.clear()
    with batching(model, batch_timeout_micros=0) as scheduler:
        first = scheduler.submit("s", numbers(1))
        model.entered.acquire()
        rest = [scheduler.submit("s", numbers(n)) for n in (2, 3)]
        model.go.set()
        wait([first, *rest], 10)
    assert [call["x"].tolist() for call in model.calls] == [[1], [2, 3]]


def test_batches_are_padded_with_a_real_row_that_nobody_sees() -> None:
    model = Model()
    allowed = {"max_batch_size": 8, "allowed_batch_sizes": (1, 4, 8)}
    with batching(model, batch_timeout_micros=20_000, **allowed) as scheduler:
        first = scheduler.submit("s", {"x": np.array([[7, 8]]), "t": strings([b"a"])})
        second = scheduler.submit("s", {"x": np.array([[5, 6]]), "t": strings([b"b"])})
        assert first.result(10)["x_out"].tolist() == [[14, 16]]
        assert second.result(10)["t_out"].tolist() == [b"sb"]
    assert model.calls[0]["x"].tolist() == [[7, 8], [5, 6], [5, 6], [5, 6]]
    assert model.calls[0]["t"].tolist() == [b"a", b"b", b"b", b"b"]


@pytest.mark.parametrize(
    "other",
    [
        ("other", {"x": np.array([1], dtype=np.int64)}, ()),
        ("s", {"x": np.array([1], dtype=np.int64)}, ("x_out",)),
        ("s", {"x": np.array([1.0], dtype=np.float32)}, ()),
        ("s", {"x": np.array([[1, 2]], dtype=np.int64)}, ()),
        ("s", {"x": np.array([1]), "y": np.array([1])}, ()),
    ],
    ids=["signature", "output set", "type", "inner shape", "inputs"],
)
def test_what_differs_does_not_run_together(other: tuple[str, Tensors, Any]) -> None:
    model = Model()
    with batching(model, batch_timeout_micros=10_000) as scheduler:
        one = scheduler.submit("s", numbers(1))
        two = scheduler.submit(*other)
        assert not one.exception(10)
        assert not two.exception(10)
    assert model.sizes == [1, 1]


def test_the_order_of_outputs_and_inputs_does_not_part_requests() -> None:
    model = Model()
    one, two = np.array([1]), np.array([2])
    with batching(model, max_batch_size=2) as scheduler:
        wait(
            [
                scheduler.submit("s", {"x": one, "y": two}, ("x_out", "y_out")),
                scheduler.submit("s", {"y": one, "x": two}, ("y_out", "x_out")),
            ],
            10,
        )
    assert model.sizes == [2]
    assert model.wanted == [("x_out", "y_out")]


def test_only_the_guilty_request_of_a_batch_fails() -> None:
    model = Model()
    with batching(model, max_batch_size=4) as scheduler:
        answers = [
            scheduler.submit("s", numbers(*rows)) for rows in [(1,), (2, -1), (3,)]
        ]
        wait(answers, 10)
        assert refusal(answers[1]).message == "-1 in [2, -1]"
        assert answers[0].result()["x_out"].tolist() == [2]
        assert answers[2].result()["x_out"].tolist() == [6]
    assert model.sizes == [4, 1, 2, 1]


def test_a_request_alone_in_its_batch_is_not_tried_twice() -> None:
    model = Model()
    with batching(model, batch_timeout_micros=0) as scheduler:
        assert refusal(scheduler.submit("s", numbers(-1))).code is Code.INVALID_ARGUMENT
    assert len(model.calls) == 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        (
            {"x": np.array(3)},
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            {"x": np.zeros(2), "y": np.zeros(3)},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
        (numbers(1, 2, 3), "Task size 3 is larger than maximum input batch size 2"),
    ],
    ids=["none", "scalar", "unequal", "too large"],
)
def test_inputs_that_form_no_batch_are_refused(inputs: Tensors, message: str) -> None:
    with (
        batching(Model(), max_batch_size=2) as scheduler,
        refused(Code.INVALID_ARGUMENT, message),
    ):
        scheduler.submit("s", inputs)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"y": np.array(1)}, "Batched output tensor has 0 dimensions"),
        (
            {"y": np.zeros(5)},
            "Batched output tensor's 0th dimension does not equal the sum of the "
            "0th dimension sizes of the input tensors",
        ),
    ],
    ids=["scalar", "other size"],
)
def test_outputs_that_cannot_be_parted_are_refused(
    outputs: Tensors, message: str
) -> None:
    with batching(lambda *_: outputs, batch_timeout_micros=0) as scheduler:
        error = refusal(scheduler.submit("s", numbers(1, 2)))
    assert (error.code, error.message) == (Code.FAILED_PRECONDITION, message)


def test_a_full_queue_refuses_and_recovers() -> None:
    model = Model()
    model.go.clear()
    limits = {"max_batch_size": 2, "max_enqueued_batches": 2, "batch_timeout_micros": 0}
    with batching(model, **limits) as scheduler:
        answers = [scheduler.submit("s", numbers(1))]
        model.entered.acquire()
        answers += [scheduler.submit("s", numbers(n)) for n in (2, 3, 4, 5)]
        message = FULL + "currently 2 batches enqueued and max_enqueued_batches is 2"
        with refused(Code.UNAVAILABLE, message):
            scheduler.submit("s", numbers(6))
        # Another signature has a queue of its own.
        answers.append(scheduler.submit("t", numbers(7)))
        model.go.set()
        wait(answers, 10)
        assert scheduler.call("s", numbers(6))["x_out"].tolist() == [12]
    assert all(answer.exception() is None for answer in answers)


def test_who_waited_for_too_long_is_not_run() -> None:
    model = Model()
    model.go.clear()
    with batching(model, batch_timeout_micros=0) as scheduler:
        running = scheduler.submit("s", numbers(1), timeout_s=0.5)
        assert model.entered.acquire(timeout=10)
        time.sleep(0.5)
        late = scheduler.submit("s", numbers(2), timeout_s=0.0)
        patient = scheduler.submit("s", numbers(3), timeout_s=60.0)
        model.go.set()
        error = refusal(late)
        assert error.code is Code.RESOURCE_EXHAUSTED
        assert error.message == "Run() timeout exceeded while waiting in batching queue"
        # What has begun is finished; deadlines after that are the transport's.
        assert running.result(10)["x_out"].tolist() == [2]
        assert patient.result(10)["x_out"].tolist() == [6]
    assert model.sizes == [1, 1]


def test_who_gave_up_is_not_run() -> None:
    model = Model()
    model.go.clear()
    with batching(model, batch_timeout_micros=0) as scheduler:
        first = scheduler.submit("s", numbers(1))
        model.entered.acquire()
        given_up = scheduler.submit("s", numbers(2))
        assert given_up.cancel()
        assert not first.cancel()
        model.go.set()
        with pytest.raises(CancelledError):
            given_up.result(10)
    assert model.sizes == [1]


def test_large_requests_are_split_over_batches() -> None:
    model = Model()
    limits = {
        "max_batch_size": 20,
        "enable_large_batch_splitting": True,
        "max_execution_batch_size": 4,
        "allowed_batch_sizes": (2, 4),
    }
    with batching(model, batch_timeout_micros=20_000, **limits) as scheduler:
        small = scheduler.submit("s", numbers(100))
        large = scheduler.submit("s", numbers(*range(9)))
        assert large.result(10)["x_out"].tolist() == [2 * n for n in range(9)]
        assert small.result(10)["x_out"].tolist() == [200]
    # The open batch is filled first; the last piece is padded.
    assert [call["x"].tolist() for call in model.calls] == [
        [100, 0, 1, 2],
        [3, 4, 5, 6],
        [7, 8],
    ]


def test_a_split_request_fails_as_a_whole_and_alone() -> None:
    limits = {"enable_large_batch_splitting": True, "max_execution_batch_size": 2}
    with batching(Model(), batch_timeout_micros=10_000, **limits) as scheduler:
        good = scheduler.submit("s", numbers(1))
        bad = scheduler.submit("s", numbers(5, 6, -1, 7))
        assert refusal(bad).message == "-1 in [6, -1]"
        assert good.result(10)["x_out"].tolist() == [2]


def test_parts_of_a_request_that_do_not_fit_together_say_so() -> None:
    def widest(_: str, inputs: Tensors, __: object) -> Tensors:
        rows = inputs["x"]
        return {"y": np.zeros((len(rows), rows.max()))}

    limits = {"enable_large_batch_splitting": True, "max_execution_batch_size": 2}
    with batching(widest, batch_timeout_micros=0, **limits) as scheduler:
        error = refusal(scheduler.submit("s", numbers(1, 2, 3)))
    assert error.code is Code.FAILED_PRECONDITION
    assert "Output y has different inner shapes in the parts" in error.message


def test_a_split_request_can_be_given_up() -> None:
    model = Model()
    model.go.clear()
    limits = {"enable_large_batch_splitting": True, "max_execution_batch_size": 2}
    with batching(model, batch_timeout_micros=0, **limits) as scheduler:
        first = scheduler.submit("s", numbers(9))
        model.entered.acquire()
        large = scheduler.submit("s", numbers(1, 2, 3, 4, 5))
        assert large.cancel()
        model.go.set()
        assert first.result(10)["x_out"].tolist() == [18]
    assert model.sizes == [1]


def test_shorter_inputs_are_filled_with_their_first_element() -> None:
    model = Model()
    wide = {"x": np.array([[1, 2, 3]]), "t": strings([["a", "b"]])}
    narrow = {"x": np.array([[4], [5]]), "t": strings([["c"], ["d"]])}
    empty = {"x": np.zeros((1, 0), np.int64), "t": strings([["e"]])}
    with batching(
        model, batch_timeout_micros=20_000, pad_variable_length_inputs=True
    ) as scheduler:
        answers = [scheduler.submit("s", inputs) for inputs in (wide, narrow, empty)]
        got = [answer.result(10)["x_out"] for answer in answers]
    assert model.calls[0]["x"].tolist() == [[1, 2, 3], [4, 4, 4], [5, 4, 4]]
    assert model.calls[0]["t"].tolist() == [[b"a", b"b"], [b"c", b"c"], [b"d", b"c"]]
    assert got[0].tolist() == [[2, 4, 6]]
    assert got[1].tolist() == [[8, 8, 8], [10, 8, 8]]
    # Nothing to fill it with: it runs by itself.
    assert got[2].shape == (1, 0)


def test_a_request_of_no_rows_runs_by_itself() -> None:
    model = Model()
    with batching(model, max_batch_size=2, allowed_batch_sizes=(2,)) as scheduler:
        nobody = scheduler.submit("s", {"x": np.zeros((0, 3))})
        assert nobody.result(10)["x_out"].shape == (0, 3)
        answers = [scheduler.submit("s", {"x": np.ones((1, 3))}) for _ in range(2)]
        wait(answers, 10)
    assert model.sizes == [0, 2]


def test_closing_finishes_what_waits_and_takes_no_more() -> None:
    with batching(Model(), batch_timeout_micros=60_000_000) as scheduler:
        waiting = scheduler.submit("s", numbers(1))
        scheduler.close()
        assert waiting.result(0)["x_out"].tolist() == [2]
        with refused(Code.UNAVAILABLE, "The batch scheduler has been shut down"):
            scheduler.submit("s", numbers(1))


class Ledger:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.waits: list[tuple[str, float]] = []
        self.runs: list[tuple[list[int], int]] = []

    def observe_queuing(self, thread_pool: str, latency_us: float) -> None:
        self.waits.append((thread_pool, latency_us))

    def observe_batch(self, sizes: Sequence[int], padded_to: int) -> None:
        self.runs.append((list(sizes), padded_to))


def test_an_observer_is_told_of_waits_and_of_every_run() -> None:
    ledger = Ledger()
    limits = {
        "max_batch_size": 4,
        "allowed_batch_sizes": (1, 4),
        "batch_timeout_micros": 20_000,
        "thread_pool_name": "p",
    }
    with batching(Model(), ledger, **limits) as scheduler:
        wait([scheduler.submit("s", numbers(*rows)) for rows in [(1, 2), (-1,)]], 10)
    # The two together, and after the error each by itself.
    assert ledger.runs == [([2, 1], 4), ([2], 4), ([1], 1)]
    assert [name for name, _ in ledger.waits] == ["p", "p"]
    assert all(20_000 <= waited_us < 5e6 for _, waited_us in ledger.waits)


def test_the_server_s_metrics_can_watch() -> None:
    metrics = ServingMetrics()
    with batching(Model(), metrics, batch_timeout_micros=0) as scheduler:
        scheduler.call("s", numbers(1, 2, 3))
    page = metrics.page().decode()
    assert ":batching_session:wrapped_run_count{} 1" in page


def test_threads_are_started_by_who_is_asked_to() -> None:
    started: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        started.append(thread)
        thread.start()

    parameters = BatchingParameters(num_batch_threads=2, thread_pool_name="pool")
    scheduler = BatchScheduler(parameters, Model(), start_thread=start)
    scheduler.close()
    assert [thread.name for thread in started] == ["pool_0", "pool_1"]


def servable(scheduler: BatchScheduler, **defaults: Array) -> BatchedServable:
    definition = SignatureDef()
    for name, array in defaults.items():
        fill_proto(definition.defaults[name], array)
    return BatchedServable(SimpleNamespace(signature_defs={"s": definition}), scheduler)


def test_a_servable_answers_in_the_order_asked_for() -> None:
    model = Model()
    with batching(model, batch_timeout_micros=0) as scheduler:
        inputs = {"x": np.array([1]), "y": np.array([2])}
        outputs = servable(scheduler).run("s", inputs, ["y_out", "x_out"])
        assert list(outputs) == ["y_out", "x_out"]
        assert set(servable(scheduler).run("s", inputs)) == {"x_out", "y_out"}


def test_warm_up_runs_on_its_own_thread_in_the_shapes_of_batches() -> None:
    model = Model()
    threads = []

    def run(*arguments: Any) -> Tensors:
        threads.append(threading.current_thread())
        return model(*arguments)

    limits = {
        "max_batch_size": 6,
        "enable_large_batch_splitting": True,
        "max_execution_batch_size": 4,
        "allowed_batch_sizes": (4,),
        "batch_timeout_micros": 60_000_000,
    }
    with batching(run, **limits) as scheduler:
        definition = SimpleNamespace(signature_defs={"s": SignatureDef()})
        warm_up = BatchedServable(definition, scheduler, queued=False)
        assert warm_up.run("s", numbers(1))["x_out"].tolist() == [2]
        assert warm_up.run("s", numbers(*range(5)))["x_out"].tolist() == [0, 2, 4, 6, 8]
        with refused(
            Code.INVALID_ARGUMENT,
            "Task size 7 is larger than maximum input batch size 6",
        ):
            warm_up.run("s", numbers(*range(7)))
    assert model.sizes == [4, 4, 4]
    assert set(threads) == {threading.current_thread()}


def test_a_deadline_holds_for_the_requests_of_a_thread() -> None:
    model = Model()
    with batching(model, batch_timeout_micros=1000) as scheduler:
        batched = servable(scheduler)
        with (
            waiting_at_most(0.0),
            refused(
                Code.RESOURCE_EXHAUSTED,
                "Run() timeout exceeded while waiting in batching queue",
            ),
        ):
            batched.run("s", numbers(1))
        assert batched.run("s", numbers(1))["x_out"].tolist() == [2]


def test_defaults_of_the_batch_s_size_join_the_batch() -> None:
    model = Model()
    one = {"y": np.array([7]), "scalar": np.array(1)}
    with batching(model, max_batch_size=2) as scheduler:
        batched = servable(scheduler, **one)
        clients = [
            threading.Thread(target=batched.run, args=("s", numbers(value)))
            for value in (1, 2)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert model.calls[0]["y"].tolist() == [7, 7]
        assert set(model.calls[0]) == {"x", "y"}
        # A longer request gets only what the graph makes of it.
        batched.run("s", numbers(1, 2))
        assert set(model.calls[1]) == {"x"}


def test_idle_threads_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def counted() -> float:
        looks.append(threading.current_thread().name)
        return time.perf_counter()

    monkeypatch.setattr(scheduler_module.time, "monotonic", counted)
    with batching(
        Model(), num_batch_threads=4, batch_timeout_micros=60_000_000
    ) as scheduler:
        time.sleep(0.05)
        scheduler.submit("s", numbers(1))
        time.sleep(0.05)
        # One look of each at the start, one of the caller, one of who keeps the time.
        own = [name for name in looks if name.startswith("batch_threads")]
        assert len(own) <= 4 + 1


WIDTHS = st.integers(1, 2)
ROWS = st.integers(0, 5)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Tensors, tuple[str, ...]]:
    """Any request that can be answered alone, and some that cannot."""
    rows, width = draw(ROWS), draw(WIDTHS)
    values = st.integers(-1, 40) if draw(st.booleans()) else st.integers(0, 40)
    cells = draw(st.lists(values, min_size=rows * width, max_size=rows * width))
    kind = draw(st.sampled_from(["int64", "float32"]))
    inputs = {"x": np.array(cells, dtype=kind).reshape(rows, width)}
    if draw(st.booleans()):
        inputs["t"] = strings([str(n) for n in range(rows)]).reshape(rows)
    wanted = ("x_out",) if draw(st.booleans()) else ()
    return draw(st.sampled_from(["s", "t"])), inputs, wanted


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    """Any parameters under which no request is refused."""
    split = draw(st.booleans())
    size = draw(st.integers(1 if split else 5, 8))
    inner = draw(st.lists(st.integers(1, size - 1), unique=True)) if size > 1 else []
    return {
        "max_batch_size": 8 if split else size,
        "enable_large_batch_splitting": split,
        "max_execution_batch_size": size,
        "allowed_batch_sizes": draw(st.sampled_from([(), (*sorted(inner), size)])),
        "batch_timeout_micros": draw(st.sampled_from([0, 500, 3000])),
        "num_batch_threads": draw(st.integers(1, 3)),
        "max_enqueued_batches": 1000,
    }


def outcome(call: Callable[[], Tensors]) -> Any:
    """Return what a request got, in a form that can be compared."""
    try:
        outputs = call()
    except StatusError as err:
        # The text names the values of the whole run, padding too.
        return err.code
    return {name: (a.dtype, a.shape, a.tolist()) for name, a in outputs.items()}


@settings(max_examples=60, deadline=None)
@given(asked=st.lists(requests(), min_size=1, max_size=12), limits=limits())
def test_every_request_gets_what_it_would_get_alone(
    asked: list[tuple[str, Tensors, tuple[str, ...]]], limits: dict[str, Any]
) -> None:
    model = Model()
    answers: dict[int, Future[Tensors]] = {}
    with batching(model, **limits) as scheduler:
        parameters = scheduler._parameters

        def client(first: int) -> None:
            for place in range(first, len(asked), 3):
                answers[place] = scheduler.submit(*asked[place])

        clients = [threading.Thread(target=client, args=(n,)) for n in range(3)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        got = [outcome(lambda n=n: answers[n].result(10)) for n in range(len(asked))]
    assert got == [outcome(lambda a=a: answer(*a)) for a in asked]
    allowed = (
        {0, *parameters.allowed_batch_sizes} if parameters.allowed_batch_sizes else ()
    )
    for size in model.sizes:
        assert size <= parameters.largest_batch
        assert not allowed or size in allowed
    assert not scheduler._queues
    # What requests bring along is not kept.
    assert not scheduler._queues._rows
    assert not scheduler._queues._num_closed


def queued(inputs: Tensors, signature: str = "s") -> Task:
    return make_task(signature, inputs, (), now=0.0, timeout_s=None, any_width=False)


def test_a_batch_that_is_due_is_not_passed_over_for_full_ones() -> None:
    queues = Queues(BatchingParameters(max_batch_size=1000, batch_timeout_micros=1000))
    queues.add(queued(numbers(1), "rare"), 0.0)
    for n in range(5):
        queues.add(queued(numbers(*range(1000)), "common"), 0.0001 * (n + 1))
    taken = [queues.take(0.002) for _ in range(6)]
    assert taken[0] is not None
    assert taken[0].tasks[0].signature == "rare"
    assert all(taken)
    assert queues.take(0.002) is None


def test_a_queue_says_how_long_to_wait() -> None:
    queues = Queues(BatchingParameters(batch_timeout_micros=1000))
    assert queues.wait_s(0.0) is None
    assert queues.add(queued(numbers(1)), 0.0)
    assert not queues.add(queued(numbers(2)), 0.0005)
    assert queues.wait_s(0.0005) == pytest.approx(0.0005)
    assert queues.take(0.0005) is None
    batch = queues.take(0.001)
    assert batch is not None
    assert batch.num_rows == 2


def test_a_splitting_queue_says_how_much_room_it_has() -> None:
    queues = Queues(
        BatchingParameters(
            max_batch_size=100,
            enable_large_batch_splitting=True,
            max_execution_batch_size=4,
            max_enqueued_batches=2,
        )
    )
    queues.add(queued(numbers(1)), 0.0)
    message = (
        "task size is 8 but scheduling capacity is only 7 (num_enqueued_batches=1, "
        "max_enqueued_batches=2, open_batch_size=1, max_execution_batch_size=4)"
    )
    with refused(Code.UNAVAILABLE, FULL + message):
        queues.add(queued(numbers(*range(8))), 0.0)
    queues.add(queued(numbers(*range(7))), 0.0)
    with refused(
        Code.UNAVAILABLE,
        FULL + "task size is 1 but scheduling capacity is only 0 "
        "(num_enqueued_batches=3, max_enqueued_batches=2, open_batch_size=0, "
        "max_execution_batch_size=4)",
    ):
        queues.add(queued(numbers(1)), 0.0)


def test_odd_shapes_do_not_lock_out_the_others() -> None:
    queues = Queues(BatchingParameters(max_batch_size=4, max_enqueued_batches=2))
    for width in range(2, 6):
        queues.add(queued({"x": np.zeros((1, width))}), 0.0)
    queues.add(queued({"x": np.zeros((4, 1))}), 0.0)
    # Together they may not hold more than two full batches.
    with refused(
        Code.UNAVAILABLE,
        FULL + "currently 2 batches enqueued and max_enqueued_batches is 2",
    ):
        queues.add(queued({"x": np.zeros((1, 1))}), 0.0)


@pytest.mark.parametrize("split", [False, True])
def test_requests_of_no_rows_fill_a_queue_too(split: bool) -> None:
    limits = BatchingParameters(
        max_batch_size=4, max_enqueued_batches=2, enable_large_batch_splitting=split
    )
    queues = Queues(limits)
    queues.add(queued({"x": np.zeros((1, 1))}), 0.0)
    queues.add(queued({"x": np.zeros((0, 1))}), 0.0)
    with pytest.raises(StatusError, match="is full"):
        queues.add(queued({"x": np.zeros((0, 1))}), 0.0)
    # The one that was open before them still is.
    batches = [queues.take(1.0), queues.take(1.0)]
    assert [batch and batch.num_rows for batch in batches] == [1, 0]
