"""The tables that a published version answers from, read out of its variables."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from data import files
from trainer.errors import ExportError
from trainer.models.stored import LARGEST_IN_HALF

_VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
_NEAR = 4


@dataclass(frozen=True)
class Served:
    """The recommender of a version, as a folder: it holds both models' tables."""

    folder: str

    @cached_property
    def _reader(self) -> Any:
        return tf.train.load_checkpoint(
            files.join(self.folder, "variables", "variables")
        )

    def table(self, name: str) -> np.ndarray:
        """Return a table of `RecommenderServable.tables`.

        Raises: ExportError: an older release has saved it, without names.
        """
        key = f"tables/{name}/{_VALUE}"
        if not self._reader.has_tensor(key):
            raise ExportError(
                f"{self.folder}: no table {name!r} in its variables, expected what "
                "this release exports. Run: make export."
            )
        return np.asarray(self._reader.get_tensor(key))

    def numbers(self, name: str, like: np.ndarray) -> np.ndarray:
        """Return a table of numbers, float32.

        In: `like`: numbers of about the same size: half precision is stored in a unit
        that no variable tells (`models.stored`).
        """
        values = self.table(name)
        if values.dtype == np.float32:
            return values
        wide = values.astype(np.float32)
        largest = max(float(np.abs(like).max(initial=0)), 1e-30)
        about = int(np.floor(np.log2(LARGEST_IN_HALF / largest)))
        units = [2.0**p for p in range(about - _NEAR, about + _NEAR + 1)]
        rows = min(len(wide), len(like))
        apart = [np.median(np.abs(wide[:rows] / u - like[:rows])) for u in units]
        return np.asarray(wide / np.float32(units[int(np.argmin(apart))]))

    def ids(self, name: str) -> dict[str, int]:
        """Return the rows of ids, from 1; none of users whose state was left out.

        In: `name`: user_ids or item_ids.
        """
        place = files.join(self.folder, "assets", f"{name}.txt")
        if name == "user_ids" and not files.exists(place):
            return {}
        with files.open_file(place) as file:
            text = file.read().decode()
        return {known: row for row, known in enumerate(text.split("\n")[:-1], 1)}

    def history(self, user: int) -> np.ndarray:
        """Return the rows that a user's history holds at export, oldest first."""
        bounds, values = self._histories
        start, end = bounds[user]
        return np.asarray(values[start:end])

    @cached_property
    def _histories(self) -> tuple[np.ndarray, np.ndarray]:
        return self.table("history_bounds"), self.table("history_values")

    @cached_property
    def last_time(self) -> np.ndarray:
        """Return when each user's newest event was: int64 (users + 1,)."""
        return self.table("last_time")
