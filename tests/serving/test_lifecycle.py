"""Versions on disk, and their way from START to END, without TensorFlow."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.modelserver.errors import Code, StatusError
from serving.modelserver.lifecycle import State
from serving.modelserver.manager import ManagerOptions, ModelManager
from serving.modelserver.model_config import ModelConfig
from serving.modelserver.model_spec import ModelSpec
from serving.modelserver.registry import Registry
from serving.modelserver.versions import (
    Everything,
    Latest,
    Policy,
    Specific,
    find_versions,
)

NEWEST = ModelSpec(name="m")


class Fake:
    """A servable that knows where it came from, and whether it was let go."""

    pid = 1

    def __init__(self, path: str) -> None:
        self.path = path
        self.closed = False
        self.die: Callable[[], None] = lambda: None

    async def call(
        self, method: int, payload: bytes, time_left_s: float | None = None
    ) -> bytes:
        raise AssertionError("no test here calls a servable")

    def watch(self, on_lost: Callable[[], None]) -> None:
        self.die = on_lost

    def close(self) -> None:
        self.closed = True


def add(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


def test_versions_are_whole_numbers(tmp_path: Path) -> None:
    add(tmp_path, "1", "0042", "-3", "x1", "1.5", "2x", " 4", "٣", str(2**63), "_5")
    (tmp_path / "7").write_text("a file counts: upstream looks at names only")
    found = find_versions(str(tmp_path))
    assert found is not None
    assert set(found) == {1, 42, -3, 7}
    assert found[42] == str(tmp_path / "0042")
    assert find_versions(str(tmp_path / "no")) is None
    assert find_versions(str(tmp_path / "1")) == {}


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (Latest(), {9}),
        (Latest(2), {9, 5}),
        (Latest(7), {1, 5, 9}),
        (Everything(), {1, 5, 9}),
        (Specific(frozenset({1, 3})), {1}),
    ],
)
def test_policies(policy: Policy, chosen: set[int]) -> None:
    assert policy.choose({1, 5, 9}) == chosen


class Setting:
    """A manager over a folder, with a loader that tests can hold up or break."""

    def __init__(self, root: Path, alone_s: float = 0) -> None:
        self.root = root
        self.broken: set[str] = set()
        self.loaded: list[str] = []
        self.began: list[float] = []
        self.fakes: list[Fake] = []
        self.gate = threading.Event()
        self.gate.set()
        self.registry = Registry()
        self.manager = ModelManager(
            self.registry,
            self.load,
            ManagerOptions(
                poll_wait_s=0.1,
                max_num_load_retries=1,
                load_retry_interval_s=0.05,
                alone_s=alone_s,
            ),
        )

    def load(self, model: str, version: int, path: str) -> Fake:
        name = Path(path).name
        assert (model, version) == (Path(path).parent.name, int(name))
        self.loaded.append(name)
        self.began.append(time.monotonic())
        self.gate.wait(10)
        if name in self.broken:
            raise ValueError(f"{name} is broken")
        self.fakes.append(Fake(path))
        return self.fakes[-1]

    def serve(self, *names: str, policy: Policy | None = None, **labels: int) -> None:
        configs = [
            ModelConfig(
                name=name,
                base_path=str(self.root / name),
                policy=policy or Latest(),
                labels=labels,
            )
            for name in names
        ]
        self.registry.apply(configs)

    def states(self, model: str = "m") -> list[tuple[int, str]]:
        try:
            found = self.registry.status(model)
        except StatusError:
            return []
        return [(status.number, status.state.name) for status in found]

    def newest(self) -> int:
        with self.registry.lease(NEWEST) as lease:
            return lease.version


def eventually(check: Callable[[], bool], within_s: float = 6) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "the expected state did not come"
        time.sleep(0.02)


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    made = Setting(tmp_path)
    yield made
    made.gate.set()
    if made.manager._thread.is_alive():
        made.manager.stop(5)


def test_newest_version_wins_and_the_old_one_ends(setting: Setting) -> None:
    add(setting.root, "m/1", "m/2")
    setting.serve("m")
    setting.manager.start()
    assert setting.registry.wait_until_ready(5)
    assert setting.newest() == 2
    assert setting.loaded == ["2"]
    add(setting.root, "m/3")
    eventually(lambda: setting.states() == [(3, "AVAILABLE"), (2, "END")])
    assert setting.registry.available() == {"m": [3]}
    eventually(lambda: [fake.closed for fake in setting.fakes] == [True, False])


def test_old_version_serves_until_the_new_one_is_ready(setting: Setting) -> None:
    add(setting.root, "m/1")
    setting.serve("m")
    setting.manager.start()
    assert setting.registry.wait_until_ready(5)
    setting.gate.clear()
    add(setting.root, "m/2")
    eventually(lambda: setting.states() == [(2, "LOADING"), (1, "AVAILABLE")])
    assert setting.newest() == 1
    with pytest.raises(StatusError, match=r"Specific\(m, 2\)"):
        setting.registry.lease(ModelSpec(name="m", version=2)).__enter__()
    setting.gate.set()
    eventually(lambda: setting.states() == [(2, "AVAILABLE"), (1, "END")])


@pytest.fixture
def make_setting(tmp_path: Path) -> Iterator[Callable[[float], Setting]]:
    made: list[Setting] = []

    def make(alone_s: float) -> Setting:
        made.append(Setting(tmp_path, alone_s))
        made[-1].manager.start()
        return made[-1]

    yield make
    for setting in made:
        setting.manager.stop(5)


def test_versions_take_over_one_after_another(
    make_setting: Callable[[float], Setting],
) -> None:
    setting = make_setting(0.8)
    add(setting.root, "m/1", "n/1")
    setting.serve("m", "n")
    assert setting.registry.wait_until_ready(5)
    add(setting.root, "m/2", "n/2")
    eventually(lambda: setting.registry.available() == {"m": [2], "n": [2]})
    assert setting.began[3] - setting.began[2] >= 0.8


def test_a_model_without_a_version_does_not_wait(
    make_setting: Callable[[float], Setting],
) -> None:
    setting = make_setting(60)
    add(setting.root, "m/1")
    setting.serve("m")
    assert setting.registry.wait_until_ready(5)
    add(setting.root, "m/2", "n/1")
    eventually(lambda: setting.states() == [(2, "START"), (1, "AVAILABLE")])
    setting.serve("m", "n")
    eventually(lambda: setting.registry.available() == {"m": [1], "n": [1]})
    assert setting.states() == [(2, "START"), (1, "AVAILABLE")]


def test_version_in_use_is_unloaded_after_its_last_request(setting: Setting) -> None:
    add(setting.root, "m/1")
    setting.serve("m")
    setting.manager.start()
    assert setting.registry.wait_until_ready(5)
    with setting.registry.lease(NEWEST) as lease:
        add(setting.root, "m/2")
        eventually(lambda: setting.states() == [(2, "AVAILABLE"), (1, "UNLOADING")])
        time.sleep(0.3)
        assert setting.states()[1] == (1, "UNLOADING")
        assert lease.servable is not None
        with pytest.raises(StatusError, match=r"Specific\(m, 1\)"):
            setting.registry.lease(ModelSpec(name="m", version=1)).__enter__()
    eventually(lambda: setting.states()[1] == (1, "END"))


def test_deleted_version_gives_way_to_the_one_below(setting: Setting) -> None:
    add(setting.root, "m/1", "m/2")
    setting.serve("m")
    setting.manager.start()
    assert setting.registry.wait_until_ready(5)
    (setting.root / "m/2").rmdir()
    eventually(lambda: setting.states() == [(2, "END"), (1, "AVAILABLE")])
    add(setting.root, "m/2")
    eventually(lambda: setting.states() == [(2, "AVAILABLE"), (1, "END")])
    assert setting.loaded == ["2", "1", "2"]


def test_emptied_folder_unloads_but_a_missing_one_changes_nothing(
    setting: Setting,
) -> None:
    add(setting.root, "m/1", "n/1")
    setting.serve("m", "n")
    setting.manager.start()
    assert setting.registry.wait_until_ready(5)
    (setting.root / "n").rename(setting.root / "away")
    add(setting.root, "m/2")
    time.sleep(0.4)
    assert setting.states("m") == [(1, "AVAILABLE")]
    assert setting.states("n") == [(1, "AVAILABLE")]
    add(setting.root, "n")
    eventually(lambda: setting.states("n") == [(1, "END")])
    assert setting.states("m") == [(2, "AVAILABLE"), (1, "END")]
    with pytest.raises(StatusError, match=r"Latest\(n\)"):
        setting.registry.lease(ModelSpec(name="n")).__enter__()


def test_missing_folder_is_named_once(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.serve("m")
    setting.manager.start()
    assert not setting.registry.wait_until_ready(0.6)
    lines = [r.message for r in caplog.records if "Waiting for" in r.message]
    assert len(lines) == 1
    assert str(setting.root / "m") in lines[0]
    add(setting.root, "m/1")
    assert setting.registry.wait_until_ready(5)


def test_broken_version_is_tried_again_and_then_fails_the_start(
    setting: Setting,
) -> None:
    add(setting.root, "m/1")
    setting.broken.add("1")
    setting.serve("m")
    setting.manager.start()
    with pytest.raises(StatusError, match=r"did not become available.*1 is broken"):
        setting.registry.wait_until_ready(5)
    assert setting.loaded == ["1", "1"]
    (found,) = setting.registry.status("m", 1)
    assert (found.state, found.code) == (State.END, Code.UNKNOWN)
    assert found.message == "1 is broken"


def test_broken_new_version_leaves_the_old_one_serving(setting: Setting) -> None:
    add(setting.root, "m/1")
    setting.serve("m")
    setting.manager.start()
    assert setting.registry.wait_until_ready(5)
    setting.broken.add("2")
    add(setting.root, "m/2")
    eventually(lambda: setting.states() == [(2, "END"), (1, "AVAILABLE")])
    time.sleep(0.5)
    assert setting.loaded == ["1", "2", "2"]
    assert setting.newest() == 1
    setting.broken.clear()
    (setting.root / "m/2").rmdir()
    eventually(
        lambda: setting.registry._models["m"].wanted == {1: f"{setting.root}/m/1"}
    )
    add(setting.root, "m/2")
    eventually(lambda: setting.states() == [(2, "AVAILABLE"), (1, "END")])


def test_several_versions_and_labels(setting: Setting) -> None:
    add(setting.root, "m/1", "m/2")
    setting.serve("m", policy=Everything(), stable=1, next=3)
    setting.manager.start()
    eventually(lambda: setting.registry.available() == {"m": [2, 1]})
    with setting.registry.lease(ModelSpec(name="m", label="stable")) as lease:
        assert lease.version == 1
    with pytest.raises(StatusError, match=r"Specific\(m, 3\)"):
        setting.registry.lease(ModelSpec(name="m", label="next")).__enter__()
    setting.serve("m", policy=Latest())
    eventually(lambda: setting.states() == [(2, "AVAILABLE"), (1, "END")])
    with pytest.raises(StatusError, match="Unrecognized servable version label"):
        setting.registry.lease(ModelSpec(name="m", label="stable")).__enter__()


def test_model_left_out_of_a_new_configuration_is_unloaded(setting: Setting) -> None:
    add(setting.root, "m/1", "n/1")
    setting.serve("m", "n")
    setting.manager.start()
    assert setting.registry.wait_until_ready(5)
    setting.serve("n")
    eventually(lambda: setting.states("m") == [(1, "END")])
    assert setting.registry.available() == {"n": [1]}
    setting.serve("m", "n")
    eventually(lambda: setting.states("m") == [(1, "AVAILABLE")])


def test_no_request_fails_while_versions_change(setting: Setting) -> None:
    add(setting.root, "m/1")
    setting.serve("m")
    setting.manager.start()
    assert setting.registry.wait_until_ready(5)
    done = threading.Event()
    seen: set[int] = set()
    failures: list[Exception] = []

    def ask() -> None:
        while not done.is_set():
            try:
                with setting.registry.lease(NEWEST) as lease:
                    time.sleep(0.001)
                    assert isinstance(lease.servable, Fake)
                    seen.add(lease.version)
            except Exception as err:
                failures.append(err)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in (2, 3):
        add(setting.root, f"m/{number}")
        eventually(lambda wanted=number: wanted in seen)  # type: ignore[misc]
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert seen == {1, 2, 3}
