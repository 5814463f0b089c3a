"""From tables that nobody described to servables, with no file edited in between."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click.testing
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from data.__main__ import main as data_door
from data.events import TEST
from data.files import read_json
from data.prepared import Prepared
from data.settings import read_toml
from tests.integration.own_tables import (
    WRITERS,
    Writer,
    awkward_ids,
    json_events,
    plain_csv,
    repeated_plays,
    utf16_and_users,
)
from trainer.__main__ import main as trainer_door
from trainer.catalogue.exported import Exported
from trainer.catalogue.restore import build, restored
from trainer.config import read_experiment
from trainer.evaluation.scorers import RetrievalScorer
from trainer.export.warmup import PLACE as WARMUP
from trainer.fitting.fitter import Fitter
from trainer.models.ranking import RankingModel

SHORT = (
    "retrieval.dim=16",
    "retrieval.members=2",
    "retrieval.blocks=1",
    "retrieval.history_length=8",
    "retrieval.epochs=1",
    "retrieval.batch_size=1024",  # One step: each takes as long as all else of a fit.
    "ranking.dim=8",
    "ranking.epochs=1",
    "ranking.batch_size=1024",
    "ranking.candidates=20",
    "ranking.slices=2",
    "ranking.requests_per_user=1",
    "text.max_tokens=8",
    "evaluation.baselines=['popularity', 'ease']",
    "export.refit=none",
    "export.recommender_index=brute_force",
    "export.retrieval_index=brute_force",
    "export.mmr=0.3",
)
NO_TEXT = "text.preset="

# What MovieLens-1M by time is read with.
ROLLING = (
    *("data.split.test=0.1", "data.split.cuts=2", "data.label.history=positives"),
    *("retrieval.block=mean", "retrieval.horizon=8"),
)
# One with neither times nor text, one with text and kinds of events.
EXPORTED = (awkward_ids, json_events)
# One with users' columns besides, one with a context and repeats. The first of all is
# evaluated below, by the other splits.
EVALUATED = (*EXPORTED, utf16_and_users, repeated_plays)


def _run(door: click.Group, *arguments: object) -> str:
    runner = click.testing.CliRunner()
    result = runner.invoke(door, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def _short(preset: Path | str) -> list[str]:
    overrides = [*SHORT, f"text.preset={preset}"]
    return [word for override in overrides for word in ("--set", override)]


@contextlib.contextmanager
def _eagerly() -> Iterator[None]:
    """Run few steps as they come, in less time than tracing them takes."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def _check_list(version: Path, user: str) -> None:
    """Ask a diversified recommender: distinct items, their scores in no order."""
    recommender = tf.saved_model.load(str(version)).signatures["serving_default"]
    answer = recommender(user_id=tf.constant([user]))
    items = [item for item in answer["item_id"][0].numpy().tolist() if item]
    assert len(items) == len(set(items)) > 0
    scores = answer["score"][0].numpy()[: len(items)]
    assert np.isfinite(scores).all()
    assert scores[0] == scores.max()


def _check_no_users(version: Path, prepared: Prepared) -> None:
    """Look for users in a version that is to know none, and ask what warms it up."""
    written = b"".join(p.read_bytes() for p in version.rglob("*") if p.is_file())
    assert str(prepared.item_ids[1]).encode() in written
    for user in prepared.user_ids[1:]:
        assert str(user).encode() not in written
    signatures = tf.saved_model.load(str(version)).signatures
    asked = set()
    for record in tf.data.TFRecordDataset(str(version.joinpath(*WARMUP))):
        log = PredictionLog.FromString(record.numpy()).predict_log.request
        given = {n: tf.constant(tf.make_ndarray(v)) for n, v in log.inputs.items()}
        name = log.model_spec.signature_name
        answer = signatures[name](**given)
        if "k" in given:
            assert answer["item_id"].shape[1] == 5
        asked.add(name)
    assert asked == set(signatures)


def _check_scores(models: Path) -> None:
    """Ask for lists of retrieval: their scores are what Python computes."""
    exported = Exported.newest(str(models))
    prepared = exported.prepared()
    fitted = restored(exported, prepared)
    model = fitted.retrieval
    now, queries = prepared.cut(TEST), prepared.queries(TEST)
    scorer = RetrievalScorer(model, prepared, prepared.events, now=now)
    expected = scorer(queries, np.arange(len(queries)))
    version = models / "retrieval" / str(exported.version)
    signatures = tf.saved_model.load(str(version)).signatures
    retrieval = signatures["serving_default"]
    users = [str(prepared.user_ids[user]) for user in queries.users]
    answer = retrieval(user_id=tf.constant(users))
    row_of = {item: row for row, item in enumerate(prepared.item_ids)}
    for items, scores, own in zip(
        answer["item_id"].numpy(), answer["score"].numpy(), expected, strict=True
    ):
        rows = [row_of[item.decode()] for item in items if item]
        assert rows
        np.testing.assert_allclose(scores[: len(rows)], own[rows], atol=1e-4)
    # An item is told by its columns as it was by its row, without its id.
    tags, title = [["x", "y"], ["z", ""]], ["a new thing", "another"]
    vectors = signatures["embed_item"](
        title=tf.constant(title), tags=tf.constant(tags)
    )["embedding"].numpy()
    frame = pd.DataFrame({"title": title, "tags": ["x|y", "z"]})
    said = prepared.features.text.encode(frame[list(prepared.features.text.columns)])
    assert said.tolist() == ["a new thing. x, y", "another. z"]
    codes = {
        f.name: tf.constant(f.encode(frame[f.name])) for f in prepared.features.items
    }
    assert fitted.text_tower is not None
    text = tf.constant(fitted.text_tower.encode(said))
    own = model.units(model.item_tower.unseen(codes, text).numpy())
    np.testing.assert_allclose(vectors[:, : own.shape[1]], own, atol=1e-4)


def _check_models(toml: Path, prepared: Prepared, folder: Path) -> None:
    """Take a step of retrieval, and let both models encode all that there is."""
    config, training = read_experiment(toml, [*SHORT, NO_TEXT]), prepared.training()
    stage = {"folder": str(folder / "fit"), "logs": str(folder / "logs")}
    fitter = Fitter(prepared, config, str(folder))
    with _eagerly():
        retrieval, fit = fitter.retrieval(training, stage, "Training", epochs=1)
        ranking = RankingModel(
            prepared=prepared,
            log=training.of(prepared.events),
            texts=None,
            config=config.ranking,
            train=config.train,
        )
        build(retrieval, ranking, prepared.features)
        found = [
            *(m.user_vectors(prepared.num_users) for m in (retrieval, ranking)),
            retrieval.item_vectors(prepared.num_items),
            ranking.item_parts(prepared.num_items),
        ]
    assert np.isfinite(fit.curve[-1]["loss"])
    assert all(np.isfinite(table).all() for table in found)


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
    short = _short(tiny_bert if own.has_text and exported else "")
    if write is json_events:
        short += ["--set", "data.items.columns.tags.in_text=true"]
    if write is awkward_ids:
        for one in ("user_state=false", "k=5", "max_k=5"):
            short += ["--set", f"export.{one}"]
    # Each is prepared and fits the models; to measure and export all takes minutes.
    if write in EVALUATED:
        with _eagerly():
            _run(trainer_door, "evaluate", toml, "--out", out, *short)
    else:
        _run(data_door, "prepare", toml, "--out", out / "data")
    if exported:
        said = _run(trainer_door, "train", toml, "--out", out, *short)
        assert "evaluated before, nothing changed" in said
    assert toml.read_bytes() == before
    prepared = Prepared.load(str(out / "data"))
    assert bool(prepared.features.text.columns) == own.has_text
    if write not in EVALUATED:
        _check_models(toml, prepared, out)
        return
    if exported:
        (version,) = (out / "models" / "recommender").iterdir()
        _check_list(version, str(prepared.user_ids[1]))
        if write is json_events:  # What the other one asks for is not of a moment.
            _check_scores(out / "models")
        else:
            _check_no_users(version, prepared)
    report = read_json(out / "report.json")
    ndcg = report["models"]["two_stage"]["metrics"]["ndcg@10"]["mean"]
    assert np.isfinite(ndcg)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["leave_one_out", "cold_items", "rolling"])
def test_tables_train_by_the_other_splits(kind: str, tmp_path: Path) -> None:
    own = plain_csv(tmp_path)
    toml, out = tmp_path / "my.toml", tmp_path / "out"
    tables = ("--interactions", own.interactions, "--items", own.items)
    _run(data_door, "init", *tables, "-o", toml)
    words = [f"data.split.kind={kind}", *(ROLLING if kind == "rolling" else ())]
    overrides = [word for one in words for word in ("--set", one)]
    with _eagerly():
        _run(trainer_door, "evaluate", toml, "--out", out, *_short(""), *overrides)
    prepared = Prepared.load(str(out / "data"))
    folds = prepared.folds()
    assert len(folds) == (2 if kind == "rolling" else 1)
    report = read_json(out / "report.json")
    asked = sum(len(fold.queries(TEST)) for fold in folds)
    assert report["counts"]["queries"] == asked > 0
    assert 0 < report["models"]["retrieval"]["metrics"]["recall@100"]["mean"] <= 1
