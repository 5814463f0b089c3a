"""A data set parted by time: what is known at first, then slices one after another."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.ingest.experiment import experiment_text, local_tables, other_tables
from data.prepare import raw_folder
from data.prepare.rows import Rows
from data.settings import read_toml
from data.tables import read_batches, read_table
from trainer.config import read_experiment


@dataclass(frozen=True)
class Sliced:
    """An experiment on the first part, and the files of the later ones, in order."""

    toml: Path
    slices: tuple[Path, ...]


def slice_by_time(toml: Path, folder: Path, first: float, number: int) -> Sliced:
    """Write a data set as a first part and `number` slices of as many events each.

    In: `first`: the first part's share of the events.
    """
    config = read_experiment(toml).data
    raw = raw_folder(config, toml)
    table = pa.concat_tables(read_batches("interactions", config.interactions, raw))
    time = Rows.of(config, table, 1).time
    bounds = np.quantile(time, np.linspace(first, 1, number + 1), method="higher")
    part = np.searchsorted(bounds[:-1], time, side="right")
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.filter(pa.array(part == 0)), folder / "interactions.parquet")
    slices = []
    for one in range(1, number + 1):
        slices.append(folder / f"slice{one}.parquet")
        pq.write_table(table.filter(pa.array(part == one)), slices[-1])
    for name, described in config.tables().items():
        if name != "interactions":
            frame = read_table(name, described, raw).astype(object)
            frame = frame.where(frame.notna(), None)
            columns = {c: pa.array(frame[c], pa.string()) for c in described.columns}
            pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    local = dataclasses.replace(local_tables(config), catalog=None)
    place = folder / "experiment.toml"
    place.write_text(experiment_text(local, other_tables(read_toml(toml), toml)))
    return Sliced(place, tuple(slices))
