"""How a request names a model, free of everything that answers it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Which model a request names, and which version of it: number, label or newest."""

    name: str
    version: int | None = None
    label: str | None = None
