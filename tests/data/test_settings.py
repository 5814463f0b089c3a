"""TOML tables become dataclasses, or one message says which key is wrong."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from data.errors import ConfigError
from data.settings import build, read_toml


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    kind: Literal["plain", "fancy"] = "plain"

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ConfigError(f"rate is {self.rate}, expected 0 or more.")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    count: int = 1
    on: bool = False
    words: tuple[str, ...] = ()
    either: str | tuple[str, ...] = ()
    maybe: int | None = None
    inner: Inner = field(default_factory=Inner)
    many: dict[str, Inner] = field(default_factory=dict)


def test_build_fills_nested_tables_and_defaults() -> None:
    table = {
        **{"name": "n", "words": ["a", "b"], "either": ["x"], "maybe": 3},
        **{"inner": {"rate": 2}, "many": {"first": {"kind": "fancy"}}},
    }
    assert build(Outer, table, "here") == Outer(
        name="n",
        words=("a", "b"),
        either=("x",),
        maybe=3,
        inner=Inner(rate=2.0),
        many={"first": Inner(kind="fancy")},
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nam": "n"}, "here: unknown key 'nam'. Did you mean 'name'?"),
        ({}, "here: missing key 'name'. Add it."),
        ({"name": 3}, "here name: expected a string, got 3."),
        ({"name": "n", "count": 1.5}, "here count: expected a whole number, got 1.5."),
        ({"name": "n", "count": True}, "count: expected a whole number, got True."),
        ({"name": "n", "on": "yes"}, "here on: expected true or false, got 'yes'."),
        ({"name": "n", "words": "a"}, "here words: expected a list, got 'a'."),
        ({"name": "n", "inner": 3}, "here inner: expected a table, got 3."),
        ({"name": "n", "many": 3}, "here many: expected a table, got 3."),
        ({"name": "n", "inner": {"rat": 1}}, "here inner: unknown key 'rat'."),
        (
            {"name": "n", "inner": {"kind": "fance"}},
            "here inner kind: unknown value 'fance'. Did you mean 'fancy'?",
        ),
        (
            {"name": "n", "inner": {"rate": -1}},
            "here inner: rate is -1.0, expected 0 or more.",
        ),
    ],
)
def test_build_says_what_is_wrong_and_where(
    table: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Outer, table, "here")
    assert message in str(caught.value)


def test_overrides_are_typed_as_toml_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[a]\nx = 1\ny = 2\n")
    overrides = ("a.x=0.5", "a.z=[1, 2]", "b.c=true", "b.d=plain words", "b.e=>= 4")
    assert read_toml(path, overrides) == {
        "a": {"x": 0.5, "y": 2, "z": [1, 2]},
        "b": {"c": True, "d": "plain words", "e": ">= 4"},
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("a.x", "--set a.x: expected table.key=value"),
        ("=3", "--set =3: expected table.key=value"),
        ("a.x.y=3", "--set a.x.y=3: 'x' is a value, not a table."),
    ],
)
def test_bad_overrides_are_named(tmp_path: Path, override: str, message: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[a]\nx = 1\n")
    with pytest.raises(ConfigError) as caught:
        read_toml(path, (override,))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[a\nx = 1\n", "not TOML: "),
        (b"x = '\xff'\n", "not TOML: "),
        (None, "no such file. Name an experiment's TOML"),
    ],
)
def test_unreadable_toml_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    assert f"{path}: {message}" in str(caught.value)


def test_a_folder_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a folder, expected a TOML file"):
        read_toml(tmp_path)
