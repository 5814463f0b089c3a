"""The same command again: nothing is done twice, and versions come whole."""

import dataclasses
import json
import re
import time
from pathlib import Path

import pytest

from data.locks import locked
from tests.integration.support import (
    EVALUATED,
    EvaluatedJob,
    Job,
    process,
    run_trainer,
    snapshot,
)
from trainer.config import ExperimentConfig
from trainer.export.publish import versions
from trainer.runs import Run

SERVABLES = ("ranking", "recommender", "retrieval")


def test_a_second_train_does_nothing(evaluated: EvaluatedJob) -> None:
    before = snapshot(evaluated.out)
    started = time.monotonic()
    toml, out = evaluated.planted.toml, evaluated.out
    assert run_trainer("train", toml, "--out", out, "--set", EVALUATED) == 0
    assert snapshot(evaluated.out) == before
    assert time.monotonic() - started < 10


def test_another_export_setting_exports_alone(
    job: Job, evaluated: EvaluatedJob
) -> None:
    assert evaluated.version > job.version
    assert evaluated.runs_before  # Checkpoints, metrics, the configuration as used.
    assert evaluated.runs_after == evaluated.runs_before


def test_servables_share_their_versions(job: Job, evaluated: EvaluatedJob) -> None:
    for name in SERVABLES:
        found = versions(str(evaluated.models), name)
        assert found == [job.version, evaluated.version]
    folders = [p.name for p in evaluated.models.glob("*/*")]
    assert sorted(folders) == sorted([str(v) for v in found] * 3)


def test_manifests_name_the_runs(job: Job, evaluated: EvaluatedJob) -> None:
    (evaluation,) = (p.name for p in job.out.glob("runs/evaluation-*"))
    (refit,) = (p.name for p in job.out.glob("runs/refit-*"))
    for name in SERVABLES:
        runs = job.manifest(name)["runs"]
        assert runs == {"evaluation": evaluation, "refit": refit}
        runs = evaluated.manifest(name)["runs"]
        assert runs == {"evaluation": evaluation, "refit": None}
        assert evaluated.manifest(name)["version"] == evaluated.version
        assert evaluated.manifest(name)["calibration"]["distribution"]


def test_stock_servers_are_not_given_scann(evaluated: EvaluatedJob) -> None:
    def names(place: Path) -> dict[str, str]:
        pairs = re.findall(r'name: "(\w+)"\s+base_path: "(.+)"', place.read_text())
        return dict(pairs)

    folder = evaluated.models
    everything = {name: str(folder / name) for name in SERVABLES}
    assert names(folder / "models.scann.config") == everything
    del everything["retrieval"]
    assert names(folder / "models.config") == everything


def test_a_version_holds_what_a_server_wants(evaluated: EvaluatedJob) -> None:
    for name in SERVABLES:
        folder = evaluated.models / name / str(evaluated.version)
        warmup = folder / "assets.extra" / "tf_serving_warmup_requests"
        assert warmup.stat().st_size > 0
        assert name in (folder / "MODEL_CARD.md").read_text()


def test_the_refit_took_the_chosen_epochs(job: Job) -> None:
    chosen, refit = job.metrics("evaluation"), job.metrics("refit")
    for stage in ("retrieval", "ranking"):
        epochs = chosen["stages"][stage]["best_epoch"]
        assert len(refit["stages"][stage]["curve"]) == epochs
    assert refit["of"] == chosen["run"] == job.report["about"]["run"]


def test_another_ranking_takes_up_the_same_retrieval(evaluated: EvaluatedJob) -> None:
    """Other settings of [ranking] name another run and the same fits of retrieval."""
    prepared, config = evaluated.prepared, evaluated.experiment.config
    stages = evaluated.metrics("evaluation")["stages"]["retrieval"]
    ranking = dataclasses.replace(config.ranking, dropout=0.3)
    other = dataclasses.replace(config, ranking=ranking)
    out, training = str(evaluated.out), prepared.training()
    runs = [Run.of(out, "evaluation", prepared, c) for c in (config, other)]
    assert runs[0].id == evaluated.report["about"]["run"] != runs[1].id

    def retrieval(c: ExperimentConfig) -> str:
        return Run.of_retrieval(out, prepared, c, stretch=training, epochs=None).id

    assert retrieval(config) == retrieval(other) == stages["run"] != stages["early_run"]
    smaller = dataclasses.replace(config.retrieval, dim=16)
    assert retrieval(dataclasses.replace(config, retrieval=smaller)) != stages["run"]
    for name in ("run", "early_run"):
        folder = evaluated.out / "runs" / stages[name]
        assert (folder / "config.toml").exists()
        assert (folder / "checkpoints/retrieval/best/weights.index").exists()
        found = json.loads((folder / "metrics.json").read_text())
        assert found["run"] == stages[name]


def test_negatives_come_from_an_earlier_index(job: Job) -> None:
    facts = job.metrics("evaluation")["stages"]["ranking"]["examples"]
    later = job.metrics("refit")["stages"]["ranking"]["examples"]["sources"]
    for one in (facts, *later):
        assert one["share_from_index"] >= 0.5
        assert one["retrieval_cut"] <= one["first_example_time"]
        assert one["examples"] > 100


def test_the_early_model_knows_nothing_later(evaluated: EvaluatedJob) -> None:
    from data.events import TRAIN

    experiment, prepared = evaluated.experiment, evaluated.prepared
    log = prepared.events.through(TRAIN)
    cut = experiment.cut(log)
    assert (log.time >= cut).sum() > 100
    facts = evaluated.metrics("evaluation")["stages"]["ranking"]["examples"]
    assert facts["retrieval_cut"] == cut
    earlier = log.earlier_than(cut)
    model = experiment.fitted.early.scorer.model
    known = model.query_tower.slots.table.numpy() > 0
    assert (known == (earlier.user_counts() > 0)).all()
    counts = earlier.item_counts(prepared.num_items, positives_only=True)
    sampling = model.loss_of.sampling.numpy()
    likely = counts > 0
    ratio = sampling[likely] / counts[likely]
    assert ratio.max() < ratio.min() * 1.0001
    # Every step was taken on windows of the earlier events alone.
    from data.pipelines import BatchPlan, plan_windows

    config = experiment.config.retrieval
    windows = plan_windows(earlier, config.history_length)
    plan = BatchPlan.of(windows.length, config.history_length, config.batch_size)
    steps = len(plan.sizes)
    epochs = experiment.fitted.facts["retrieval"]["best_epoch"]
    assert int(model.step.value) == steps * epochs


def test_a_locked_folder(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    with locked(str(job.out)):
        owner = json.loads((job.out / ".lock.json").read_text())
        status = run_trainer("train", job.planted.toml, "--out", job.out)
    assert status == 4
    message = capfd.readouterr().err
    assert f"process {owner['pid']} on {owner['host']}" in message
    assert owner["since"] in message
    assert len(message.splitlines()) == 1
    assert not (job.out / ".lock.json").exists()


def test_mistakes_end_with_2_and_one_line(job: Job) -> None:
    arguments = ("train", job.planted.toml, "--out", job.out, "--set", "ranking.dim=0")
    with process("trainer", *arguments) as running:
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "")
    assert "dim is 0, expected above 0" in err
    assert len(err.splitlines()) == 1
