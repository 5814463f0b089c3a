"""What the `query` command was asked."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the command was asked, one field for each option of that name."""

    user: str | None
    rank: tuple[str, ...]
    similar: str | None
    search: str | None
    describe: tuple[str, ...]
    status: str | None
    k: int | None
    history: tuple[str, ...]
    exclude: tuple[str, ...]
    time: datetime | int | None
    context: dict[str, str]
    boost: tuple[str, ...]
    bury: tuple[str, ...]
