"""The retraining job in a bucket, where renaming a folder does nothing.

The models are stand-ins, and the bucket is a dictionary that may die between any two
changes.
"""

import copy
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.retrain.slices import Sliced
from benchmarks.retrain.tiny import tiny
from data import files
from tests.trainer.object_store import Died, ObjectStore, loaded
from tests.trainer.retraining import fit, stand_ins
from trainer.config import RetrainConfig, read_experiment
from trainer.export.publish import SERVABLES, versions
from trainer.retrain.driver import retrain
from trainer.retrain.job import hashes
from trainer.retrain.newdata import current_state
from trainer.retrain.pruning import record_of
from trainer.retrain.request import Request
from trainer.retrain.rollback import rollback
from trainer.retrain.state import Places
from trainer.retrain.steps import NAMES

OUT = "gs://bucket/out"
PLACES = Places(OUT)
SEED, DEATHS = 20_261, 12


@pytest.fixture(scope="module", autouse=True)
def stood_in() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stand_ins().items():
            patch.setitem(sys.modules, name, module)
        patch.setattr("trainer.experiment.Experiment.fitted", property(fit))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Sliced:
    return tiny(tmp_path_factory.mktemp("tiny"))


def run(store: ObjectStore, data: Sliced, number: int) -> str:
    config = read_experiment(data.toml, ())
    new = (str(data.slices[number]),)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_gfile", lambda: store)
        return retrain(Request(config=config, toml=data.toml, out=OUT, new=new))


@pytest.fixture(scope="module")
def first(data: Sliced) -> ObjectStore:
    """Run a job in an empty bucket."""
    store = ObjectStore()
    assert run(store, data, 0) == "passed"
    return store


@pytest.fixture(scope="module")
def second(data: Sliced, first: ObjectStore) -> ObjectStore:
    store = copy.deepcopy(first)
    store.changes = 0
    assert run(store, data, 1) == "passed"
    return store


def made(store: ObjectStore) -> tuple[dict[str, Any], int, str | None]:
    """Return the outputs of the newest job, how many versions there are, the data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_gfile", lambda: store)
        folders = served(store)
        (job,) = {record_of(folder)["job"] for folder in folders}
        found = [versions(PLACES.models, name) for name in SERVABLES]
        assert found[0] == found[1] == found[2]
        outputs = hashes(PLACES.job(job), NAMES)
        return outputs, len(found[0]), current_state(PLACES.dataset)


def served(store: ObjectStore) -> list[str]:
    """Return the folders that servers load now: all of them are whole."""
    config = f"{PLACES.models}/models.config"
    if config not in store.objects:
        return []
    named = list(loaded(store.objects[config].decode()))
    folders = [f"{base}/{version}" for base, version in named]
    for folder in folders:
        for name in ("saved_model.pb", "manifest.json", "variables/variables.index"):
            assert f"{folder}/{name}" in store.objects
    return folders


def test_a_job_and_a_rollback(first: ObjectStore, second: ObjectStore) -> None:
    (_, one, before), (_, two, after) = made(first), made(second)
    assert (one, two) == (1, 2)
    assert len(served(second)) == len(SERVABLES)
    assert before != after
    store = copy.deepcopy(second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_gfile", lambda: store)
        rollback(PLACES.models, server="", config=RetrainConfig())
    assert served(store) == served(first)
    assert made(store) == made(first)


@pytest.mark.parametrize("part", range(DEATHS))
def test_it_ends_as_if_undisturbed_wherever_it_died(
    data: Sliced, first: ObjectStore, second: ObjectStore, part: int
) -> None:
    store = copy.deepcopy(first)
    # One of each twelfth of all changes, the last among them: those of publishing.
    drawn = random.Random(f"{SEED} {part}").random()
    store.changes = 0
    store.dies_after = int((part + drawn) / DEATHS * second.changes)
    print(f"seed {SEED}: died after {store.dies_after} of {second.changes} changes")
    with pytest.raises(Died):
        run(store, data, 1)
    assert len(served(store)) == len(SERVABLES)
    store.dies_after = None
    # Where all but the last words were written, the same files bring nothing new.
    assert run(store, data, 1) in ("passed", "nothing")
    assert made(store) == made(second)
