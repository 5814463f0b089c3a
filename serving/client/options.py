"""How a client fits the models it asks: their names, and the widths of lists of ids."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from serving.tensors import Array, strings

DEFAULT_K = 10


@dataclass(frozen=True, kw_only=True)
class Widths:
    """The fixed widths of `history` and `exclude`, so that servers can merge requests.

    None stands for the next power of two that holds the ids at hand.
    """

    history: int | None = None
    exclude: int | None = None

    @classmethod
    def from_manifest(cls, path: str | os.PathLike[str]) -> Self:
        """Read the widths from a model version's manifest.json.

        Raises: OSError, ValueError: the file cannot be read, or is not JSON.
        """
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        limits = manifest.get("limits", {})
        return cls(history=limits.get("max_history"), exclude=limits.get("max_exclude"))


@dataclass(frozen=True, kw_only=True)
class ModelNames:
    """Under which names the server holds the three servables."""

    recommender: str = "recommender"
    ranking: str = "ranking"
    retrieval: str = "retrieval"


def padded(ids: Sequence[str], width: int | None, *, trim: bool = False) -> Array:
    """Return ids as one row of bytes, padded at the end with empty ones.

    A list longer than `width` loses its oldest ids if `trim`, else the row is wider.
    """
    kept = list(ids)[-width:] if trim and width else list(ids)
    if width is None or len(kept) > width:
        width = 1 << max(len(kept) - 1, 0).bit_length()
    return strings([kept + [""] * (width - len(kept))])


def readable(values: Array) -> list[Any]:
    """Return one row of an output as Python values, text decoded."""
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for value in values.tolist()
    ]
