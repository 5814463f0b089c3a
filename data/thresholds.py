"""What new data may differ in from the data before: the `[data.drift]` table."""

import dataclasses
import math
from dataclasses import dataclass

from data.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Bounds on new data: beyond `warn_*` a warning, beyond `refuse_*` a refusal.

    Shares are of the new rows, 0 to 1; a bound of 1 on a share is never passed, so it
    switches that check off. What a data set does by itself is no drift: where the
    name says "beyond", the old data's newest stretch of the same length is judged by
    the stretches before it in the same way, and the larger of that and of what chance
    gives is taken off.

    `min_events`: with fewer new events than these nothing that is estimated is
    refused, it is warned of instead.
    `refuse_bad_rows`: rows of a new file that cannot be used (no id, no time).
    `refuse_other_ids`: rows whose id is written as no id was before.
    `refuse_other_labels`: labels that never occurred, or beyond the former range.
    `*_missing`: empty cells beyond the former share.
    `*_shift`: distance of distributions, 0 to 1, beyond: Kolmogorov-Smirnov of
    numbers, total variation of categories.
    `*_new_values`: rows with a category that never occurred, beyond.
    `*_unknown_users`, `*_unknown_items`: events of those without any event before,
    beyond.
    `*_volume`: events a day, as a share of the former.
    `*_agreement`: how well users and their items belong together by what the old data
    say of items, as a share of the old data's own; 0 switches it off. Shuffled items
    have 0.
    `*_duplicates`, `*_conflicts`, `*_late`: rows that were there already; that say
    other things of an event that was there; events older than the newest before.
    `refuse_clock`: events later than now or earlier than the first before.
    """

    min_events: int = 200
    refuse_bad_rows: float = 0.05
    refuse_other_ids: float = 0.2
    refuse_other_labels: float = 0.05
    warn_missing: float = 0.1
    refuse_missing: float = 0.4
    warn_shift: float = 0.1
    refuse_shift: float = 0.35
    warn_new_values: float = 0.1
    refuse_new_values: float = 0.5
    warn_unknown_users: float = 0.2
    refuse_unknown_users: float = 1.0
    warn_unknown_items: float = 0.1
    refuse_unknown_items: float = 0.5
    warn_volume: float = 0.2
    refuse_volume: float = 0.02
    warn_agreement: float = 0.75
    refuse_agreement: float = 0.5
    warn_duplicates: float = 0.5
    refuse_duplicates: float = 1.0
    warn_conflicts: float = 0.02
    refuse_conflicts: float = 0.5
    warn_late: float = 0.5
    refuse_late: float = 1.0
    refuse_clock: float = 0.01

    def __post_init__(self) -> None:
        if self.min_events < 1:
            raise ConfigError(f"min_events is {self.min_events}, expected 1 or more.")
        for field in dataclasses.fields(self):
            share = getattr(self, field.name)
            if field.name != "min_events" and not (
                math.isfinite(share) and 0 <= share <= 1
            ):
                raise ConfigError(
                    f"{field.name} is {share}, expected a share from 0 to 1."
                )
        for name in ("volume", "agreement"):
            self._check_order(f"refuse_{name}", f"warn_{name}")
        for name in _RISING:
            self._check_order(f"warn_{name}", f"refuse_{name}")

    def _check_order(self, lower: str, upper: str) -> None:
        low, high = getattr(self, lower), getattr(self, upper)
        if low > high:
            raise ConfigError(
                f"{lower} is {low} and {upper} is {high}, expected the refusal to be "
                "at least as far off as the warning."
            )


_RISING = (
    *("missing", "shift", "new_values", "unknown_users", "unknown_items"),
    *("duplicates", "conflicts", "late"),
)
