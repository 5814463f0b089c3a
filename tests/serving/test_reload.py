"""New configurations while serving: from a call, from a file; without TensorFlow."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_serving.config import model_server_config_pb2

from serving.modelserver.config_poller import ConfigPoller
from serving.modelserver.errors import Code, StatusError
from serving.modelserver.manager import ManagerOptions, ModelManager
from serving.modelserver.model_config import ModelConfig
from serving.modelserver.model_spec import ModelSpec
from serving.modelserver.registry import Registry
from serving.modelserver.reload import Reloader


class Fake:
    """A servable that answers nothing."""

    async def call(
        self, method: int, payload: bytes, time_left_s: float | None = None
    ) -> bytes:
        raise AssertionError("no test here calls a servable")

    def watch(self, on_lost: Callable[[], None]) -> None:
        pass

    def close(self) -> None:
        pass


def entry(
    name: str,
    base_path: Path | str,
    labels: Mapping[str, int] | None = None,
    *,
    policy: str = "all {}",
    platform: str = 'model_platform: "tensorflow"',
) -> str:
    shown = "".join(
        f'version_labels {{ key: "{key}" value: {value} }} '
        for key, value in (labels or {}).items()
    )
    return (
        f'config {{ name: "{name}" base_path: "{base_path}" {platform} '
        f"model_version_policy {{ {policy} }} {shown}}}"
    )


def text_of(*entries: str) -> str:
    return f"model_config_list {{ {' '.join(entries)} }}"


def message(text: str) -> Any:
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


class Setting:
    """A manager over a folder whose loads tests can hold up or break."""

    def __init__(self, root: Path, poll_wait_s: float = 0.1) -> None:
        self.root = root
        self.broken: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.registry = Registry()
        options = ManagerOptions(
            poll_wait_s=poll_wait_s, max_num_load_retries=0, alone_s=0
        )
        self.manager = ModelManager(self.registry, self.load, options)
        self.reloader = self.make(allow=False)

    def make(self, *, allow: bool, max_wait_s: float = 10) -> Reloader:
        return Reloader(
            self.registry,
            allow_unavailable_labels=allow,
            look=self.manager.look,
            max_wait_s=max_wait_s,
        )

    def load(self, name: str, version: int, path: str) -> Fake:
        self.gate.wait(10)
        if path in self.broken:
            raise ValueError(f"{path} is broken")
        return Fake()

    def add(self, *names: str) -> None:
        for name in names:
            (self.root / name).mkdir(parents=True)

    def entry(self, name: str, labels: Mapping[str, int] | None = None) -> str:
        return entry(name, self.root / name, labels)

    def reload(self, *entries: str, reloader: Reloader | None = None) -> None:
        config = message(text_of(*entries)).SerializeToString()
        asyncio.run((reloader or self.reloader).reload(config, None))

    def version(self, label: str, model: str = "m") -> int:
        with self.registry.lease(ModelSpec(name=model, label=label)) as lease:
            return lease.version

    def states(self, model: str = "m") -> list[tuple[int, str]]:
        try:
            found = self.registry.status(model)
        except StatusError:
            return []
        return [(status.number, status.state.name) for status in found]


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    made = Setting(tmp_path)
    made.manager.start()
    yield made
    made.gate.set()
    made.manager.stop(5)


def eventually(check: Callable[[], bool], within_s: float = 6) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "the expected state did not come"
        time.sleep(0.02)


def refusal(setting: Setting, *entries: str) -> StatusError:
    """Return the error of a reload that must change nothing."""
    before = dict(setting.registry._configured)
    with pytest.raises(StatusError) as caught:
        setting.reload(*entries)
    assert setting.registry._configured == before
    return caught.value


def test_reload_returns_when_the_new_models_serve(setting: Setting) -> None:
    setting.add("m/1", "n/3")
    setting.reload(setting.entry("m"))
    assert setting.registry.available()["m"] == [1]
    setting.gate.clear()
    done = threading.Event()

    def reload() -> None:
        setting.reload(setting.entry("m"), setting.entry("n"))
        done.set()

    thread = threading.Thread(target=reload)
    thread.start()
    assert not done.wait(0.4)
    setting.gate.set()
    thread.join(10)
    assert setting.registry.available() == {"m": [1], "n": [3]}


def test_labels_move_all_at_once(setting: Setting) -> None:
    setting.add("m/1", "m/2")
    setting.reload(setting.entry("m"))
    eventually(lambda: setting.registry.available() == {"m": [2, 1]})
    setting.reload(setting.entry("m", {"stable": 1, "canary": 2}))
    assert (setting.version("stable"), setting.version("canary")) == (1, 2)
    setting.reload(setting.entry("m", {"stable": 2, "both": 2}))
    assert (setting.version("stable"), setting.version("both")) == (2, 2)
    with pytest.raises(StatusError, match="Unrecognized servable version label"):
        setting.version("canary")


def test_one_label_that_cannot_be_set_leaves_all_as_they_were(
    setting: Setting,
) -> None:
    setting.add("m/1", "m/2", "n/1")
    setting.reload(setting.entry("m", {}))
    eventually(lambda: setting.registry.available() == {"m": [2, 1]})
    setting.reload(setting.entry("m", {"stable": 1}))
    found = refusal(
        setting, setting.entry("n"), setting.entry("m", {"stable": 2, "next": 7})
    )
    assert found.code is Code.FAILED_PRECONDITION
    assert found.message == (
        "Request to assign label to version 7 of model m, which is not currently "
        "available for inference"
    )
    assert setting.version("stable") == 1
    time.sleep(0.3)
    assert setting.states("n") == []


def test_labels_of_a_model_that_is_only_named_now_come_too_early(
    setting: Setting,
) -> None:
    setting.add("m/1")
    assert refusal(setting, setting.entry("m", {"stable": 1})).code == 9
    setting.reload(setting.entry("m"))
    setting.reload(setting.entry("m", {"stable": 1}))
    assert setting.version("stable") == 1


def test_new_labels_may_wait_for_their_version_if_permitted(setting: Setting) -> None:
    setting.add("m/1")
    permitting = setting.make(allow=True)
    labels = {"stable": 1, "next": 2}
    setting.reload(setting.entry("m", labels), reloader=permitting)
    assert setting.version("stable") == 1
    with pytest.raises(StatusError, match=r"Specific\(m, 2\)"):
        setting.version("next")
    # A label that is set already moves to what is loaded alone.
    with pytest.raises(StatusError, match="label to version 2 of model m"):
        setting.reload(setting.entry("m", {"stable": 2}), reloader=permitting)
    setting.reload(setting.entry("m", labels), reloader=permitting)
    setting.add("m/2")
    eventually(lambda: setting.registry.available() == {"m": [2, 1]})
    assert setting.version("next") == 2
    setting.reload(setting.entry("m", {"stable": 2}), reloader=permitting)
    assert setting.version("stable") == 2


def test_models_left_out_are_unloaded_after_their_last_request(
    setting: Setting,
) -> None:
    setting.add("m/1", "n/1")
    setting.reload(setting.entry("m"), setting.entry("n"))
    with setting.registry.lease(ModelSpec(name="m")):
        setting.reload(setting.entry("n"))
        eventually(lambda: setting.states() == [(1, "UNLOADING")])
    eventually(lambda: setting.states() == [(1, "END")])
    assert setting.registry.available() == {"n": [1]}
    setting.reload()
    eventually(lambda: setting.states("n") == [(1, "END")])
    setting.reload(setting.entry("m"))
    assert setting.registry.available() == {"m": [1]}


def test_base_path_changes(setting: Setting) -> None:
    setting.add("m/1", "elsewhere/2")
    setting.reload(setting.entry("m"))
    setting.reload(entry("m", setting.root / "elsewhere"))
    eventually(lambda: setting.states() == [(2, "AVAILABLE"), (1, "END")])


def test_what_failed_in_one_folder_is_tried_in_another(setting: Setting) -> None:
    setting.add("m/1", "elsewhere/1")
    setting.broken.add(str(setting.root / "m/1"))
    with pytest.raises(StatusError, match=r"did not become available.*is broken"):
        setting.reload(setting.entry("m"))
    setting.reload(entry("m", setting.root / "elsewhere"))
    eventually(lambda: setting.states() == [(1, "AVAILABLE")])


def test_a_model_that_failed_once_may_come_again(setting: Setting) -> None:
    setting.add("m/1")
    setting.broken.add(str(setting.root / "m/1"))
    with pytest.raises(StatusError, match="did not become available"):
        setting.reload(setting.entry("m"))
    setting.reload()
    setting.broken.clear()
    setting.reload(setting.entry("m"))
    assert setting.states() == [(1, "AVAILABLE")]


def test_waiting_has_an_end_and_holds_nobody_up(setting: Setting) -> None:
    setting.add("m/1")
    short = setting.make(allow=False, max_wait_s=0.3)
    with pytest.raises(StatusError) as caught:
        setting.reload(setting.entry("none"), reloader=short)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert "within 0 s: none. They are served once they do" in caught.value.message
    waiting = threading.Thread(target=setting.reload, args=(setting.entry("later"),))
    waiting.start()
    eventually(lambda: "later" in setting.registry._configured)
    setting.reload(setting.entry("m"))
    assert setting.registry.available() == {"m": [1]}
    waiting.join(3)
    assert not waiting.is_alive()


def test_a_caller_that_waits_for_less_is_told_so(setting: Setting) -> None:
    config = message(text_of(setting.entry("none"))).SerializeToString()
    with pytest.raises(StatusError) as caught:
        asyncio.run(setting.reloader.reload(config, 0.1))
    assert caught.value.code is Code.DEADLINE_EXCEEDED


PLATFORM = 'model_platform: "onnx"'


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([entry("m", "/m"), entry("m", "/x")], "Illegal to list model m multiple"),
        ([entry("m", "m")], "Expected model m to have an absolute path or URI"),
        ([entry("n", "/n", platform="")], "Illegal setting neither"),
        ([entry("n", "/n", platform=PLATFORM)], "Model n requests unsupported platf"),
        ([entry("m", "/m", platform=PLATFORM)], "Illegal to change a model's platform"),
    ],
)
def test_configurations_that_are_refused(
    setting: Setting, entries: list[str], text: str
) -> None:
    setting.add("m/1")
    setting.reload(setting.entry("m"))
    found = refusal(setting, *entries)
    assert found.code is Code.INVALID_ARGUMENT
    assert text in found.message
    assert setting.registry.available() == {"m": [1]}


@pytest.mark.parametrize("text", ["", "custom_model_config { type_url: 'x' }"])
def test_calls_take_lists_alone(setting: Setting, text: str) -> None:
    config = message(text).SerializeToString()
    with pytest.raises(StatusError, match="Only ModelConfigList is") as caught:
        asyncio.run(setting.reloader.reload(config, None))
    assert caught.value.code is Code.INVALID_ARGUMENT
    with pytest.raises(StatusError, match="not the message"):
        asyncio.run(setting.reloader.reload(b"\xff", None))


def test_a_reload_is_looked_after_without_polling(tmp_path: Path) -> None:
    made = Setting(tmp_path, poll_wait_s=0)
    made.manager.start()
    made.add("m/1", "n/1")
    made.reload(made.entry("m"))
    made.reload(made.entry("n"))
    assert made.registry.available() == {"n": [1]}
    assert made.manager.stop(5)


# The file.


def test_the_file_is_read_again_and_again(
    setting: Setting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    setting.add("m/1", "n/1")
    file = tmp_path / "models.config"
    file.write_text(text_of(setting.entry("m")))
    poller = ConfigPoller(str(file), 0.05, setting.reloader)
    poller.start()
    try:
        eventually(lambda: setting.registry.available() == {"m": [1]})
        file.write_text("model_config_list { nonsense")
        eventually(lambda: "The old configuration stays" in caplog.text)
        file.write_text(text_of(setting.entry("m", {"a": 5})))
        eventually(lambda: "label to version 5" in caplog.text)
        file.write_text("")
        time.sleep(0.3)
        assert setting.registry.available() == {"m": [1]}
        errors = [r for r in caplog.records if "stays" in r.message]
        assert len(errors) == 2
        file.write_text(text_of(setting.entry("m", {"a": 1}), setting.entry("n")))
        eventually(lambda: setting.registry.available() == {"m": [1], "n": [1]})
        assert setting.version("a") == 1
        # What a call changed lasts until the file's next turn, as upstream.
        file.write_text(text_of(setting.entry("m"), setting.entry("n")))
        setting.reload(setting.entry("n"))
        eventually(lambda: setting.registry.available() == {"m": [1], "n": [1]})
    finally:
        poller.stop()


# Labels, whatever is asked for.

LABELS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), max_size=3)


@settings(max_examples=200, deadline=None)
@given(st.lists(LABELS, max_size=6), st.sets(st.integers(1, 4)), st.booleans())
def test_labels_are_those_of_the_last_reload_that_was_not_refused(
    steps: list[dict[str, int]], loaded: set[int], allow: bool
) -> None:
    registry = Registry()
    registry.apply([ModelConfig(name="m", base_path="/m")])
    registry.want({"m": {number: "/m" for number in [0]}})
    due = registry.begin_load()
    assert due
    model = registry._models["m"]
    for number in loaded:
        version = type(due[1])(number=number, path="/m", state=due[1].state)
        model.versions[number] = version
        registry.finish_load(version, Fake())
    reloader = Reloader(registry, allow_unavailable_labels=allow)
    held: dict[str, int] = {}
    for labels in steps:
        missing = {k for k, v in labels.items() if v not in loaded}
        moved = {k for k in missing if k in held and held[k] != labels[k]}
        refused = bool(moved if allow else missing)
        config = message(text_of(entry("m", "/m", labels)))
        if refused:
            with pytest.raises(StatusError, match="not currently available"):
                reloader.apply(config)
        else:
            reloader.apply(config)
            held = labels
        assert dict(registry._configured["m"].labels) == held
