"""What is planted is in the data, and nothing else gives it away."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.events import TEST, VALIDATION
from data.planted import Planted, write_planted
from data.prepared import Prepared


@pytest.fixture(scope="module")
def events(planted: Planted) -> pd.DataFrame:
    frame = pd.read_csv(planted.folder / "interactions.csv", keep_default_na=False)
    pairs = zip(frame["user_id"], frame["item_id"], strict=True)
    return frame.assign(same=[planted.same_taste(*pair) for pair in pairs])


@pytest.fixture(scope="module")
def items(planted: Planted) -> pd.DataFrame:
    return pd.read_csv(planted.folder / "items.csv", keep_default_na=False, dtype=str)


def test_equal_plans_write_equal_bytes(planted: Planted, tmp_path: Path) -> None:
    twin = write_planted(tmp_path / "twin")
    other = write_planted(tmp_path / "other", seed=8)
    for name in ("interactions.csv", "items.csv", "users.csv", "planted.toml"):
        content = (planted.folder / name).read_bytes()
        assert (twin.folder / name).read_bytes() == content
        differs = (other.folder / name).read_bytes() != content
        assert differs == name.endswith(".csv")
    assert (
        dataclasses.replace(twin, folder=planted.folder, toml=planted.toml) == planted
    )


def test_users_choose_and_rate_by_taste(events: pd.DataFrame) -> None:
    assert 0.8 < events["same"].mean() < 0.9
    assert (events.loc[events["same"], "rating"] >= 4).all()
    assert (events.loc[~events["same"], "rating"] <= 2).all()
    assert set(events["rating"]) == {1, 2, 4, 5}


def test_successors_follow(planted: Planted, events: pd.DataFrame) -> None:
    liked = events[events["same"]]
    pairs = [
        pair
        for _, own in liked.groupby("user_id", sort=False)
        for pair in zip(own["item_id"][:-1], own["item_id"][1:], strict=True)
    ]
    follows = np.mean([planted.successor.get(a) == b for a, b in pairs])
    assert 0.7 < follows < 0.8
    back = np.mean([planted.successor.get(b) == a for a, b in pairs])
    assert back < 0.05


def test_cold_items_have_no_event_before_the_test_part(
    planted: Planted, prepared: Prepared
) -> None:
    log, cut = prepared.events, prepared.cut(TEST)
    rows = {item: row for row, item in enumerate(prepared.item_ids)}
    assert len(planted.late_items) >= 4
    assert len(planted.silent_items) >= 4
    for item in planted.late_items:
        times = log.time[log.item == rows[item]]
        assert len(times) > 0
        assert (times >= cut).all()
    for item in planted.silent_items:
        assert rows[item] not in log.item
    warm = set(planted.item_taste) - planted.cold_items
    trained = prepared.item_ids[np.unique(log.through(0).item)]
    assert warm == set(trained)


def test_users_without_a_row_an_event_or_a_past(
    planted: Planted, prepared: Prepared
) -> None:
    users = pd.read_csv(planted.folder / "users.csv", dtype=str, keep_default_na=False)
    assert set(users["user_id"]) == set(planted.user_taste) - planted.bare_users
    rows = {user: row for row, user in enumerate(prepared.user_ids)}
    log = prepared.events
    counts = log.user_counts()
    assert {u for u, row in rows.items() if u and not counts[row]} == (
        planted.silent_users
    )
    for user in planted.late_users:
        assert (log.part[log.user == rows[user]] == TEST).all()
    assert prepared.queries(TEST).num_cold_users == len(planted.late_users)


def test_words_tell_the_taste_and_nothing_else_does(
    planted: Planted, items: pd.DataFrame
) -> None:
    tastes = items["item_id"].map(planted.item_taste)
    for title, taste in zip(items["title"], tastes, strict=True):
        words = set(title.lower().replace(",", "").split())
        told = [len(words & set(own)) for own in planted.words]
        assert told[taste] == 2
        assert sum(told) == 2
    for column in ("genres", "year"):
        groups = items[items[column] != ""].groupby(column)["item_id"]
        own = [g.map(planted.item_taste) for _, g in groups if len(g) > 3]
        assert all(len(set(tastes)) > 1 for tastes in own)


def test_tables_have_what_breaks_readers(
    planted: Planted, prepared: Prepared, items: pd.DataFrame
) -> None:
    for ids in (planted.user_taste, planted.item_taste):
        joined = "".join(ids)
        assert {" ", '"', ",", "'"} <= set(joined)
        assert not joined.isascii()
        assert any(one.startswith("00") for one in ids)
    for column in ("blurb", "genres", "year"):
        assert 0.05 < (items[column] == "").mean() < 0.5
    unavailable = prepared.item_ids[1:][~prepared.servable[1:]]
    assert set(unavailable) == planted.unavailable
    ties = np.diff(prepared.events.time) == 0
    assert (ties & (np.diff(prepared.events.user) == 0)).sum() > 20


def test_every_part_asks_about_warm_users(prepared: Prepared) -> None:
    for part in (VALIDATION, TEST):
        queries = prepared.queries(part)
        assert len(queries) > 80
        assert min(queries.counts) >= 5


def test_knowing_the_plan_beats_knowing_the_taste(
    planted: Planted, prepared: Prepared
) -> None:
    unordered = dataclasses.replace(planted.plan, follow=0.0)
    by_taste = dataclasses.replace(planted, plan=unordered)
    assert planted.best_recall(prepared, TEST, 10) > 0.9
    assert planted.best_recall(prepared, TEST, 1) > 0.5
    assert by_taste.best_recall(prepared, TEST, 1) < 0.2
    assert by_taste.best_recall(prepared, TEST, 10) > 0.7


def test_text_is_appended_to_the_toml(tmp_path: Path) -> None:
    planted = write_planted(tmp_path, num_users=30, extra_toml="[ranking]\nx = 1\n")
    assert planted.toml.read_text().endswith("[ranking]\nx = 1\n")


def test_no_order_and_no_cold_items_can_be_planted(tmp_path: Path) -> None:
    plain = write_planted(tmp_path, follow=0.0, cold_share=0.0, low_share=0.0)
    assert plain.cold_items == frozenset()
    frame = pd.read_csv(plain.folder / "interactions.csv", keep_default_na=False)
    assert set(frame["rating"]) == {4, 5}


def test_tiny_bert_loads_and_knows_the_words(planted: Planted, tiny_bert: Path) -> None:
    keras_nlp = pytest.importorskip("keras_nlp")
    backbone = keras_nlp.models.Backbone.from_preset(str(tiny_bert))
    tokenizer = keras_nlp.models.BertTokenizer.from_preset(str(tiny_bert))
    assert isinstance(backbone, keras_nlp.models.BertBackbone)
    assert backbone.count_params() < 50_000
    tokens = np.asarray(tokenizer([word.title() for word in planted.all_words]))
    known = [row[row != tokenizer.pad_token_id] for row in tokens]
    assert {len(row) for row in known} == {1}
    assert len({int(row[0]) for row in known}) == len(planted.all_words)
    assert tokenizer.vocabulary_size() == backbone.vocabulary_size
