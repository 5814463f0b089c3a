"""Vectors of the texts that came after training: each is encoded once, ever."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import files
from data.prepare.shards import write_table
from trainer.config import TextConfig
from trainer.models.text_presets import preset_files
from trainer.models.text_tower import TextTower

VECTORS = "vectors.parquet"


@dataclass(frozen=True)
class TextStore:
    """Keeps vectors of a frozen text tower in an experiment's folder, by text."""

    out: str
    config: TextConfig

    @property
    def folder(self) -> str:
        """Return where the vectors of this tower are."""
        inputs = (preset_files(self.config.preset), self.config.max_tokens)
        name = f"added-{files.fingerprint(*inputs)}"
        return files.join(self.out, "texts", name)

    def encode(self, texts: np.ndarray, tower: TextTower) -> np.ndarray:
        """Return vectors. In: str (n,). Out: float32 (n, dim)."""
        known = self._read()
        new = np.array([t for t in dict.fromkeys(texts) if t not in known], object)
        if len(new):
            known |= dict(zip(new, tower.encode(new), strict=True))
            self._write(known)
        return np.stack([known[text] for text in texts])

    def _read(self) -> dict[str, np.ndarray]:
        place = files.join(self.folder, VECTORS)
        if not files.exists(place):
            return {}
        with files.open_file(place) as file:
            table = pq.read_table(file)
        vectors = np.stack(table["vector"].to_numpy())
        return dict(zip(table["text"].to_pylist(), vectors, strict=True))

    def _write(self, known: dict[str, np.ndarray]) -> None:
        texts = pa.array(list(known), pa.string())
        vectors = np.stack(list(known.values()))
        with files.new_folder(self.folder) as beside:
            place = files.join(beside, VECTORS)
            write_table(place, {"text": texts, "vector": vectors})
