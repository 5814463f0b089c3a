"""A fit begins with earlier weights: whose rows are which, and which it may know."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from data import files
from data.events import Stretch
from data.features import FeatureSet, Numeric
from data.planted import Planted
from data.prepare import prepare
from data.prepared import Prepared
from data.schema import data_config
from data.settings import read_toml
from tests.trainer.object_store import ObjectStore
from trainer.config import (
    ExperimentConfig,
    RankingConfig,
    RetrievalConfig,
    TextConfig,
    WarmStartConfig,
)
from trainer.errors import ExportError, TrainingError
from trainer.evaluation.evaluate import mean_ndcg_of
from trainer.evaluation.scorers import RetrievalScorer
from trainer.experiment import Experiment
from trainer.export.publish import PUBLISHED, SERVABLES
from trainer.fitting.boost import COARSE
from trainer.fitting.carried import (
    carry,
    digest_of,
    grown_rows,
    ids_of,
    named_weights,
    restandardised,
)
from trainer.fitting.fitter import Fitter
from trainer.fitting.learned import LEARNED, Learned
from trainer.fitting.loop import Fit, Schedule
from trainer.fitting.questions import Questions
from trainer.fitting.warm_start import WarmStart
from trainer.models.retrieval import RetrievalModel
from trainer.runs import Run
from trainer.stages.fit import fit_retrieval

DAY = 86_400
# A fit takes a step of all events that there are.
SMALL = {"dim": 8, "blocks": 1, "history_length": 5, "batch_size": 4096}
ids = st.lists(st.text(min_size=1, max_size=4), unique=True, max_size=12)


@pytest.fixture(scope="module", autouse=True)
def eagerly() -> Iterator[None]:
    """Run the few calls of each model as they come, in less time than they trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_new_values_of_a_list_begin_in_the_middle() -> None:
    table = np.array([[9, 9], [1, 3], [3, 5]], np.float32)
    found = grown_rows(table, ["a", "b"], ["b", "c"], unknown=table[1:].mean(axis=0))
    assert found.tolist() == [[9, 9], [3, 5], [2, 4]]


@given(ids, ids, st.randoms(use_true_random=False))
def test_rows_follow_their_ids(before: list[str], more: list[str], random) -> None:  # type: ignore[no-untyped-def]
    """Whatever order the ids come in, each has its own row; new ones the unknown's."""
    now = list(dict.fromkeys([*before, *more]))
    random.shuffle(now)
    table = np.arange(2 * len(before) + 2, dtype=np.float32).reshape(-1, 2)
    found = grown_rows(table, before, now)
    np.testing.assert_array_equal(found[0], table[0])
    for row, name in enumerate(now, 1):
        old = before.index(name) + 1 if name in before else 0
        np.testing.assert_array_equal(found[row], table[old])
    # What left and comes back is new; what stayed comes back as it was.
    back = grown_rows(found, now, before)
    np.testing.assert_array_equal(back, table)


moments = st.tuples(st.floats(-1e3, 1e3), st.floats(0.1, 1e3))


@given(moments, moments, st.floats(-1, 1))
def test_a_number_means_what_it_meant(
    old: tuple[float, float], new: tuple[float, float], place: float
) -> None:
    before, now = (Numeric(name="x", mean=m, deviation=d) for m, d in (old, new))
    number = old[0] + place * old[1]
    kernel = np.array([[0.7, -1.3], [0.2, 0.4]], np.float32)
    grown = restandardised(kernel, before, now).astype(np.float64)
    said = [
        np.array([(number - f.mean) / f.deviation, 1.0]) @ k
        for f, k in ((before, kernel), (now, grown))
    ]
    scale = 1 + abs(number - now.mean) / old[1]
    np.testing.assert_allclose(said[0], said[1], atol=1e-5 * scale)


def small(prepared: Prepared, **fields: object) -> ExperimentConfig:
    return ExperimentConfig(
        data=prepared.config,
        text=TextConfig(preset=""),
        retrieval=RetrievalConfig(**{**SMALL, **fields}),  # type: ignore[arg-type]
        ranking=RankingConfig(dim=8, mlp=(8,), cross_rank=4, affinity_dim=4),
    )


def model_of(prepared: Prepared, stretch: Stretch, **fields: object) -> RetrievalModel:
    """Make a retrieval model of initial weights."""
    config, log = small(prepared, **fields), stretch.of(prepared.events)
    model = RetrievalModel(
        prepared=prepared,
        log=log,
        texts=None,
        config=config.retrieval,
        train=config.train,
    )
    batches = Fitter(prepared, config, "")._windows(log, stretch)
    model.compute_loss(batches.sample())
    return model


@pytest.fixture(scope="module")
def earlier(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Prepare what there was before: fewer events, users, items and regions."""
    return earlier_set(planted, tmp_path_factory.mktemp("earlier"), region="west")


def earlier_set(planted: Planted, folder: Path, **without: str) -> Prepared:
    """Prepare what there was before, without some values of some columns."""
    come_later: list[str] = []
    for name in ("items", "users", "interactions"):
        path = planted.toml.parent / f"{name}.csv"
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        if name == "interactions":
            frame = frame[frame.timestamp.astype(int) < _time(frame, 0.85)]
            frame = frame[~frame.item_id.isin(come_later)]
            frame = frame[~frame.user_id.isin(come_later)]
        else:  # Others come first now, so that all rows move.
            come_later += frame.iloc[: len(frame) // 6, 0].tolist()
            frame = frame.iloc[len(frame) // 6 :]
        for column in without.keys() & set(frame):
            frame[column] = frame[column].str.replace(without[column], "")
        frame.to_csv(folder / path.name, index=False)
    toml = folder / planted.toml.name
    toml.write_text(planted.toml.read_text())
    config = data_config(read_toml(toml), toml)
    return prepare(config, toml, str(folder / "data"))


def _time(frame: pd.DataFrame, share: float) -> int:
    return int(frame.timestamp.astype(int).quantile(share))


@pytest.fixture(scope="module")
def champion(earlier: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """Fit retrieval on what there was before. Out: what the fit left."""
    folder = tmp_path_factory.mktemp("champion")
    stage = {"folder": str(folder / "fit"), "logs": str(folder / "logs")}
    fitter = Fitter(earlier, small(earlier), str(folder))
    fitter.retrieval(earlier.training(), stage, "Training", epochs=1)
    learned = Learned.read(stage["folder"])
    assert learned is not None
    return learned


@pytest.fixture(scope="module")
def before(earlier: Prepared, champion: Learned) -> RetrievalModel:
    """Return the champion itself."""
    model = model_of(earlier, earlier.training())
    path = files.join(champion.folder, "best", "weights")
    tf.train.Checkpoint(model=model).read(path).expect_partial()
    assert digest_of(model) == champion.weights
    return model


@pytest.fixture(scope="module")
def grown(prepared: Prepared, champion: Learned) -> RetrievalModel:
    """Make a model of the grown data set with the champion's weights."""
    model = model_of(prepared, prepared.training())
    own = ids_of(model, prepared)
    assert carry(model, champion, own, prepared.features) == []
    return model


def test_what_the_fit_left_names_its_rows(
    earlier: Prepared, champion: Learned, before: RetrievalModel
) -> None:
    log = earlier.training().of(earlier.events)
    for group, raw, row in (
        ("items", earlier.item_ids, log.item),
        ("users", earlier.user_ids, log.user),
    ):
        assert set(champion.ids[group]) == {str(raw[r]) for r in np.unique(row)}
    assert champion.end == log.time.max() + 1 < champion.chosen
    assert champion.start == ""
    assert champion.epochs == 1
    assert set(champion.names) == set(named_weights(before))


def test_known_items_and_users_keep_their_vectors(
    earlier: Prepared,
    prepared: Prepared,
    champion: Learned,
    before: RetrievalModel,
    grown: RetrievalModel,
) -> None:
    """Before any step, by raw id: of what did not change, the very vectors."""
    assert prepared.num_items > earlier.num_items
    assert prepared.num_users > earlier.num_users
    found = grown.item_vectors(prepared.num_items)
    told = before.item_vectors(earlier.num_items)
    # Numbers are clipped at five deviations, and those have changed.
    year, moved = earlier.item_features["year"], 0
    for name in champion.ids["items"]:
        row, now = (place(p.item_ids, name) for p in (earlier, prepared))
        if year[row, 1]:
            moved += row != now
            np.testing.assert_allclose(found[now], told[row], atol=1e-5)
    assert moved > 20
    assert earlier.features.items[1] != prepared.features.items[1]
    users, were = (
        m.user_vectors(p.num_users) for m, p in ((grown, prepared), (before, earlier))
    )
    codes = earlier.user_features["region"]
    moved = 0
    for name in champion.ids["users"]:
        row, now = (place(p.user_ids, name) for p in (earlier, prepared))
        moved += row != now
        if codes[row]:
            np.testing.assert_array_equal(users[now], were[row])
    assert moved > 20


def test_each_member_goes_on_with_its_own(
    earlier: Prepared, prepared: Prepared, tmp_path: Path
) -> None:
    stage = {"folder": str(tmp_path / "fit"), "logs": str(tmp_path / "logs")}
    fitter = Fitter(earlier, small(earlier, members=2), str(tmp_path))
    before, _ = fitter.retrieval(earlier.training(), stage, "Training", epochs=1)
    learned = Learned.read(stage["folder"])
    assert learned is not None
    model = model_of(prepared, prepared.training(), members=2)
    own = ids_of(model, prepared)
    assert carry(model, learned, own, prepared.features) == []
    found = model.item_vectors(prepared.num_items)
    told = before.item_vectors(earlier.num_items)
    assert np.abs(told[:, :8] - told[:, 8:]).max() > 0.01
    known = [n for n in learned.ids["items"] if n in set(own["items"])]
    rows = np.array([place(earlier.item_ids, name) for name in known])
    now = np.array([place(prepared.item_ids, name) for name in known])
    there = earlier.item_features["year"][rows, 1] > 0
    np.testing.assert_allclose(found[now[there]], told[rows[there]], atol=1e-5)
    alone = model_of(prepared, prepared.training())
    wrong = carry(alone, learned, own, prepared.features)
    assert any("is gone" in phrase for phrase in wrong)


def place(ids: np.ndarray, name: str) -> int:
    return int(np.flatnonzero(ids == name)[0])


def test_new_ids_begin_as_unknown_ones(
    prepared: Prepared, champion: Learned, before: RetrievalModel, grown: RetrievalModel
) -> None:
    own = ids_of(grown, prepared)
    for group, tower in (("items", "item_tower"), ("users", "query_tower")):
        tables = [getattr(m, tower).ids.embeddings.numpy() for m in (before, grown)]
        known = np.isin(own[group], champion.ids[group])
        assert 0 < (~known).sum() < len(known)
        np.testing.assert_array_equal(tables[0][0], tables[1][0])
        for row in tables[1][1:][~known]:
            np.testing.assert_array_equal(row, tables[0][0])
        assert not (tables[1][1:][known] == tables[0][0]).all(axis=1).any()
    regions = [m.query_tower.features.tables["region"] for m in (before, grown)]
    was, now = (r.embeddings.numpy() for r in regions)
    assert len(now) == len(was) + 1
    row = prepared.features.users[0].vocabulary.index("west") + 1  # type: ignore[union-attr]
    np.testing.assert_array_equal(now[row], was[0])


def test_on_the_same_data_nothing_changes_before_a_step(
    earlier: Prepared, champion: Learned, before: RetrievalModel
) -> None:
    model = model_of(earlier, earlier.training())
    assert digest_of(model) != champion.weights
    own = ids_of(model, earlier)
    assert own == dict(champion.ids)
    assert carry(model, champion, own, earlier.features) == []
    assert digest_of(model) == champion.weights
    vectors = [m.item_vectors(earlier.num_items) for m in (before, model)]
    np.testing.assert_array_equal(*vectors)
    asked = (
        *(tf.constant(x) for x in ([1, 2], [[3, 4, 0], [5, 0, 0]])),
        *(tf.constant(x, tf.int64) for x in ([9 * DAY, 8 * DAY], [7 * DAY, 5])),
    )
    queries = [
        m.encode_queries(tf.constant(v), *asked).numpy()
        for m, v in zip((before, model), vectors, strict=True)
    ]
    np.testing.assert_array_equal(*queries)


def test_a_warm_fit_says_what_it_began_with(
    prepared: Prepared, champion: Learned, tmp_path: Path
) -> None:
    config = small(prepared)
    config = replace(config, warm_start=WarmStartConfig(learning_rate=1e-9))
    stage = {"folder": str(tmp_path / "fit"), "logs": str(tmp_path / "logs")}
    fitter = Fitter(prepared, config, str(tmp_path))
    model, fit = fitter.retrieval(
        prepared.training(), stage, "Training", epochs=1, start=champion
    )
    assert len(fit.curve) == 1
    start = model_of(prepared, prepared.training())
    carry(start, champion, ids_of(start, prepared), prepared.features)
    for old, new in zip(
        named_weights(start).values(), named_weights(model).values(), strict=True
    ):
        np.testing.assert_allclose(old, new, atol=1e-5)
    learned = Learned.read(stage["folder"])
    assert learned is not None
    assert learned.start == champion.weights
    assert learned.epochs == champion.epochs  # Of the fit from scratch.
    assert learned.end > champion.end


@pytest.fixture
def schedules(monkeypatch: pytest.MonkeyPatch) -> list[Schedule]:
    """Fit nothing. Out: what the fits would have lasted."""
    found: list[Schedule] = []

    def fit(model: object, batches: object, schedule: Schedule, **_: object) -> Fit:
        found.append(schedule)
        return Fit(monitor="none", best_epoch=2)

    monkeypatch.setattr("trainer.fitting.fitter.fit", fit)
    return found


def test_a_warm_fit_is_short(
    prepared: Prepared, champion: Learned, tmp_path: Path, schedules: list[Schedule]
) -> None:
    warm = WarmStartConfig(epochs=4, patience=3, learning_rate=0.25)
    config = replace(small(prepared), warm_start=warm)
    fitter = Fitter(prepared, config, str(tmp_path))
    for start in (None, champion):
        name = str(tmp_path / f"{start is None}")
        stage = {"folder": name, "logs": name}
        fitter.retrieval(prepared.training(), stage, "Training", start=start)
    scratch, begun = schedules
    assert scratch.epochs == config.retrieval.epochs
    assert scratch.learning_rate == config.retrieval.learning_rate
    assert (begun.epochs, begun.patience) == (4, 3)
    assert begun.learning_rate == 0.25 * scratch.learning_rate


@pytest.mark.parametrize("horizon", [0, 30])
def test_an_epoch_is_judged_by_what_the_evaluation_asks(
    prepared: Prepared, tmp_path: Path, schedules: list[Schedule], horizon: int
) -> None:
    """Whatever the model is taught, a split by time asks for what comes later."""
    fitter = Fitter(prepared, small(prepared, horizon=horizon), str(tmp_path))
    stage = {"folder": str(tmp_path), "logs": str(tmp_path)}
    model, _ = fitter.retrieval(prepared.training(), stage, "Training")
    (schedule,) = schedules
    events = prepared.events
    queries = Questions.of(prepared, 2_000, 0).queries(events)
    found = []
    for boost in COARSE:
        model.boost_trend(boost)
        scorer = RetrievalScorer(model, prepared, events, counted=prepared.counted)
        found.append(mean_ndcg_of(prepared, queries, scorer, "retrieval"))
    assert schedule.validate is not None
    assert schedule.validate() == pytest.approx(max(found))


@pytest.mark.parametrize(
    ("warm", "began", "epochs"),
    [(True, "some weights", 1), (True, "", 7), (False, "", 7)],
)
def test_the_fit_that_chooses_negatives_goes_on_for_an_epoch(
    prepared: Prepared,
    champion: Learned,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warm: bool,
    began: str,
    epochs: int,
) -> None:
    """In: whether there are earlier weights, and whether the evaluated fit took any."""
    asked: list[int | None] = []

    def retrieval(*_: object, epochs: int | None, **__: object) -> tuple[None, Fit]:
        asked.append(epochs)
        raise KeyboardInterrupt

    monkeypatch.setattr(Fitter, "retrieval", retrieval)
    experiment = Experiment(
        config=small(prepared), path=tmp_path / "e.toml", out=str(tmp_path)
    )
    start = WarmStart("models", {"retrieval": (champion,)}, WarmStartConfig())
    # What the experiment would read from disk.
    experiment.__dict__.update(prepared=prepared, start=start if warm else None)
    with pytest.raises(KeyboardInterrupt):
        fit_retrieval(
            experiment,
            Fitter(prepared, experiment.config, str(tmp_path)),
            prepared.training(),
            "Training",
            epochs=3,
            warm_epochs=1,
            like=replace(champion, epochs=7, start=began),
        )
    assert asked == [epochs]


@pytest.mark.parametrize("otherwise", ["scratch", "refuse"])
def test_a_model_of_another_shape(
    prepared: Prepared,
    champion: Learned,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    schedules: list[Schedule],
    otherwise: str,
) -> None:
    config = small(prepared, dim=16)
    warm = WarmStartConfig(otherwise=otherwise)  # type: ignore[arg-type]
    fitter = Fitter(prepared, replace(config, warm_start=warm), str(tmp_path))
    stage = {"folder": str(tmp_path / "fit"), "logs": str(tmp_path / "logs")}

    def fit() -> None:
        fitter.retrieval(
            prepared.training(), stage, "Training", epochs=1, start=champion
        )

    if otherwise == "refuse":
        with pytest.raises(TrainingError, match=r"\[retrieval\] dim is 16, was 8"):
            fit()
        return
    fit()
    told = " ".join(capsys.readouterr().out.split())
    assert "From scratch" in told
    assert "[retrieval] dim is 16, was 8" in told
    learned = Learned.read(stage["folder"])
    assert learned is not None
    assert (learned.start, learned.epochs) == ("", 2)
    assert schedules[0].learning_rate == config.retrieval.learning_rate


def test_a_vocabulary_that_widens_its_embedding_does_not_fit(
    planted: Planted, champion: Learned, prepared: Prepared, tmp_path: Path
) -> None:
    fewer = earlier_set(planted, tmp_path, genres="comedy")
    model = model_of(fewer, fewer.training())
    untouched = digest_of(model)
    wrong = carry(model, champion, ids_of(model, fewer), fewer.features)
    told = "items: column 'genres' has 4 values by now, whose vectors are 4 wide"
    assert wrong[0].startswith(told)
    assert digest_of(model) == untouched


def test_other_columns(champion: Learned, prepared: Prepared) -> None:
    features, none = prepared.features, FeatureSet()
    assert champion.differences({}, features) == []
    found = champion.differences({}, none)
    assert "items: column 'genres' is gone" in found
    assert "text columns are [], were ['title', 'blurb']" in found
    found = replace(champion, features=none).differences({}, features)
    assert "users: column 'region' is new" in found
    moved = replace(features, items=features.items[::-1])
    assert ["in the order" in x for x in champion.differences({}, moved)] == [True]


def test_other_weights_than_were_left(
    champion: Learned, prepared: Prepared, grown: RetrievalModel
) -> None:
    other = replace(champion, weights="0" * 16)
    untouched = digest_of(grown)
    with pytest.raises(TrainingError, match=r"other weights than .* was left with"):
        carry(grown, other, ids_of(grown, prepared), prepared.features)
    gone = replace(champion, folder="/nowhere")
    with pytest.raises(TrainingError, match=r"no checkpoint that can be read"):
        carry(grown, gone, ids_of(grown, prepared), prepared.features)
    assert digest_of(grown) == untouched


def left(end: int, chosen: int, name: str = "fit") -> Learned:
    return Learned(
        folder=name,
        end=end,
        chosen=chosen,
        epochs=9,
        tables={},
        ids={},
        features=FeatureSet(),
        names=[],
        weights=f"{end}",
    )


def timed(prepared: Prepared) -> tuple[int, int, int]:
    cuts = prepared.manifest["split"]["cuts"]
    return int(cuts[0]), int(cuts[1]), prepared.end_time


@pytest.mark.parametrize(
    ("ends", "chosen"),
    [
        ((0, -1, -2), "refit"),  # The new data begin after all that it knows.
        ((1, 0, -2), "evaluation"),  # The refit knows an event of the new validation.
        ((9, 1, -2), "early"),
        ((9, 2, 1), None),
    ],
)
def test_no_fit_begins_with_what_it_is_asked_for(
    prepared: Prepared, ends: tuple[int, int, int], chosen: str | None
) -> None:
    """Ends are told from the beginning of the new validation part, in seconds."""
    validation, test, end_time = timed(prepared)
    names = ("refit", "evaluation", "early")
    fits = {n: left(validation + e, test, n) for n, e in zip(names, ends, strict=True)}
    start = WarmStart("models", {"retrieval": tuple(fits.values())}, WarmStartConfig())
    found = start.choose("retrieval", prepared, end=validation)
    assert (found and found.folder) == chosen
    # What is not evaluated may begin with all that there is.
    refit = start.choose("retrieval", prepared, end=end_time, refit=True)
    assert refit is fits["refit"]


def test_the_test_part_has_chosen_nothing(prepared: Prepared) -> None:
    validation, test, _ = timed(prepared)
    for chosen, usable in ((test, True), (test + 1, False)):
        fits = {"ranking": (left(validation, chosen),)}
        start = WarmStart("models", fits, WarmStartConfig())  # type: ignore[arg-type]
        found = start.choose("ranking", prepared, end=validation)
        assert (found is not None) == usable
    refusing = replace(start, config=WarmStartConfig(otherwise="refuse"))
    with pytest.raises(TrainingError, match=r"but the test part begins \d{4}-"):
        refusing.choose("ranking", prepared, end=validation)
    with pytest.raises(TrainingError, match=r"holds no fit of retrieval"):
        refusing.choose("retrieval", prepared, end=validation)


def test_where_no_time_parts_the_events(prepared: Prepared) -> None:
    split = {**prepared.manifest["split"], "cuts": None}
    untimed = Prepared(prepared.folder, {**prepared.manifest, "split": split})
    fits = {"ranking": (left(0, 0),)}
    refuse = WarmStartConfig(otherwise="refuse")
    start = WarmStart("models", fits, refuse)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="parts no times"):
        start.choose("ranking", untimed, end=10)


def write_run(root: Path, name: str, stages: dict[str, object]) -> None:
    files.write_json(root / name / "metrics.json", {"stages": stages})


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Write what a job leaves: versions that name runs, each with its fits."""
    runs = tmp_path / "runs"
    write_run(runs, "refit-1", {"retrieval": {"run": "r-3"}, "ranking": {}})
    early = {"run": "r-2", "early_run": "r-1"}
    write_run(runs, "evaluation-1", {"retrieval": early, "ranking": {}})
    for n, run in enumerate(("r-1", "r-2", "r-3"), 1):
        place = runs / run / "checkpoints" / "retrieval"
        replace(left(n, n), folder=str(place)).write()
    for n, run in enumerate(("evaluation-1", "refit-1"), 2):
        place = runs / run / "checkpoints" / "ranking"
        replace(left(n, n), folder=str(place)).write()
    for version in (7, 8):
        for name in ("ranking", "recommender", "retrieval"):
            named = {"evaluation": "evaluation-1", "refit": "refit-1"}
            place = tmp_path / "models" / name / str(version) / "manifest.json"
            files.write_json(place, {"runs": named})
    return tmp_path


def test_the_fits_behind_published_models(published: Path) -> None:
    places = ("models", "", "models/recommender", "models/recommender/7")
    for place in places:
        start = WarmStart.of(str(published / place), WarmStartConfig())
        assert start is not None
        found = {k: [x.end for x in v] for k, v in start.sources.items()}
        assert found == {"retrieval": [3, 2, 1], "ranking": [3, 2]}
    one = WarmStart.of(str(published / "runs" / "evaluation-1"), WarmStartConfig())
    assert one is not None
    assert [x.end for x in one.sources["retrieval"]] == [2, 1]


def test_the_fits_behind_models_in_a_bucket(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where versions lie in a folder of their own below their servable."""
    store = ObjectStore()
    for path in published.rglob("*.json"):
        name = path.relative_to(published).as_posix()
        name = re.sub(r"(?<=/)(?=[78]/manifest)", "versions/", name)
        store.objects[f"gs://bucket/out/{name}"] = path.read_bytes()
    for version in (7, 8):
        record = f"gs://bucket/out/models/{PUBLISHED}/{version}.json"
        store.objects[record] = json.dumps({"servables": SERVABLES}).encode()
    monkeypatch.setattr(files, "_gfile", lambda: store)
    below = "models/recommender/versions"
    for place in ("", "/models", f"/{below}", f"/{below}/7", f"/{below}/7/"):
        start = WarmStart.of(f"gs://bucket/out{place}", WarmStartConfig())
        assert start is not None
        assert [x.end for x in start.sources["retrieval"]] == [3, 2, 1]


def test_what_holds_no_earlier_fit(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportError, match="no such folder"):
        WarmStart.of(str(published / "elsewhere"), WarmStartConfig())
    for place in published.rglob(LEARNED):
        place.unlink()
    models = str(published / "models")
    assert WarmStart.of(models, WarmStartConfig()) is None
    assert "an earlier release" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(TrainingError, match="an earlier release"):
        WarmStart.of(models, WarmStartConfig(otherwise="refuse"))
    (published / "runs" / "refit-1" / "metrics.json").unlink()
    with pytest.raises(ExportError, match=r"metrics\.json: no such file"):
        WarmStart.of(models, WarmStartConfig())


def test_a_run_s_name_tells_what_it_began_with(
    published: Path, prepared: Prepared
) -> None:
    config = small(prepared)
    start = WarmStart.of(str(published), config.warm_start)
    assert start is not None

    def name(kind: Callable[..., Run], *args: object, **fields: object) -> str:
        return kind("out", *args, prepared, config, **fields).id

    cold = name(Run.of, "evaluation")
    assert name(Run.of, "evaluation", start="") == cold
    assert name(Run.of, "evaluation", start=start.fingerprint) != cold
    weights = replace(start.sources["ranking"][0], weights="other")
    other = replace(start, sources={**start.sources, "ranking": (weights,)})
    assert other.fingerprint != start.fingerprint
    longer = replace(start, config=WarmStartConfig(epochs=9))
    assert longer.fingerprint != start.fingerprint
    stretch = {"stretch": Stretch(end=5), "epochs": 2}
    one = name(Run.of_retrieval, **stretch)
    assert name(Run.of_retrieval, **stretch, start="") == one
    assert name(Run.of_retrieval, **stretch, start="x") != one
