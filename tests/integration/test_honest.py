"""Nothing is chosen on test data: other test events, the very same models."""

import csv
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest
import tensorflow as tf

from data.__main__ import main as data_door
from data.events import TEST
from data.files import read_json
from data.prepare import prepare
from data.prepared import Prepared
from data.queries import evaluation_queries
from data.schema import data_config
from data.settings import read_toml
from tests.integration.own_tables import ITEMS, plain_csv
from tests.integration.support import Job
from trainer.__main__ import main as trainer_door
from trainer.catalogue.exported import Exported
from trainer.catalogue.restore import restored
from trainer.retrain.elsewhere import scorers_elsewhere

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


def _evaluate(toml: Path, out: Path, kind: str) -> None:
    overrides = (*SHORT, f"data.split.kind='{kind}'", "data.split.test=0.2")
    words = [word for override in overrides for word in ("--set", override)]
    # The few steps take less time as they come than tracing them would.
    tf.config.run_functions_eagerly(True)
    try:
        _run(trainer_door, "evaluate", toml, "--out", out, *words)
    finally:
        tf.config.run_functions_eagerly(False)


def _with_random_test(table: Path, prepared: Prepared) -> None:
    """Replace the items and ratings of the test part at random."""
    with table.open(newline="") as file:
        header, *rows = csv.reader(file)
    # By user and time, level ones as they stand in the file: the order of the log.
    order = sorted(range(len(rows)), key=lambda i: (rows[i][0], *map(int, rows[i][3:])))
    log = prepared.as_happened
    known = np.argsort(prepared.user_ids[log.user].astype(str), kind="stable")
    users = [prepared.user_ids[log.user[place]] for place in known]
    assert users == [rows[i][0] for i in order]
    rng = np.random.default_rng(0)
    tested = [order[i] for i in np.flatnonzero(log.part[known] == TEST)]
    for place in tested:
        rows[place][1] = str(rng.integers(1, ITEMS + 1))
        rows[place][2] = str(rng.integers(1, 6))
    assert len(tested) > 30
    with table.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _without_times(table: Path) -> None:
    with table.open(newline="") as file:
        rows = [row[:3] for row in csv.reader(file)]
    with table.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


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
@pytest.mark.parametrize(
    ("kind", "timed"),
    [
        ("temporal", True),
        ("leave_one_out", True),
        ("held_out_users", True),
        ("held_out_users", False),
    ],
)
def test_other_test_events_give_the_same_models(
    tmp_path: Path, kind: str, timed: bool
) -> None:
    own = plain_csv(tmp_path)
    if not timed:
        _without_times(own.interactions)
    toml = tmp_path / "my.toml"
    tables = ("--interactions", own.interactions, "--items", own.items)
    _run(data_door, "init", *tables, "-o", toml)
    first, second = tmp_path / "first", tmp_path / "second"
    _evaluate(toml, first, kind)
    before = Prepared.load(str(first / "data"))
    assert before.time_is_known == timed
    _with_random_test(own.interactions, before)
    _evaluate(toml, second, kind)
    assert Prepared.load(str(second / "data")).fingerprint != before.fingerprint
    weights, others = _weights(first), _weights(second)
    assert len(weights) > 50
    assert weights.keys() == others.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(values, others[name], err_msg=name)
    assert _chosen(first) == _chosen(second)
    metrics = [read_json(out / "report.json")["models"] for out in (first, second)]
    assert metrics[0] != metrics[1]  # The test did change.


def test_a_champion_counts_no_test_events_either(job: Job, tmp_path: Path) -> None:
    """It is asked what the candidate is, with the same counts."""
    exported = Exported.newest(str(job.models))
    toml = job.planted.toml
    split = 'data.split.kind="leave_one_out"'
    config = data_config(read_toml(toml, [split]), toml)
    answers = []
    for draw in (0, 1):
        other = prepare(config, toml, str(tmp_path / "data"))
        log, rng = other.events, np.random.default_rng(draw)
        drawn = rng.integers(1, other.num_items + 1, len(log), np.int32)
        tested = log.part == TEST
        other.__dict__["events"] = log.replace(item=np.where(tested, drawn, log.item))
        fitted = restored(exported, exported.prepared())
        queries = evaluation_queries(
            log, TEST, at=None, servable=other.servable, targets="warm"
        )
        scorer = scorers_elsewhere(fitted, other)["two_stage"]
        answers.append(scorer(queries, np.arange(60)))
    np.testing.assert_array_equal(*answers)
