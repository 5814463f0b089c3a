"""What the `[data]` tables may say, and the message for what they may not."""

from typing import Any

import pytest

from data.errors import ConfigError
from data.schema import Label

Folder = Any


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('role = "label"', 'role = "lable"', "rating role: unknown value 'lable'. Did"),
        ('kind = "text"', 'kind = "txt"', "title kind: unknown value 'txt'. Did you"),
        ('{ kind = "text" }', "{}", "role 'feature' needs a kind: categorical,"),
        ('{ role = "time" }', '{ role = "time", kind = "numeric" }', "takes no kind."),
        ('{ role = "time" }', '{ role = "time", in_text = true }', "takes no in_text."),
        (
            'kind = "categorical"',
            'kind = "categorical", in_text = true',
            "in_text is for columns of items, which alone have a text.",
        ),
        ('{ role = "time" }', '{ role = "label" }', "role 'label' stands at ['rating'"),
        ('{ role = "time" }', '{ kind = "numeric" }', "role 'feature' is not one of"),
        (
            '{ role = "time" }',
            '{ role = "context", kind = "text" }',
            "a context column is categorical or numeric.",
        ),
        ('kind = "categorical"', 'kind = "text"', "text is read from items only"),
        ('">= 4"', '"good"', "positive is 'good', expected a comparison"),
        ('">= 4"', '">= 1.2.3"', "positive is '>= 1.2.3', expected a comparison"),
        ('">= 4"', '["buy"]', "no column of the interactions has the role 'event'."),
        ('rating = { role = "label" }', "", "compares a label, and no column"),
        ("validation = 0.2", "validation = 0.9", "leave nothing to train on."),
        ("validation = 0.2", "validation = 0", "validation is 0.0, expected between"),
        ("validation = 0.2", "validaton = 0.2", "Did you mean 'validation'?"),
        ('kind = "temporal"', 'kind = "chance"', "unknown value 'chance'. Known"),
        ('path = "items.csv"', "", "items: missing key 'path'."),
        (
            '"items.csv"',
            '"items.csv"\nseparator = ""',
            "items: separator is '', expected what parts the cells",
        ),
        ('"items.csv"', '"items.csv"\nencoding = "utf9"', "encoding is 'utf9', exp"),
        ('"items.csv"', '"items.csv"\nheader = false', "without a header needs names"),
        ("[data.users]", "[data.usrs]", "unknown key 'usrs'. Did you mean 'users'?"),
        (
            "[data.interactions]",
            "[data]\npopularity_window_days = nan\n[data.interactions]",
            "popularity_window_days is nan, expected a number of days above 0.",
        ),
        (
            "[data.interactions]",
            "[data]\npopularity_prior = -1.0\n[data.interactions]",
            "popularity_prior is -1.0, expected a number of events an item, 0 or more.",
        ),
        (
            "[data.interactions]",
            "[data]\nmax_categories = 0\n[data.interactions]",
            "max_categories must be 1 or more.",
        ),
        (
            'item = { role = "item_id" }\ntitle',
            "title",
            '[data.items.columns]: no column has role = "item_id". Add it.',
        ),
    ],
)
def test_what_is_wrong_is_named(
    data_set: Folder, old: str, new: str, message: str
) -> None:
    data_set.edit_toml(old, new)
    with pytest.raises(ConfigError) as caught:
        data_set.config()
    assert message in str(caught.value)
    assert str(data_set.toml) in str(caught.value)


def test_a_toml_without_data_is_named(data_set: Folder) -> None:
    data_set.toml.write_text("[dta]\n")
    with pytest.raises(ConfigError, match=r"no \[data\] table. Did you mean 'dta'"):
        data_set.config()


def test_other_tables_are_ignored(data_set: Folder) -> None:
    before = data_set.config()
    data_set.edit_toml("[data.label]", "[ranking]\nanything = 1\n[data.label]")
    assert data_set.config() == before


def test_title_and_display_columns(data_set: Folder) -> None:
    assert data_set.config().title_column() == "title"
    data_set.edit_toml(
        'genres = { kind = "multi_categorical" }',
        'genres = { kind = "multi_categorical", display = true }\n'
        'name = { kind = "text", title = true }',
    )
    config = data_set.config()
    assert config.title_column() == "name"
    assert tuple(config.text_columns()) == ("title", "name")
    assert config.display_columns() == ("genres",)


@pytest.mark.parametrize(
    ("positive", "expected"),
    [(">= 4", (">=", 4.0)), ("<-0.5", ("<", -0.5)), (" == .5 ", ("==", 0.5))],
)
def test_comparisons(positive: str, expected: tuple[str, float]) -> None:
    assert Label(positive=positive).comparison() == expected
