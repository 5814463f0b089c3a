"""Items come, change and go without training: the same weights, another catalogue."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scann  # noqa: F401
import tensorflow as tf

from data import files
from data.prepared import Prepared
from tests.integration.calls import with_history
from tests.integration.support import EvaluatedJob, Job, run_trainer, snapshot
from trainer.catalogue.exported import Exported, standing_changes
from trainer.catalogue.restore import restored
from trainer.errors import GateRefused
from trainer.export import export as exporting
from trainer.export.publish import publish, versions

NOBODY = "nobody at all"
PADDING = np.float32(-1e30)
SERVABLES = ("retrieval", "ranking", "recommender")
RENAMED = "Another Name"


def publish_without_models(
    fitted: Any, config: Any, models: str, about: dict[str, Any]
) -> int:
    """Stand in for an export: a version as the newest was, but for its changes."""
    exported = Exported.newest(models)
    version = exported.version + 1

    def saver(name: str) -> Callable[[str], None]:
        def save(folder: str) -> None:
            shutil.copytree(Path(models) / name / str(exported.version), folder)
            fitted.changes.write(files.join(folder, *exporting.CHANGES))

        return save

    publish(models, version, {name: saver(name) for name in SERVABLES})
    return version


@dataclass(frozen=True)
class Changed:
    """A folder whose catalogue was changed three times, and the job it comes from."""

    job: Job
    out: Path
    version: int
    popular: str
    renamed: str
    taken_off: str
    said: dict[str, str]

    @property
    def models(self) -> Path:
        return self.out / "models"

    @cached_property
    def prepared(self) -> Prepared:
        return Prepared.load(str(self.out / "data"))

    @cached_property
    def before(self) -> Any:
        place = self.job.models / "recommender" / str(self.job.version)
        return tf.saved_model.load(str(place))

    @cached_property
    def after(self) -> Any:
        place = self.models / "recommender" / str(self.version)
        return tf.saved_model.load(str(place))

    @cached_property
    def retrieval(self) -> Any:
        place = self.models / "retrieval" / str(self.version)
        return tf.saved_model.load(str(place))


def ask(model: Any, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
    """Call a signature. Out: arrays, ids as str."""
    function = model.signatures[signature]
    specs = function.structured_input_signature[1]
    found = function(**{n: tf.constant(v, specs[n].dtype) for n, v in inputs.items()})
    arrays = {name: value.numpy() for name, value in found.items()}
    return {n: _as_text(a) if a.dtype == object else a for n, a in arrays.items()}


def _as_text(ids: np.ndarray) -> np.ndarray:
    return np.vectorize(bytes.decode, otypes=[object])(ids)


def write_rows(folder: Path, name: str, rows: list[dict[str, str]]) -> Path:
    pd.DataFrame(rows).to_csv(folder / name, index=False)
    return folder / name


def copy_of(job: Job, folder: Path) -> Path:
    """Copy an experiment's folder, with the first export of the job alone."""
    out = folder / "out"
    shutil.copytree(job.out, out)
    for name in SERVABLES:
        for version in versions(str(out / "models"), name):
            if version != job.version:
                shutil.rmtree(out / "models" / name / str(version))
    return out


@pytest.fixture(scope="module")
def changed(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Changed:
    """Add, add more with a change, then remove: only the last exports models."""
    folder = tmp_path_factory.mktemp("catalogue")
    out, planted = copy_of(job, folder), job.planted
    prepared = Prepared.load(str(out / "data"))
    counts = prepared.as_happened.item_counts(prepared.num_items)
    popular, renamed, taken_off = prepared.item_ids[
        np.argsort(-(counts * prepared.servable))[:3]
    ]
    words = {"genres": "", "year": "1999", "available": "yes"}
    new = [
        {"item_id": f"new {t}", "title": f"{w[0]} {w[1]}", "blurb": w[2], **words}
        for t, w in enumerate(planted.words)
    ]
    first = write_rows(folder, "first.csv", new[:2])
    renaming = {"item_id": renamed, "title": RENAMED, "blurb": "", **words}
    second = write_rows(folder, "second.csv", [*new[2:], renaming])
    third = write_rows(folder, "third.csv", [{"item_id": taken_off, "available": "no"}])
    gone = write_rows(folder, "gone.csv", [{"item_id": i} for i in ("new 1", popular)])
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "export", publish_without_models)
        for place in (first, second, third):
            patch.setattr(
                "trainer.catalogue.changes.say",
                lambda t, n=place.stem: said.update({n: t}),
            )
            assert run_trainer("add-items", place, "--model", out / "models") == 0
    assert run_trainer("remove-items", gone, "--model", out) == 0
    (found,) = {versions(str(out / "models"), name)[-1] for name in SERVABLES}
    return Changed(job, out, found, popular, renamed, taken_off, said)


@pytest.fixture
def untouched(changed: Changed) -> Iterator[Changed]:
    """Demand that a test leaves everything that is published as it was."""
    before = snapshot(changed.models)
    yield changed
    assert snapshot(changed.models) == before
    assert not [p for p in changed.models.rglob(".*") if p.name.endswith(".tmp")]


def test_changes_add_up(changed: Changed) -> None:
    manifest = Exported.newest(str(changed.models)).manifest
    assert manifest["version"] == changed.version
    counts = manifest["catalogue_changes"]
    tastes = changed.job.planted.plan.num_tastes
    assert counts["added"] == tastes - 1
    assert (counts["changed"], counts["removed"]) == (2, 2)
    assert "2 added, 0 changed, 0 removed" in changed.said["first"]
    assert f"{tastes - 2} added, 1 changed, 0 removed" in changed.said["second"]
    assert "0 added, 1 changed, 0 removed" in changed.said["third"]
    original = changed.job.manifest("recommender")
    for name in ("runs", "metrics", "calibration", "protocol", "config"):
        assert manifest[name] == original[name]
    card = changed.models / "recommender" / str(changed.version) / "MODEL_CARD.md"
    assert "removed" in card.read_text()


def test_versions_are_kept_as_an_export_keeps_them(changed: Changed) -> None:
    for name in SERVABLES:
        found = versions(str(changed.models), name)
        assert len(found) == 3  # [export] keep_versions.
        assert found[-1] == changed.version


def test_a_new_item_is_found_by_its_text(changed: Changed) -> None:
    for taste, words in enumerate(changed.job.planted.words):
        text = f"{words[0]} {words[1]}. {words[2]}"
        for model in (changed.after, changed.retrieval):
            found = ask(model, "search", text=[text])["item_id"][0].tolist()
            assert (f"new {taste}" in found[:5]) == (taste != 1)


def test_a_new_item_is_recommended_to_those_of_its_taste(changed: Changed) -> None:
    planted, everyone = changed.job.planted, list(changed.prepared.user_ids[1:])
    inputs = with_history(everyone, k=150)
    found = ask(changed.retrieval, "with_history", **inputs)["item_id"]
    place: dict[bool, list[int]] = {True: [], False: []}
    for user, items in zip(everyone, found.tolist(), strict=True):
        for taste in (0, 2, 3):
            assert f"new {taste}" in items
            own = planted.user_taste[user] == taste
            place[own].append(items.index(f"new {taste}"))
    assert np.median(place[True]) < np.median(place[False])


@pytest.mark.parametrize("signature", ["search", "similar_items", "with_history"])
def test_what_was_removed_is_never_shown(changed: Changed, signature: str) -> None:
    everyone = [*changed.prepared.user_ids[1:], NOBODY]
    inputs: dict[str, Any] = {
        "search": {"text": list(changed.prepared.texts[1:])},
        "similar_items": {"item_id": [*changed.prepared.item_ids[1:], "new 1"]},
        "with_history": with_history(everyone, k=150),
    }[signature]
    gone = {"new 1", changed.popular, changed.taken_off}
    for model in (changed.after, changed.retrieval):
        assert not gone & set(ask(model, signature, **inputs)["item_id"].ravel())
    before = ask(changed.before, signature, **{**inputs})
    assert changed.popular in before["item_id"]


def test_what_was_removed_cannot_be_boosted(changed: Changed) -> None:
    lists = {"boost": [["new 1", changed.popular, "new 0"]], "bury": [[""]]}
    inputs = {**with_history([NOBODY]), **lists, "time": [0], "device": [""]}
    found = ask(changed.after, "with_context", **inputs)["item_id"][0].tolist()
    assert found[0] == "new 0"
    assert not {"new 1", changed.popular} & set(found)


def test_a_history_of_removed_items_is_read(changed: Changed) -> None:
    """The first stage's scores, which no other item has a part in."""
    place = changed.job.models / "retrieval" / str(changed.job.version)
    models = (tf.saved_model.load(str(place)), changed.retrieval)
    inputs = with_history([NOBODY], history=[[changed.popular]], k=100)
    before, after = (
        dict(zip(found["item_id"][0], found["score"][0], strict=True))
        for found in (ask(model, "with_history", **inputs) for model in models)
    )
    shared = set(before) & set(after) - {"", changed.renamed}
    assert len(shared) > 40
    for item in shared:
        assert abs(before[item] - after[item]) < 1e-4
    nothing = ask(changed.retrieval, "with_history", **with_history([NOBODY]))
    assert nothing["item_id"][0].tolist() != list(after)[:10]


def test_descriptions(changed: Changed) -> None:
    ids = [[changed.renamed, "new 0", "new 1", changed.popular]]
    found = ask(changed.after, "describe", item_id=ids)
    words = changed.job.planted.words
    title = ask(changed.before, "describe", item_id=ids)["title"][0]
    assert found["title"][0].tolist() == [
        RENAMED,
        " ".join(words[0][:2]),
        " ".join(words[1][:2]),
        title[3],
    ]
    assert found["year"][0, :2].tolist() == ["1999", "1999"]


def test_ranking_knows_new_items(changed: Changed) -> None:
    place = changed.models / "ranking" / str(changed.version)
    model = tf.saved_model.load(str(place))
    items = [["new 0", "new 2", "no such item"]]
    user = [str(changed.prepared.user_ids[1])]
    score = ask(model, "serving_default", user_id=user, item_id=items)["score"][0]
    assert (score[:2] > -100).all()
    assert score[2] == PADDING


def variables_of(models: Path, version: int) -> dict[str, np.ndarray]:
    path = models / "recommender" / str(version) / "variables" / "variables"
    reader = tf.train.load_checkpoint(str(path))
    names = [n for n in reader.get_variable_to_shape_map() if n.endswith("_VALUE")]
    return {name: reader.get_tensor(name) for name in names}


def test_no_weight_has_changed(changed: Changed) -> None:
    """Of tables of items the rows that were there are the same, too."""
    job, rows = changed.job, list(changed.prepared.item_ids)
    before = variables_of(job.models, job.version)
    after = variables_of(changed.models, changed.version)
    touched = [
        rows.index(i) for i in (changed.popular, changed.renamed, changed.taken_off)
    ]
    others = np.delete(np.arange(len(rows)), touched)
    # Of the whole catalogue at once, or of items that have changed since.
    of_catalogue = ("/index/", "/prior/", "/servable/", "/references/")
    compared = 0
    for name, old in before.items():
        # Optimizers are of training; seeds of dropout are drawn when a BERT is loaded.
        is_seed = old.shape == (2,) and old.dtype.kind == "i"
        if is_seed or "optimizer" in name or any(n in name for n in of_catalogue):
            continue
        new, compared = after[name], compared + 1
        if (
            old.shape != new.shape or "index_vectors" in name
        ):  # An index has spare rows.
            assert len(old) >= len(rows)
            old, new = old[others], new[others]
        if old.dtype.kind == "f":
            np.testing.assert_allclose(new, old, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(new, old, err_msg=name)
    assert compared > 30


def test_the_evaluated_fit_is_read_back_too(evaluated: EvaluatedJob) -> None:
    exported = Exported(str(evaluated.models), evaluated.version)
    fitted = restored(exported, exported.prepared())
    parts = evaluated.experiment.fitted
    for old, new in (
        (parts.retrieval.model, fitted.retrieval),
        (parts.ranking.model, fitted.ranking),
    ):
        assert len(old.trainable_variables) == len(new.trainable_variables) > 10
        for one, other in zip(
            old.trainable_variables, new.trainable_variables, strict=True
        ):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
    boost = [
        m.query_tower.trend_boost.numpy()
        for m in (parts.retrieval.model, fitted.retrieval)
    ]
    np.testing.assert_array_equal(*boost)
    assert fitted.ranking.trust.numpy() == parts.ranking.model.trust.numpy()
    np.testing.assert_allclose(
        fitted.affinity.asked, parts.ranking.inputs.affinity.asked, atol=1e-6
    )
    known = evaluated.manifest("recommender")["data"]
    assert (len(fitted.log), fitted.end_time) == (
        known["events_known"],
        known["end_time"],
    )


def test_the_same_again_is_nothing_to_do(
    untouched: Changed, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = untouched.out.parent / "gone.csv"
    assert run_trainer("remove-items", gone, "--model", untouched.models) == 0
    assert f"version {untouched.version} holds all" in capsys.readouterr().out


def test_the_next_export_keeps_the_changes(
    untouched: Changed, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports: list[Any] = []

    def keep(fitted: Any, *_: Any, **__: Any) -> int:
        exports.append(fitted)
        return 1

    monkeypatch.setattr("trainer.stages.deliver.export", keep)
    toml = untouched.job.planted.toml
    assert run_trainer("train", toml, "--out", untouched.out) == 0
    assert not exports  # Nothing has changed since.
    assert run_trainer("export", toml, "--out", untouched.out) == 0
    (fitted,) = exports
    changes = Exported.newest(str(untouched.models)).changes
    assert fitted.changes == changes
    assert fitted.prepared.item_ids[-1] == "new 3"
    exported = Exported.newest(str(untouched.models))
    other = restored(exported, exported.prepared())
    one, two = (
        m.retrieval.item_vectors(len(untouched.prepared.servable) - 1)
        for m in (fitted, other)
    )
    same = untouched.prepared.item_ids != untouched.renamed
    np.testing.assert_allclose(one[same], two[same], atol=1e-6)


def test_another_data_set_takes_over_what_it_does_not_list(
    untouched: Changed, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = {**untouched.prepared.manifest, "fingerprint": "another"}
    later = Prepared(untouched.prepared.folder, manifest)
    kept = standing_changes(str(untouched.models), later)
    tastes = untouched.job.planted.plan.num_tastes
    new = {f"new {taste}" for taste in range(tastes)}
    assert set(kept.by_id) == {*new, untouched.popular}
    assert kept.by_id[untouched.popular].removed
    assert "have the last word" in capsys.readouterr().out.replace("has", "have")


def test_an_interrupted_publication_changes_nothing(
    untouched: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(servable: Any, folder: str, *_: Any) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "saved_model.pb").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting.tf.saved_model, "save", save)
    place = write_rows(tmp_path, "new.csv", [{"item_id": "late"}])
    assert run_trainer("add-items", place, "--model", untouched.models) == 130
    assert "late" not in Exported.newest(str(untouched.models)).changes.by_id


def test_a_refused_index_is_not_published(
    untouched: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> dict[str, Any]:
        raise GateRefused("too little is found")

    monkeypatch.setattr(exporting, "checked", refuse)
    place = write_rows(tmp_path, "new.csv", [{"item_id": "late"}])
    assert run_trainer("add-items", place, "--model", untouched.models) == 3


def refusal(
    capsys: pytest.CaptureFixture[str], command: str, place: Path, model: Path
) -> str:
    """Return what is said of a mistake: one message on standard error, no trace."""
    capsys.readouterr()
    assert run_trainer(command, place, "--model", model) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_mistakes(
    untouched: Changed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, rows = untouched.models, [{"item_id": "a", "year": "soon"}]
    place = write_rows(tmp_path, "new.csv", rows)
    said = refusal(capsys, "add-items", place, models)
    assert "new.csv, column 'year'" in said
    assert "(row 1): found 'soon'" in said
    place = write_rows(tmp_path, "gone.csv", [{"item_id": "nobody's"}])
    said = refusal(capsys, "remove-items", place, models)
    assert 'found "nobody\'s", expected an item of the catalogue' in said
    everything = [{"item_id": i} for i in untouched.prepared.item_ids[1:]]
    tastes = untouched.job.planted.plan.num_tastes
    everything += [{"item_id": f"new {taste}"} for taste in range(tastes)]
    place = write_rows(tmp_path, "all.csv", everything)
    said = refusal(capsys, "remove-items", place, models)
    assert "no item would be left to recommend" in said
    said = refusal(capsys, "add-items", tmp_path / "absent.csv", models)
    assert "absent.csv: no such file" in said
    said = refusal(capsys, "add-items", place, tmp_path)
    assert "expected the models as an export leaves them" in said
    said = refusal(capsys, "add-items", place, tmp_path / "nowhere")
    assert "no such folder" in said


@pytest.mark.parametrize(
    ("folder", "said"), [("data", "no prepared data set"), ("runs", "no such file")]
)
def test_what_is_no_longer_there(
    changed: Changed,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    folder: str,
    said: str,
) -> None:
    place = write_rows(tmp_path, "new.csv", [{"item_id": "late"}])
    (changed.out / folder).rename(tmp_path / folder)
    try:
        assert said in refusal(capsys, "add-items", place, changed.models)
    finally:
        (tmp_path / folder).rename(changed.out / folder)


def test_another_data_set_beside_the_models(
    changed: Changed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_rows(tmp_path, "new.csv", [{"item_id": "late"}])
    manifest = changed.out / "data" / "manifest.json"
    before = manifest.read_text()
    manifest.write_text(json.dumps({**json.loads(before), "fingerprint": "other"}))
    try:
        said = refusal(capsys, "add-items", place, changed.models)
    finally:
        manifest.write_text(before)
    assert "data set other, expected" in said
