"""Nothing is chosen on test data: other test events, the very same models."""

import csv
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest
import tensorflow as tf

from data.__main__ import main as data_door
from data.files import read_json
from data.prepared import Prepared
from tests.integration.own_tables import ITEMS, plain_csv
from trainer.__main__ import main as trainer_door

SHORT = (
    *("retrieval.dim=16", "retrieval.blocks=1", "retrieval.history_length=8"),
    *("retrieval.epochs=2", "ranking.dim=8", "ranking.epochs=2"),
    "ranking.batch_size=512",  # Two steps an epoch, each of which takes long.
    *("ranking.slices=2", "ranking.requests_per_user=1", "ranking.candidates=20"),
    *("text.preset=", "evaluation.baselines=['popularity', 'ease']"),
)


def _run(door: click.Group, *arguments: object) -> None:
    runner = click.testing.CliRunner()
    result = runner.invoke(door, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def _evaluate(toml: Path, out: Path) -> None:
    words = [word for override in SHORT for word in ("--set", override)]
    # The few steps take less time as they come than tracing them would.
    tf.config.run_functions_eagerly(True)
    try:
        _run(trainer_door, "evaluate", toml, "--out", out, *words)
    finally:
        tf.config.run_functions_eagerly(False)


def _with_random_test(table: Path, cut: int) -> None:
    """Replace what was rated from a time on, and how, at random."""
    with table.open(newline="") as file:
        header, *rows = csv.reader(file)
    rng = np.random.default_rng(0)
    changed = 0
    for row in rows:
        if int(row[3]) >= cut:
            row[1] = str(rng.integers(1, ITEMS + 1))
            row[2] = str(rng.integers(1, 6))
            changed += 1
    assert changed > 50
    with table.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _weights(out: Path) -> dict[str, np.ndarray]:
    """Return all that was learnt, by fit and variable."""
    run = read_json(out / "report.json")["about"]["run"]
    stages = read_json(out / "runs" / run / "metrics.json")["stages"]
    fits = {
        "retrieval": (stages["retrieval"]["run"], "retrieval"),
        "early retrieval": (stages["retrieval"]["early_run"], "retrieval"),
        "ranking": (run, "ranking"),
    }
    found: dict[str, np.ndarray] = {}
    for fit, (name, stage) in fits.items():
        path = out / "runs" / name / "checkpoints" / stage / "best" / "weights"
        reader = tf.train.load_checkpoint(str(path))
        for variable in reader.get_variable_to_shape_map():
            if not variable.startswith("_CHECKPOINTABLE"):
                found[f"{fit}/{variable}"] = reader.get_tensor(variable)
    return found


def _chosen(out: Path) -> dict[str, Any]:
    report = read_json(out / "report.json")
    run = report["about"]["run"]
    stages = read_json(out / "runs" / run / "metrics.json")["stages"]
    for name in ("run", "early_run"):  # Named by the data, tests included.
        del stages["retrieval"][name]
    return {"about": report["about"]["chosen on validation"], "stages": stages}


@pytest.mark.slow
def test_other_test_events_give_the_same_models(tmp_path: Path) -> None:
    own = plain_csv(tmp_path)
    toml = tmp_path / "my.toml"
    tables = ("--interactions", own.interactions, "--items", own.items)
    _run(data_door, "init", *tables, "-o", toml)
    first, second = tmp_path / "first", tmp_path / "second"
    _evaluate(toml, first)
    before = Prepared.load(str(first / "data"))
    cut = before.manifest["split"]["cuts"][1]
    _with_random_test(own.interactions, cut)
    _evaluate(toml, second)
    assert Prepared.load(str(second / "data")).fingerprint != before.fingerprint
    weights, others = _weights(first), _weights(second)
    assert len(weights) > 50
    assert weights.keys() == others.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(values, others[name], err_msg=name)
    assert _chosen(first) == _chosen(second)
    metrics = [read_json(out / "report.json")["models"] for out in (first, second)]
    assert metrics[0] != metrics[1]  # The test did change.
