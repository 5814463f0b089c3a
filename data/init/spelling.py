"""How values, keys and comments are spelt in TOML."""

import textwrap
from dataclasses import fields

import tomlkit

from data.schema import Column

WIDTH = 88


def inline(spec: Column) -> str:
    """Return a column's settings as an inline table, defaults left out."""
    shown = []
    for field in fields(spec):
        value = getattr(spec, field.name)
        always = (field.name == "separator" and spec.kind == "multi_categorical") or (
            field.name == "unit" and spec.role == "time"
        )
        if value == field.default and not always:
            continue
        shown.append(f"{field.name} = {_value(value)}")
    return "{ " + ", ".join(shown) + " }"


def _value(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return string(value) if isinstance(value, str) else str(value)


def string(value: str) -> str:
    """Return a text in quotes, escaped where it must be."""
    return tomlkit.string(value).as_string()


def key_of(name: str) -> str:
    """Return a key, in quotes where it must be."""
    return tomlkit.key(name).as_string()


def comment(text: str, further: str = "# ") -> list[str]:
    """Wrap a comment; `further` begins all its lines but the first."""
    return textwrap.wrap(
        plain(text),
        WIDTH,
        initial_indent="# ",
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def sentence(text: str) -> str:
    """Return a text with a capital first letter and a full stop."""
    return text[:1].upper() + text[1:] + "."


def plain(text: str) -> str:
    """Spell out what a comment may not hold, such as a line break."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
