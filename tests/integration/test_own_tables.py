"""From tables that nobody described to servables, with no file edited in between."""

from pathlib import Path

import click.testing
import numpy as np
import pytest
import tensorflow as tf

from data.__main__ import main as data_door
from data.files import read_json
from data.prepared import Prepared
from data.settings import read_toml
from tests.integration.own_tables import (
    WRITERS,
    Writer,
    awkward_ids,
    json_events,
)
from trainer.__main__ import main as trainer_door

SHORT = (
    "retrieval.dim=16",
    "retrieval.blocks=1",
    "retrieval.history_length=8",
    "retrieval.epochs=1",
    "ranking.dim=8",
    "ranking.epochs=1",
    "ranking.candidates=20",
    "text.max_tokens=8",
    "export.refit=none",
    "export.recommender_index=brute_force",
    "export.retrieval_index=brute_force",
)

# One with neither times nor text, one with text and kinds of events.
EXPORTED = (awkward_ids, json_events)


def _run(door: click.Group, *arguments: object) -> str:
    runner = click.testing.CliRunner()
    result = runner.invoke(door, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_tables_train_as_they_are(
    write: Writer, tmp_path: Path, tiny_bert: Path
) -> None:
    own = write(tmp_path)
    toml, out = tmp_path / "my.toml", tmp_path / "out"
    named = [("--items", own.items), ("--users", own.users)]
    tables = [word for flag, path in named if path for word in (flag, path)]
    _run(data_door, "init", "--interactions", own.interactions, *tables, "-o", toml)
    before = toml.read_bytes()
    described = read_toml(toml)
    assert described["data"]["split"]["kind"] == own.split
    _run(data_door, "check", toml)
    exported = write in EXPORTED
    # keras-nlp's tokenizer needs a graph.
    preset = tiny_bert if own.has_text and exported else ""
    overrides = [*SHORT, f"text.preset={preset}"]
    words = [word for override in overrides for word in ("--set", override)]
    # Each is trained and measured; exporting all ten would take minutes. The others'
    # few steps take less time than tracing them would.
    tf.config.run_functions_eagerly(not exported)
    try:
        command = "train" if exported else "evaluate"
        _run(trainer_door, command, toml, "--out", out, *words)
    finally:
        tf.config.run_functions_eagerly(False)
    assert toml.read_bytes() == before
    prepared = Prepared.load(str(out / "data"))
    assert bool(prepared.features.text.columns) == own.has_text
    if exported:
        (version,) = (out / "models" / "recommender").iterdir()
        assert (version / "saved_model.pb").exists()
    report = read_json(out / "report.json")
    ndcg = report["models"]["two_stage"]["metrics"]["ndcg@10"]["mean"]
    assert np.isfinite(ndcg)
