"""TOML tables into frozen dataclasses: every key known, every value of its type.

A field's type is all that the loader needs: `int`, `float`, `str`, `bool`, a
`Literal`, `X | None`, `tuple[X, ...]`, `dict[str, X]` or another dataclass.
Defaults live in the fields; ranges and rules between fields in `__post_init__`.
"""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from data import files
from data.errors import ConfigError, nearest

T = TypeVar("T")


def read_toml(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a TOML file and lay `--set table.key=value` overrides over it.

    In: `path`: may be on an object store; `overrides`: each "dotted.key=value", the
    value in TOML's spelling; what is not TOML is taken as a string. Raises:
    ConfigError for an absent or broken file and for an override without "=".
    """
    place = files.as_written(path)
    if not files.exists(place):
        raise ConfigError(
            f"{place}: no such file. Name an experiment's TOML, such as "
            "trainer/configs/ml-100k.toml, or write one: python -m data init."
        )
    if files.is_folder(place):
        raise ConfigError(f"{place}: a folder, expected a TOML file.")
    try:
        with files.open_file(place) as file:
            table = tomllib.loads(file.read().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise ConfigError(f"{place}: not TOML: {err}. Mend the line named.") from err
    for override in overrides:
        lay_over(table, override)
    return table


def lay_over(table: dict[str, Any], override: str) -> None:
    """Lay one "dotted.key=value" over a table. Raises: ConfigError: it is none."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"--set {override}: expected table.key=value, such as ranking.dropout=0.1."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.strip().split(".")
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: '{name}' is a value, not a table.")
    table[last] = value


def build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from a TOML table.

    In: `where`: the table's place for messages, such as "my.toml [data.split]".
    Raises: ConfigError for an unknown key (naming the nearest known one), a missing
    key, a value of the wrong type, or whatever `__post_init__` refuses.
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key '{key}'. {nearest(key, fields)}")
    values = {
        key: _convert(hints[key], value, f"{where} {key}")
        for key, value in table.items()
    }
    missing = [
        f.name
        for f in fields.values()
        if f.name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: missing key '{missing[0]}'. Add it.")
    try:
        return cls(**values)
    except ConfigError as err:
        raise ConfigError(f"{where}: {err}") from err


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is Literal:
        return _choose(arguments, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _mismatch(where, _kind(hint), value)
        return tuple(_convert(arguments[0], v, where) for v in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise _mismatch(where, "a table", value)
        return {k: _convert(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _mismatch(where, "a table", value)
        return build(typing.cast(type[Any], hint), value, where)
    return _convert_plain(hint, value, where)


def _convert_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    named = [argument for argument in arguments if argument is not type(None)]
    errors = []
    for argument in named:
        try:
            return _convert(argument, value, where)
        except ConfigError as err:
            errors.append(err)
            if isinstance(value, list) and typing.get_origin(argument) is tuple:
                raise  # It was meant so: what is wrong is inside.
    if len(errors) == 1:
        raise errors[0]
    raise _mismatch(where, ", or ".join(map(_kind, named)), value)


def _choose(known: tuple[Any, ...], value: Any, where: str) -> Any:
    if value not in known:
        hint = nearest(str(value), map(str, known))
        raise ConfigError(f"{where}: unknown value {value!r}. {hint}")
    return value


def _convert_plain(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise _mismatch(where, _kind(hint), value)
    return value


def _kind(hint: Any) -> str:
    """Say what values of a type are called in a TOML file."""
    if typing.get_origin(hint) is tuple:
        return "a list"
    names = {str: "a string", int: "a whole number", float: "a number"}
    return names.get(hint, "true or false")


def _mismatch(where: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"{where}: expected {expected}, got {value!r}.")
