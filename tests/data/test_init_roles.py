"""Which column of the interactions is what, by its values first and its name last."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.errors import ConfigError
from data.init.events import strength
from data.init.words import entity_hint, words_of
from tests.data.init_tables import (
    ITEMS,
    USERS,
    choices_of,
    choose,
    draft_of,
    random_events,
    roles_of,
)

EVENTS = random_events()
ROWS = len(EVENTS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("userId", ("user", "id")),
        ("USER_ID", ("user", "id")),
        ("User-ID", ("user", "id")),
        ("user_id:token", ("user", "id")),
        ("visitorid", ("visitor", "id")),
        ("reviewerID", ("reviewer", "id")),
        ("StockCode", ("stock", "code")),
        ("Größe (cm)", ("größe", "cm")),
        ("", ()),
    ],
)
def test_names_are_cut_into_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("name", "user", "item"),
    [
        ("customer_id", 3, 0),
        ("asin", 0, 3),
        ("track", 0, 2),
        ("artist_name", 0, 1),
        ("user_age", 0, 0),
        ("item_price", 0, 0),
        ("user_item_id", 0, 0),
    ],
)
def test_names_hint_at_users_and_items(name: str, user: int, item: int) -> None:
    assert (entity_hint(name, "user"), entity_hint(name, "item")) == (user, item)


@pytest.mark.parametrize(
    ("user", "item"),
    [
        ("userId", "movieId"),
        ("USER", "ITEM"),
        ("uid", "iid"),
        ("customer_id", "product_id"),
        ("visitorid", "itemid"),
        ("session_id", "sku"),
        ("reviewerID", "asin"),
        ("userID", "artistID"),
        ("User-ID", "ISBN"),
        ("Customer ID", "StockCode"),
        ("user_id:token", "item_id:token"),
        ("member_no", "title"),
        ("person_id", "event_id"),
        ("Kunde", "Artikelnummer"),
        ("u", "i"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_ids_are_known_by_name_in_any_order(
    tmp_path: Path, user: str, item: str, turned: bool
) -> None:
    names = {"user": user, "item": item}
    events = EVENTS.rename(columns=names)
    if turned:
        events = events[["time", item, "rating", user]]
    found = draft_of(tmp_path, events).interactions
    expected = {user: "user_id", item: "item_id", "rating": "label", "time": "time"}
    assert roles_of(found) == expected
    assert found.positives.positive == ">= 4"


def test_a_session_is_the_user_only_where_there_is_no_other(tmp_path: Path) -> None:
    events = EVENTS.assign(session_id=np.arange(ROWS) // 3)
    assert roles_of(draft_of(tmp_path, events).interactions)["user"] == "user_id"


def test_without_names_the_user_comes_first_and_is_a_guess(tmp_path: Path) -> None:
    draft = draft_of(tmp_path, EVENTS, header=False, sep="\t")
    assert "a guess" in draft.interactions.ids.user_why
    naming = draft.tables[0].naming
    assert naming.listed == ("user_id", "item_id", "rating", "timestamp")


def test_without_names_counts_are_not_ratings(tmp_path: Path) -> None:
    plays = EVENTS.assign(plays=(choose(range(1, 300), ROWS) ** 2))
    events = plays[["user", "item", "plays"]]
    draft = draft_of(tmp_path, events, header=False, sep="\t")
    assert draft.tables[0].naming.listed == ("user_id", "item_id", "c3")
    assert draft.interactions.positives.positive == ()
    assert "how much, not how good" in draft.interactions.positives.why


def test_overlap_tells_the_item_where_names_do_not(tmp_path: Path) -> None:
    """Neither counts from one, so that their values prove what they are."""
    events = pd.DataFrame(
        {"a": EVENTS["item"] * 7 + 10_000, "b": EVENTS["user"] * 3 + 50_000}
    )
    items = pd.DataFrame({"x": np.arange(1, ITEMS + 1) * 7 + 10_000})
    items["y"] = [f"thing no{i}" for i in range(ITEMS)]
    ids = draft_of(tmp_path, events, items).interactions.ids
    assert (ids.user.name, ids.item.name) == ("b", "a")
    assert ids.item_match is not None
    assert (ids.item_match.key.name, ids.item_match.share) == ("x", 1.0)


def test_overlap_beats_names_if_it_proves(tmp_path: Path) -> None:
    names = {"user": "product", "item": "visitor"}
    events = EVENTS.rename(columns=names)
    events["visitor"] = "sku-" + events["visitor"].astype(str)
    items = pd.DataFrame({"key": [f"sku-{i}" for i in range(1, ITEMS + 1)]})
    items["text"] = [f"thing no{i}" for i in range(ITEMS)]
    ids = draft_of(tmp_path, events, items).interactions.ids
    assert (ids.user.name, ids.item.name) == ("product", "visitor")


def test_small_counts_are_not_taken_for_items(tmp_path: Path) -> None:
    events = pd.DataFrame({"plays": EVENTS["rating"], "x": EVENTS["user"]})
    events["thing"] = EVENTS["item"]
    items = pd.DataFrame({"id": range(1, ITEMS + 1)})
    items["name"] = [f"thing no{i}" for i in range(ITEMS)]
    assert draft_of(tmp_path, events, items).interactions.ids.item.name == "thing"


@pytest.mark.parametrize(
    "events",
    [
        pd.DataFrame({"x": np.arange(50) / 7, "y": np.arange(50) / 3}),
        pd.DataFrame({"user_id": range(50), "age": [*range(18, 43)] * 2}),
        pd.DataFrame({"user_id": EVENTS["user"], "rating": EVENTS["rating"]}),
    ],
)
def test_tables_without_user_or_item_are_refused(
    tmp_path: Path, events: pd.DataFrame
) -> None:
    with pytest.raises(ConfigError) as refused:
        draft_of(tmp_path, events)
    message = str(refused.value)
    assert "--user COLUMN --item COLUMN [--time COLUMN] [--label COLUMN]" in message
    assert all(f"  {name}: '" in message for name in events.columns)


def test_options_overrule_what_is_found(tmp_path: Path) -> None:
    events = EVENTS.assign(buyer=EVENTS["user"] + 900, stars=EVENTS["rating"] * 2)
    events["seen_at"] = EVENTS["time"] + 5
    wanted = {"user": "buyer", "item": "item", "time": "seen_at", "label": "stars"}
    roles = roles_of(draft_of(tmp_path, events, wanted=wanted).interactions)
    assert {name: roles[name] for name in wanted.values()} == {
        **{"buyer": "user_id", "item": "item_id"},
        **{"seen_at": "time", "stars": "label"},
    }


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"user": "usr"}, "no column 'usr', which --user names. Did you mean 'user'"),
        ({"user": "item", "item": "item"}, "is named by --user and by --item"),
        ({"time": "rating"}, "'rating', which --time names, cannot be read as times"),
        ({"label": "same"}, "'same', which --label names, holds 'x'"),
    ],
)
def test_options_that_cannot_be_are_refused(
    tmp_path: Path, wanted: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        draft_of(tmp_path, EVENTS.assign(same="x"), wanted=wanted)


def _dates(pattern: str) -> pd.Series:
    return pd.to_datetime(EVENTS["time"], unit="s").dt.strftime(pattern)


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (EVENTS["time"], "s"),
        (EVENTS["time"] + 0.25, "s"),
        (EVENTS["time"] * 1_000 + 7, "ms"),
        (EVENTS["time"] * 1_000_000, "us"),
        (_dates("%Y-%m-%d %H:%M:%S"), "iso"),
        (_dates("%Y-%m-%dT%H:%M:%SZ"), "iso"),
        (_dates("%Y-%m-%dT%H:%M:%S.250+02:00"), "iso"),
        (_dates("%Y-%m-%d"), "iso"),
        (_dates("%Y%m%d"), "iso"),
    ],
)
@pytest.mark.parametrize("name", ["when", "unixReviewTime", "stamp_x"])
def test_times_and_their_units(
    tmp_path: Path, times: pd.Series, unit: str, name: str
) -> None:
    events = EVENTS.assign(time=times).rename(columns={"time": name})
    draft = draft_of(tmp_path, events)
    spec = choices_of(draft)[name].spec
    assert spec is not None
    assert (spec.role, spec.unit) == ("time", unit)
    assert draft.split.split.kind == "temporal"


@pytest.mark.parametrize(
    ("times", "why"),
    [
        (_dates("%m/%d/%Y %H:%M"), "in no format that is read"),
        (_dates("%m %d, %Y"), "in no format that is read"),
        (_dates("%d.%m.%Y"), "in no format that is read"),
        (_dates("%a %b %d %H:%M:%S %Y"), "in no format that is read"),
        (EVENTS["time"] * 10**9, "Unix nanoseconds have no unit"),
        (EVENTS["time"].where(EVENTS.index > 2), "3 cells are empty"),
        (EVENTS["time"].astype(str).where(EVENTS.index > 1, "NULL"), "2 cells, such"),
        (EVENTS["time"] * 0 + 1_400_000_000, "'1400000000' in every row"),
    ],
)
def test_times_that_no_unit_reads_are_said_and_left_out(
    tmp_path: Path, times: pd.Series, why: str
) -> None:
    draft = draft_of(tmp_path, EVENTS.assign(time=times))
    choice = choices_of(draft)["time"]
    assert choice.spec is None
    assert why in choice.why
    assert draft.split.split.kind == "held_out_users"
    constant = "in every row" in why
    assert constant or "be read ('time' does not)" in draft.split.why


def test_lists_of_items_are_told_where_no_item_is_found(tmp_path: Path) -> None:
    cells = [" ".join("abc"[i % 3 :]).replace(" ", "|") for i in range(60)]
    events = pd.DataFrame({"user_id": range(60), "bought": cells})
    with pytest.raises(ConfigError, match="'bought' holds several in a cell"):
        draft_of(tmp_path, events)


def test_ids_that_could_be_times_are_ids(tmp_path: Path) -> None:
    events = EVENTS.assign(item=EVENTS["item"] + 1_500_000_000)
    events = events.assign(category_id=events["item"] * 10**9).drop(columns="time")
    roles = roles_of(draft_of(tmp_path, events).interactions)
    assert roles == {"user": "user_id", "item": "item_id", "rating": "label"}


def test_days_that_do_not_count_from_1970_order_events(tmp_path: Path) -> None:
    days = (EVENTS["time"] - EVENTS["time"].min()) // 86_400
    draft = draft_of(tmp_path, EVENTS.drop(columns="time").assign(day=days))
    assert roles_of(draft.interactions)["day"] == "time"
    assert draft.split.split.kind == "temporal"


def test_the_finer_of_two_times_is_taken(tmp_path: Path) -> None:
    events = EVENTS.assign(date=_dates("%Y-%m-%d"))
    choices = choices_of(draft_of(tmp_path, events))
    assert choices["date"].spec is None
    assert "'time' is taken" in choices["date"].why


@pytest.mark.parametrize("start", [0, 1])
def test_a_position_is_an_order_and_no_time(tmp_path: Path, start: int) -> None:
    events = EVENTS[["user", "item"]].sort_values("user", kind="stable")
    events["position"] = events.groupby("user").cumcount() + start
    draft = draft_of(tmp_path, events)
    assert draft.split.split.kind == "held_out_users"
    assert "'position' gives an order only" in draft.split.why
    assert "the rows stand in it already" in choices_of(draft)["position"].why
    shuffled = events.sample(frac=1, random_state=0)
    assert (
        "sort the rows by it"
        in choices_of(draft_of(tmp_path, shuffled))["position"].why
    )


@pytest.mark.parametrize(("by", "targets"), [("item", "random"), ("time", "newest")])
def test_sorted_rows_are_in_no_order_of_time(
    tmp_path: Path, by: str, targets: str
) -> None:
    events = EVENTS.sort_values(["user", by])[["user", "item"]]
    split = draft_of(tmp_path, events).split.split
    assert (split.kind, split.targets) == ("held_out_users", targets)


def _rated(values: list[float], shares: list[float]) -> pd.DataFrame:
    return EVENTS.assign(rating=choose(values, ROWS, shares))


@pytest.mark.parametrize(
    ("values", "shares", "positive"),
    [
        ([1, 2, 3, 4, 5], [0.2] * 5, ">= 4"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [0.1, 0.1, 0.2, 0.3, 0.3], ">= 4"),
        ([1, 2, 3, 4, 5], [0.01, 0.01, 0.02, 0.26, 0.7], ">= 5"),
        ([1, 2, 3, 4, 5], [0.5, 0.3, 0.17, 0.02, 0.01], ">= 3"),
        ([i / 2 for i in range(1, 11)], [0.1] * 10, ">= 4"),
        (list(range(1, 11)), [0.1] * 10, ">= 8"),
        (list(range(11)), [0.02] + [0.098] * 10, ">= 8"),
        ([0, *range(1, 11)], [0.6] + [0.04] * 10, ">= 8"),
        ([-1, *range(1, 11)], [0.2] + [0.08] * 10, ">= 8"),
        (list(range(1, 101)), [0.01] * 100, ">= 75"),
        ([0, 1], [0.8, 0.2], ">= 1"),
        ([-1, 1], [0.3, 0.7], ">= 1"),
        ([-1, 0, 1], [0.3, 0.3, 0.4], ">= 1"),
        ([1, 2, 3], [0.3, 0.3, 0.4], ">= 3"),
        ([1, 2, 3, 4, 5, 6, 7], [1 / 7] * 7, ">= 6"),
    ],
)
def test_positives_follow_from_the_scale(
    tmp_path: Path, values: list[float], shares: list[float], positive: str
) -> None:
    found = draft_of(tmp_path, _rated(values, shares)).interactions
    assert found.positives.positive == positive
    assert "% of the events are positives" in found.positives.why


def test_zeros_that_mean_not_rated_are_said(tmp_path: Path) -> None:
    events = _rated([0, *range(1, 11)], [0.6] + [0.04] * 10)
    why = draft_of(tmp_path, events).interactions.positives.why
    assert "the scale is 1 to 10" in why
    assert "probably means 'not rated'" in why


def test_a_rating_is_known_by_its_scale_alone(tmp_path: Path) -> None:
    events = EVENTS.rename(columns={"rating": "opinion"})
    assert roles_of(draft_of(tmp_path, events).interactions)["opinion"] == "label"


def test_of_two_labels_the_scale_is_taken_and_the_rare_one_not(tmp_path: Path) -> None:
    yes = [0, 1]
    events = EVENTS.assign(
        click=choose(yes, ROWS, [0.7, 0.3]), like=choose(yes, ROWS, [0.99, 0.01])
    )
    assert roles_of(draft_of(tmp_path, events).interactions)["rating"] == "label"
    found = draft_of(tmp_path, events.drop(columns="rating"))
    assert roles_of(found.interactions)["click"] == "label"
    assert "'click' is taken" in choices_of(found)["like"].why


def test_decimal_commas_are_told(tmp_path: Path) -> None:
    events = EVENTS.assign(rating=choose(["4,5", "3,0"], ROWS))
    assert (
        "with a comma" in choices_of(draft_of(tmp_path, events, sep=";"))["rating"].why
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        *(("addtocart", 2), ("add_to_cart", 2), ("AddToCart", 2), ("Purchase", 3)),
        *(("product_view", 1), ("remove_from_cart", 0), ("dislike", 0), ("zzz", None)),
    ],
)
def test_events_have_strengths(event: str, expected: int | None) -> None:
    assert strength(event) == expected


@pytest.mark.parametrize(
    ("kinds", "shares", "positive"),
    [
        (
            ["view", "addtocart", "transaction"],
            [0.9, 0.07, 0.03],
            ["addtocart", "transaction"],
        ),
        (["pv", "fav", "cart", "buy"], [0.8, 0.1, 0.05, 0.05], ["fav", "cart", "buy"]),
        (["click", "purchase"], [0.9, 0.1], ["purchase"]),
        (["impression", "click"], [0.8, 0.2], ["click"]),
        (["play", "skip"], [0.5, 0.5], ["play"]),
        (["like", "dislike"], [0.5, 0.5], ["like"]),
    ],
)
@pytest.mark.parametrize("header", [True, False])
def test_strong_events_are_positives(
    tmp_path: Path,
    kinds: list[str],
    shares: list[float],
    positive: list[str],
    header: bool,
) -> None:
    events = EVENTS[["user", "item"]].assign(event=choose(kinds, ROWS, shares))
    found = draft_of(tmp_path, events, header=header).interactions
    assert set(found.positives.positive) == set(positive)
    assert "event" in {c.spec.role for c in found.choices if c.spec is not None}
    assert set(found.positives.weights) <= set(positive)


def test_a_like_in_words_is_an_event(tmp_path: Path) -> None:
    events = EVENTS[["user", "item"]].assign(liked=choose(["True", "False"], ROWS))
    events["verified"] = choose(["True", "False"], ROWS)[::-1]
    found = draft_of(tmp_path, events)
    assert roles_of(found.interactions)["liked"] == "event"
    assert found.interactions.positives.positive == ("True",)
    assert choices_of(found)["verified"].spec is None


def test_shown_rows_are_impressions_unless_they_are_chosen_too(tmp_path: Path) -> None:
    click = choose([0, 1], ROWS, [0.7, 0.3])
    events = EVENTS[["user", "item"]].assign(click=click, shown=1 - click)
    assert roles_of(draft_of(tmp_path, events).interactions)["shown"] == "impression"
    events["shown"] = choose([0, 1], ROWS)[::-1]
    choice = choices_of(draft_of(tmp_path, events))["shown"]
    assert choice.spec is None
    assert "marks chosen rows too" in choice.why


def test_weights_weigh_and_counts_do_not(tmp_path: Path) -> None:
    events = EVENTS.assign(weight=choose([0.5, 1, 2], ROWS))
    assert roles_of(draft_of(tmp_path, events).interactions)["weight"] == "weight"
    events = EVENTS.assign(weight=choose(range(1, 5_000), ROWS))
    assert choices_of(draft_of(tmp_path, events))["weight"].spec is None


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("quantity", choose(range(-3, 40), ROWS), "how much, not how good; below 0"),
        ("price", choose([1.5, 2.5, 9.0], ROWS), "known only when the item is"),
        ("category", EVENTS["item"] % 5, "the same in all rows of an item"),
        ("town", EVENTS["user"] % 5, "the same in all rows of a user"),
        ("row", np.arange(ROWS), "the number of the row"),
        ("", np.arange(ROWS), "the number of the row"),
        ("review_id", [f"r{i * 7}" for i in range(ROWS)], "another value in every row"),
        ("source", ["web"] * ROWS, "'web' in every row"),
        ("nothing", [None] * ROWS, "empty in every row"),
        ("extra", ['{"a": 1}', "[]"] * (ROWS // 2), "lists or objects"),
        ("mood", choose(["good", "bad"], ROWS), "only if known before the choice"),
    ],
)
def test_columns_that_are_not_used_say_why(
    tmp_path: Path, name: str, values: object, why: str
) -> None:
    choice = choices_of(draft_of(tmp_path, EVENTS.assign(**{name: values})))[name]
    assert choice.spec is None
    assert why in choice.why


def test_a_device_is_context(tmp_path: Path) -> None:
    events = EVENTS.assign(device=choose(["ios", "web"], ROWS))
    spec = choices_of(draft_of(tmp_path, events))["device"].spec
    assert spec is not None
    assert (spec.role, spec.kind) == ("context", "categorical")


def test_sessions_that_never_come_back_are_held_out(tmp_path: Path) -> None:
    events = EVENTS.assign(user=np.arange(ROWS) // 4)
    draft = draft_of(tmp_path, events)
    assert draft.split.split.kind == "held_out_users"
    assert "hardly a user comes back" in draft.split.why


@pytest.mark.parametrize(
    ("rows", "kind", "share"),
    [(1_500, "temporal", 0.1), (100, "temporal", 0.2)],
)
def test_few_events_get_larger_shares(
    tmp_path: Path, rows: int, kind: str, share: float
) -> None:
    split = draft_of(tmp_path, random_events(rows)).split.split
    assert (split.kind, split.validation, split.test) == (kind, share, share)


def test_users_of_one_event_are_cut_in_the_files_order(tmp_path: Path) -> None:
    events = pd.DataFrame({"user_id": range(40), "item_id": [1, 2, 3, 4] * 10})
    assert draft_of(tmp_path, events).split.split.kind == "temporal"


def test_one_day_alone_cannot_be_cut(tmp_path: Path) -> None:
    days = np.where(np.arange(ROWS) < 3, "2020-01-01", "2020-01-02")
    draft = draft_of(tmp_path, EVENTS.assign(time=days))
    assert draft.split.split.kind == "held_out_users"
    assert "too few different times" in draft.split.why


def test_short_spans_get_a_short_window_of_popularity(tmp_path: Path) -> None:
    times = 1_400_000_000 + np.arange(ROWS) * 400
    assert draft_of(tmp_path, EVENTS.assign(time=times)).split.window_days == 1.0
    assert draft_of(tmp_path, EVENTS).split.window_days is None


def test_all_users_are_met(tmp_path: Path) -> None:
    assert draft_of(tmp_path, EVENTS).interactions.ids.user.distinct == USERS


def test_durations_and_hours_are_no_times(tmp_path: Path) -> None:
    events = EVENTS.drop(columns="time").assign(
        watch_time=choose(range(5, 600), ROWS), day=choose(range(1, 32), ROWS)
    )
    draft = draft_of(tmp_path, events)
    assert draft.interactions.time is None
    wanted = draft_of(tmp_path, events, wanted={"time": "day"}).interactions
    assert wanted.time is not None
    assert wanted.time.name == "day"


@pytest.mark.parametrize(
    ("name", "values"),
    [("quarter", [1, 2, 3, 4]), ("level", [1, 2, 3, 4, 5]), ("parts", [1, 2, 3])],
)
def test_small_numbers_are_not_ratings(
    tmp_path: Path, name: str, values: list[int]
) -> None:
    events = EVENTS.drop(columns="rating").assign(**{name: choose(values, ROWS)})
    assert choices_of(draft_of(tmp_path, events))[name].spec is None


def test_numbers_of_events_are_events_that_only_people_know(tmp_path: Path) -> None:
    events = EVENTS.drop(columns="rating").assign(
        behavior_type=choose([1, 2, 3, 4], ROWS, [0.9, 0.04, 0.03, 0.03])
    )
    found = draft_of(tmp_path, events).interactions
    assert roles_of(found)["behavior_type"] == "event"
    assert found.positives.positive == ()
    assert "list those that are" in found.positives.why


def test_events_say_more_than_a_label_that_most_rows_lack(tmp_path: Path) -> None:
    kinds = pd.Series(choose(["view", "rate"], ROWS, [0.8, 0.2]))
    events = EVENTS.assign(event=kinds, rating=EVENTS["rating"].where(kinds == "rate"))
    found = draft_of(tmp_path, events).interactions
    assert roles_of(found)["event"] == "event"
    assert found.positives.positive == ("rate",)


def test_likes_that_are_marked_or_empty_are_a_label(tmp_path: Path) -> None:
    events = EVENTS[["user", "item"]].assign(like=choose([1, np.nan], ROWS))
    found = draft_of(tmp_path, events).interactions
    assert found.positives.positive == ">= 1"


def test_shares_watched_are_rounded(tmp_path: Path) -> None:
    watched = np.random.default_rng(0).exponential(0.7, ROWS)
    events = EVENTS.drop(columns="rating").assign(watch_ratio=watched)
    found = draft_of(tmp_path, events).interactions
    assert roles_of(found)["watch_ratio"] == "label"
    assert found.positives.positive in (">= 1.6", ">= 1.7")
