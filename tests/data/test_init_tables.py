"""What the columns of tables of items and users are, and which one is the key."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import ConfigError
from data.init.draft import Request, make_draft
from data.schema import Column
from tests.data.init_tables import (
    ITEMS,
    USERS,
    choices_of,
    choose,
    draft_of,
    random_events,
    save,
    sentences,
)

EVENTS = random_events()
IDS = np.arange(1, ITEMS + 1)
TITLES = [f"The {word}" for word in sentences(ITEMS, 3)]


def _items(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"item": IDS, "title": TITLES, **columns})


def _users(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"user": np.arange(1, USERS + 1), **columns})


def _spec(folder: Path, name: str, values: Any, table: str = "items") -> Column | None:
    frame = {"items": _items, "users": _users}[table](**{name: values})
    draft = draft_of(folder, EVENTS, **{table: frame})
    return choices_of(draft, table)[name].spec


@pytest.mark.parametrize(
    ("name", "values", "spec"),
    [
        ("description", sentences(ITEMS, 20), Column(kind="text")),
        ("price", choose([1.5, 20, 3.25, 7], ITEMS), Column(kind="numeric")),
        ("weight_g", [None, *range(2, ITEMS + 1)], Column(kind="numeric")),
        ("year", IDS % 30 + 1990, Column(kind="numeric", display=True)),
        ("release_year:token", IDS % 9 + 1990, Column(kind="numeric", display=True)),
        ("category_id", IDS % 40 * 11, Column(kind="categorical")),
        (
            "colour",
            choose(["red", "blue", None], ITEMS),
            Column(kind="categorical", display=True),
        ),
        ("flag", choose([0, 1], ITEMS), Column(kind="categorical")),
        (
            "brand",
            choose(["Acme", "Foo, Inc.", "Bar"], ITEMS),
            Column(kind="categorical", display=True),
        ),
        ("in_stock", choose(["true", "False"], ITEMS), Column(role="available")),
        ("isActive", choose([0, 1], ITEMS), Column(role="available")),
    ],
)
def test_kinds_of_item_features(
    tmp_path: Path, name: str, values: Any, spec: Column
) -> None:
    assert _spec(tmp_path, name, values) == spec


@pytest.mark.parametrize("separator", ["|", ", ", ";", " > ", ","])
def test_several_values_in_a_cell_are_parted(tmp_path: Path, separator: str) -> None:
    genres = ["drama", "comedy", "science fiction", "kids"]
    cells = [separator.join(genres[i % 4 :][: 1 + i % 3]) for i in range(ITEMS)]
    spec = _spec(tmp_path, "genres", cells)
    assert spec is not None
    assert (spec.kind, spec.separator) == ("multi_categorical", separator.strip())


def test_long_lists_are_kept_whole(tmp_path: Path) -> None:
    cells = ["|".join(f"t{(i + k) % 50}" for k in range(30)) for i in range(ITEMS)]
    spec = _spec(tmp_path, "tags", cells)
    assert spec is not None
    assert spec.max_values == 30


def test_recboles_types_tell_words_from_lists(tmp_path: Path) -> None:
    names = ["Comedy", "Drama", "Action"]
    items = pd.DataFrame(
        {
            "item:token": IDS,
            "movie_title:token_seq": TITLES,
            "class:token_seq": [" ".join(names[i % 3 :]) for i in IDS],
        }
    )
    draft = draft_of(tmp_path, EVENTS, items)
    choices = choices_of(draft, "items")
    title, kind = (choices[n].spec for n in items.columns[1:])
    assert title == Column(kind="text", title=True)
    assert kind == Column(kind="multi_categorical", separator=" ", display=True)
    assert draft.tables[1].naming.listed == ("item", "movie_title", "class")


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("empty", [None] * ITEMS, "empty in every row"),
        ("source", ["x"] * ITEMS, "'x' wherever it is filled"),
        ("image", [f"https://x.org/{i}.jpg" for i in IDS], "addresses"),
        ("specs", [json.dumps({"a": int(i)}) for i in IDS], "JSON"),
        ("tags", ["['a', 'b']", "['b']"] * (ITEMS // 2), "write a|b"),
        ("release_date", [f"2001-02-{i % 27 + 1:02d}" for i in IDS], "dates"),
        ("released", [f"{i % 12 + 1}/3/2001" for i in IDS], "dates"),
        ("goodreads_id", IDS * 7_919, "another id of the item"),
        ("ean", IDS * 7_919 + 10**12, "another id of the item"),
        ("model", [f"B{i * 7919:08d}" for i in IDS], "a code, another for each item"),
        ("no", IDS + 500, "counts the rows"),
        ("average_rating", IDS / 30, "sums up what all users did"),
        ("ratings_count", IDS**2, "sums up what all users did"),
        (
            "pages",
            ["n/a", *range(2, ITEMS + 1)],
            "numbers, but for 1 cells such as 'n/a'",
        ),
        ("stars", ["4,5", "3,5", "1,25"] * (ITEMS // 3), "with a comma"),
        (
            "original_title",
            [t.removeprefix("The ") for t in TITLES],
            "the same as title",
        ),
        ("discontinued", choose([0, 1], ITEMS), "the opposite of available"),
        ("availability", choose(["in stock", "sold out"], ITEMS), "write yes or no"),
        ("zipcode", [f"{i * 997:05d}" for i in IDS], "too many"),
    ],
)
def test_columns_of_items_that_are_left_out_say_why(
    tmp_path: Path, name: str, values: Any, why: str
) -> None:
    choice = choices_of(draft_of(tmp_path, EVENTS, _items(**{name: values})), "items")[
        name
    ]
    assert choice.spec is None
    assert why in choice.why


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("age", np.arange(USERS) % 50 + 18, "numeric"),
        ("age_group", np.arange(USERS) % 7 * 10, "categorical"),
        ("occupation", np.arange(USERS) % 21, "categorical"),
        ("gender", ["F", "M"] * (USERS // 2), "categorical"),
        ("interests", ["golf;tv", "tv;art", "art"] * (USERS // 3), "multi_categorical"),
        ("income", np.arange(USERS) * 1_000.5, "numeric"),
        ("zip", [f"{i * 991:05d}" for i in range(USERS)], None),
        ("email", [f"a{i}@x.org" for i in range(USERS)], None),
        ("name", [f"Jo Doe{i}" for i in range(USERS)], None),
        ("bio", sentences(USERS, 12), None),
    ],
)
def test_kinds_of_user_features(
    tmp_path: Path, name: str, values: Any, kind: str | None
) -> None:
    spec = _spec(tmp_path, name, values, "users")
    assert (spec.kind if spec else None) == kind


def test_the_key_is_the_column_whose_values_match(tmp_path: Path) -> None:
    """As of Goodbooks: several ids, and the one of the same name is another's."""
    items = pd.DataFrame(
        {
            "book_id": IDS * 8_111,
            "best_book_id": IDS * 8_111 + 1,
            "id": IDS,
            "title": TITLES,
        }
    )
    events = EVENTS.rename(columns={"item": "book_id"})
    draft = draft_of(tmp_path, events, items)
    choices = choices_of(draft, "items")
    assert choices["id"].spec == Column(role="item_id")
    assert "has 100 % of the interactions' book_id" in choices["id"].why
    assert choices["book_id"].spec is None


def test_a_title_can_be_the_id(tmp_path: Path) -> None:
    titles = dict(zip(IDS, TITLES, strict=True))
    events = EVENTS.assign(title=EVENTS["item"].map(titles)).drop(columns="item")
    items = pd.DataFrame({"title": TITLES, "overview": sentences(ITEMS, 20)})
    draft = draft_of(tmp_path, events, items)
    assert draft.interactions.ids.item.name == "title"
    choices = choices_of(draft, "items")
    assert choices["title"].spec == Column(role="item_id")
    assert choices["overview"].spec == Column(kind="text", title=True)


def test_the_title_is_the_plainest_text(tmp_path: Path) -> None:
    items = pd.DataFrame(
        {"item": IDS, "summary": sentences(ITEMS, 9), "product_name": TITLES}
    )
    choices = choices_of(draft_of(tmp_path, EVENTS, items), "items")
    assert choices["product_name"].spec == Column(kind="text", title=True)
    assert choices["summary"].spec == Column(kind="text")


def test_a_number_that_stands_for_a_name_is_left_out(tmp_path: Path) -> None:
    items = _items(category_id=IDS % 9, category=[f"cat {i % 9}" for i in IDS])
    choices = choices_of(draft_of(tmp_path, EVENTS, items), "items")
    assert choices["category_id"].why == "says the same as category"
    assert choices["category"].spec is not None


def test_items_that_are_missing_are_counted(tmp_path: Path) -> None:
    draft = draft_of(tmp_path, EVENTS, _items().iloc[: ITEMS // 3])
    note = draft.tables[1].says[0]
    met = EVENTS["item"][EVENTS["item"] > ITEMS // 3]
    assert note.startswith(f"{met.nunique()} items of the interactions not in the")
    assert "never recommended" in note


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda ids: ids.map("{:05d}".format), "without leading zeros"),
        (lambda ids: ids.astype(float), "without a trailing .0"),
        (lambda ids: " " + ids.astype(str), "without the spaces around them"),
        (lambda ids: "q" + ids.astype(str), "leave --items out"),
    ],
)
def test_ids_that_do_not_match_are_refused_with_what_would_help(
    tmp_path: Path, change: Any, note: str
) -> None:
    items = _items()
    items["item"] = change(items["item"])
    with pytest.raises(ConfigError) as refused:
        draft_of(tmp_path, EVENTS, items)
    message = str(refused.value)
    assert "items.csv: no column holds the item ids" in message
    assert "such as '" in message
    assert note in message


def test_one_id_with_spaces_is_noted(tmp_path: Path) -> None:
    events = EVENTS.assign(item=EVENTS["item"].astype(str))
    events.loc[3, "item"] += "  "
    note = draft_of(tmp_path, events, _items()).tables[1].says[0]
    assert note.startswith("1 item of the interactions not in the table")
    assert "without the spaces around them" in note


def test_rows_that_disagree_about_an_id_are_not_used(tmp_path: Path) -> None:
    twice = pd.concat([_items(), _items().head(2).assign(title="Another one")])
    choices = choices_of(draft_of(tmp_path, EVENTS, twice), "items")
    assert choices["item"].spec is not None
    assert "2 rows repeat an id" in choices["item"].why
    assert choices["title"].spec is None
    assert "says different things of 2 ids, such as '1'" in choices["title"].why


def test_a_table_of_users_alone_will_do(tmp_path: Path) -> None:
    draft = draft_of(tmp_path, EVENTS, users=_users(age=np.arange(USERS)))
    assert [table.name for table in draft.tables] == ["interactions", "users"]


def test_lists_of_parquet_are_joined_by_what_no_text_holds(tmp_path: Path) -> None:
    names = [["a|b", "c"], ["c", "d"], ["d"]]
    items = _items(tags=[names[i % 3] for i in IDS], parts=[[{"x": 1}]] * ITEMS)
    items["about"] = [[text, "It is good."] for text in sentences(ITEMS, 9)]
    items["more"] = [[f"q{i}", f"r{i}"] for i in IDS]
    items.to_parquet(tmp_path / "items.parquet")
    events = save(EVENTS, tmp_path / "events.csv")
    draft = make_draft(
        Request(
            interactions=events,
            items=str(tmp_path / "items.parquet"),
            out=str(tmp_path / "my.toml"),
        )
    )
    choices = choices_of(draft, "items")
    tags = Column(kind="multi_categorical", separator=";", display=True)
    assert choices["tags"].spec == tags
    assert choices["about"].spec == Column(kind="text", separator=" ")
    assert "objects" in choices["parts"].why
    assert "next to no two alike" in choices["more"].why
