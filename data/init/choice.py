"""What becomes of a column of a table."""

from dataclasses import dataclass

from data.init.columns import Profile
from data.schema import Column


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """What becomes of a column.

    `spec`: what the TOML says, None if the column is not used; `why`: what tells;
    `hint`: what the TOML could say of a column that is not used.
    """

    column: Profile
    spec: Column | None
    why: str
    hint: Column | None = None
