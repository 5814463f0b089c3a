"""What all tests share: the environment, the markers, one planted data set."""

import gc
import os

# tensorflow-recommenders needs Keras 2; both must be set before TensorFlow loads.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from data.planted import Planted, write_planted, write_tiny_bert
from data.prepare import prepare
from data.prepared import Prepared
from data.schema import data_config
from data.settings import read_toml

# Tests make graphs, whose objects live on: looking for garbage among them again and
# again is a tenth of the time that they take.
gc.set_threshold(100_000, 50, 100)
# The same examples in every run; no folder of failed ones beside the code.
settings.register_profile("tandem", deadline=None, derandomize=True, database=None)
settings.load_profile("tandem")

MARKERS = {
    "slow": "trains a model",
    "realdata": "downloads a data set",
    "replicas": "fits on several devices or in several processes: minutes",
    "serving": "needs the server's binary",
    "gpu": "needs a GPU",
}


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers that select tests by what they need."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Let one worker ask all that is asked of the trained job, and train it once.

    So for the session's server, which is started once. All other tests go by file,
    those aside that name a group themselves. What takes longest starts first.
    """
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        asked = getattr(item, "fixturenames", ())
        groups = (name for name in ("job", "server") if name in asked)
        group = next(groups, str(item.path))
        item.add_marker(pytest.mark.xdist_group(group))
    files = {item.path for item in items if item.get_closest_marker("slow")}

    def turn(item: pytest.Item) -> int:
        mark = item.get_closest_marker("xdist_group")
        if mark is not None and mark.args == ("job",):
            return 0
        if item.path in files:
            return 1
        return 2 if mark is not None and mark.args == ("server",) else 3

    items.sort(key=turn)
    yield
    keep_groups(items)


def keep_groups(items: list[pytest.Item]) -> None:
    """Put each test's group into its id, from which workers are chosen.

    pytest-xdist 3.8 writes the id where pytest 9.2 no longer reads it: each test would
    be a group of its own, and every worker would train the job.
    """
    for item in items:
        grouped = getattr(item, "_nodeid", item.nodeid)
        if grouped != item.nodeid:
            item._id = type(item._id).parse(grouped)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Return a planted data set: the folder with its tables and TOML, and the truth."""
    return write_planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def prepared(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Return the planted data set, prepared."""
    config = data_config(read_toml(planted.toml), planted.toml)
    out = tmp_path_factory.mktemp("prepared") / "data"
    return prepare(config, planted.toml, str(out))


@pytest.fixture(scope="session")
def tiny_bert(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny BERT that knows the planted words."""
    folder = tmp_path_factory.mktemp("bert")
    return write_tiny_bert(folder, words=planted.all_words)
