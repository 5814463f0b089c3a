"""What happens later changes nothing about an earlier event's features."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.events import TEST, TRAIN, VALIDATION
from data.planted import Planted, write_planted
from data.prepare import prepare
from data.prepared import Prepared
from data.schema import data_config
from data.settings import read_toml

LENGTH = 10


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("small"), num_users=60)


@pytest.fixture(scope="module")
def original(small: Planted, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return _prepare(small.folder, tmp_path_factory.mktemp("prepared") / "data")


def _prepare(folder: Path, out: Path, *overrides: str) -> Prepared:
    toml = folder / "planted.toml"
    return prepare(data_config(read_toml(toml, overrides), toml), toml, str(out))


def _perturb(source: Path, folder: Path, moment: int, seed: int) -> None:
    """Copy a data set with everything but ids and times drawn anew from a moment on."""
    shutil.copytree(source, folder)
    rng = np.random.default_rng(seed)
    events = pd.read_csv(folder / "interactions.csv", dtype=str)
    items = pd.read_csv(folder / "items.csv", dtype=str)["item_id"]
    later = events["timestamp"].astype(int).to_numpy() >= moment
    size = int(later.sum())
    events.loc[later, "item_id"] = rng.choice(items.to_numpy(object), size)
    events.loc[later, "rating"] = rng.choice(["1", "5", ""], size)
    events.loc[later, "device"] = rng.choice(["phone", "watch", ""], size)
    events.to_csv(folder / "interactions.csv", index=False)


def _seen_by(prepared: Prepared, moment: int) -> dict[str, np.ndarray]:
    """Return all that a model may learn from an event, of those before a moment."""
    log = prepared.events
    early = log.time < moment
    users, times = log.user[early], log.time[early]
    rows = np.arange(prepared.num_items + 1)
    spread = np.linspace(log.time.min(), moment, 20).astype(np.int64)
    counts = log.before[early]
    past = log.earlier_than(moment)
    statistics = {
        "item": prepared.item_statistics(log).at(log.item[early], times),
        "user": prepared.user_statistics(log).at(users, times),
        "items": prepared.item_statistics(log).at(rows, spread[:, None]),
    }
    columns = ("user", "item", "time", "label", "positive", "weight", "before", "part")
    return {
        **{f"events.{name}": getattr(log, name)[early] for name in columns},
        **{f"statistics.{name}": value for name, value in statistics.items()},
        "history": log.histories(users, counts, LENGTH),
        "last time": log.last_times(users, counts),
        "counts before": log.counts_before(users, times),
        "popularity": past.item_counts(prepared.num_items, positives_only=True),
        "users' counts": past.user_counts(),
        **{f"item.{k}": v for k, v in prepared.item_features.items()},
        **{f"user.{k}": v for k, v in prepared.user_features.items()},
        "items' texts": prepared.texts,
        "items' ids": prepared.item_ids,
    }


@pytest.mark.parametrize(("seed", "share"), [(1, 0.0), (2, 0.3), (3, 0.7), (4, 1.0)])
def test_the_future_changes_no_feature_of_the_past(
    small: Planted, original: Prepared, tmp_path: Path, seed: int, share: float
) -> None:
    train_end = original.cut(VALIDATION)
    assert train_end is not None
    first = int(original.events.time.min())
    moment = first + round(share * (train_end - first))
    _perturb(small.folder, tmp_path / "copy", moment, seed)
    changed = _prepare(tmp_path / "copy", tmp_path / "data")
    assert (changed.events.item != original.events.item).any()
    before, after = _seen_by(original, moment), _seen_by(changed, moment)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    if moment == train_end:
        # Vocabularies and scales are of the training part as a whole.
        assert changed.features == original.features
        early = original.events.time < moment
        for name, codes in original.events.context.items():
            found = changed.events.context[name]
            np.testing.assert_array_equal(found[early], codes[early])


def test_the_check_sees_a_leak(
    small: Planted, original: Prepared, tmp_path: Path
) -> None:
    """Guard the guard: past events changed must show."""
    moment = original.cut(VALIDATION)
    assert moment is not None
    _perturb(small.folder, tmp_path / "copy", moment - 10 * 86_400, seed=5)
    changed = _prepare(tmp_path / "copy", tmp_path / "data")
    before, after = _seen_by(original, moment), _seen_by(changed, moment)
    differing = {n for n in before if not np.array_equal(before[n], after[n])}
    assert {"events.item", "history", "statistics.item", "popularity"} <= differing


def test_no_event_of_a_cold_item_is_counted(small: Planted, tmp_path: Path) -> None:
    """An item that is popular at the request is not cold, whatever was trained on."""
    split = ('data.split.kind="cold_items"', "data.split.test=0.2")
    prepared = _prepare(small.folder, tmp_path / "data", *split)
    log, end = prepared.events, np.int64(prepared.end_time)
    trained = log.through(TRAIN).item_counts(prepared.num_items) > 0
    asked = np.unique(np.concatenate(prepared.queries(TEST).relevant))
    assert len(asked) > 3
    rows = np.arange(prepared.num_items + 1)
    counts = prepared.item_statistics(prepared.counted).at(rows, end)
    assert not counts[asked][:, :2].any()  # Of all time, and of the window.
    assert (counts[trained][:, 0] > 0).all()
    known = prepared.item_statistics(log).at(asked, end)[:, 0]
    assert (known > 0).mean() > 0.8
