"""However many replicas share a batch, and in whatever numbers: the same model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import ConfigError
from data.planted import Planted
from trainer.config import TrainConfig, read_experiment
from trainer.distributed.choice import crew_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("replicas")]
ROOT = Path(__file__).parents[2]
CASES = ("in_batch", "sampled_softmax", "full_softmax", "ranking")
Found = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Fit each case on one device and on two, in a process that has two."""
    folder = tmp_path_factory.mktemp("replicas")
    done = subprocess.run(
        [sys.executable, "-m", "tests.trainer.replica_curves", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    result: Found = json.loads((folder / "found.json").read_text())
    return result


@pytest.mark.replicas
@pytest.mark.parametrize("case", CASES)
def test_two_replicas_have_the_curve_of_one(found: Found, case: str) -> None:
    one, two = found[f"{case}/none"], found[f"{case}/mirrored"]
    assert one["losses"][-1] < one["losses"][0]
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=2e-6)


@pytest.mark.replicas
@pytest.mark.parametrize("case", CASES)
def test_two_replicas_have_the_weights_of_one(found: Found, case: str) -> None:
    one, two = (np.array(found[f"{case}/{s}"]["vectors"]) for s in ("none", "mirrored"))
    assert np.abs(one).max() > 0.05
    np.testing.assert_allclose(two, one, atol=2e-4)


@pytest.mark.replicas
@pytest.mark.parametrize("case", ["sampled_softmax/mirrored", "ranking/none"])
def test_mixed_precision_learns_what_float32_does(found: Found, case: str) -> None:
    plain = found[case]["losses"]
    mixed = found[f"{case}/mixed_bfloat16"]["losses"]
    assert mixed != plain
    np.testing.assert_allclose(mixed, plain, rtol=0.02)


@pytest.mark.replicas
def test_what_is_handed_on_is_of_one_device_and_float32(found: Found) -> None:
    for facts in found.values():
        assert facts["plain"]
        assert facts["policies"] == ["float32"]


def test_float16_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"mixed_float16.*is scaled.*mixed_bfloat16"):
        TrainConfig(precision="mixed_float16")


def test_devices_want_a_strategy_that_takes_them() -> None:
    with pytest.raises(ConfigError, match=r"devices is 2 with strategy 'none'"):
        TrainConfig(devices=2)


def test_a_text_tower_is_fine_tuned_by_one_device_alone(planted: Planted) -> None:
    tuned = ["text.trainable_layers=1", "train.strategy=mirrored"]
    with pytest.raises(ConfigError, match=r"trainable_layers is 1 with .*mirrored"):
        read_experiment(planted.toml, tuned)
    read_experiment(planted.toml, [*tuned, 'text.preset=""'])


def test_where_a_model_is_fitted_is_no_part_of_its_name(planted: Planted) -> None:
    def tables(*overrides: str) -> dict[str, Any]:
        return read_experiment(planted.toml, overrides).model_tables()

    spread = ["train.strategy=mirrored", "train.devices=2", "train.shard_mb=0.5"]
    spread.append("train.checkpoint_steps=9")
    assert tables(*spread) == tables()
    assert tables("train.precision=mixed_bfloat16") != tables()


@pytest.mark.parametrize("strategy", ["multi_worker", "parameter_server"])
def test_a_command_that_meets_no_others_is_refused(strategy: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{strategy}.*this command does not"):
        crew_of(TrainConfig(strategy=strategy))


def test_a_part_of_a_table_holds_something() -> None:
    with pytest.raises(ConfigError, match="shard_mb is 0"):
        TrainConfig(shard_mb=0)


def test_replicas_without_a_gpu_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"wants GPUs, and TensorFlow finds none"):
        crew_of(TrainConfig(strategy="mirrored"))
