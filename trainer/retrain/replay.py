"""Replays the newest weeks of a data set as if they were new: `make retrain`.

The version that `make train` published was made of those weeks too, so it cannot stand
for the champion of the day before them. That one is fitted here, on what was known
then, and is measured but never published; what serves is compared in size and speed.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import files
from data.console import say
from data.errors import ConfigError
from data.ingest.experiment import experiment_text, local_tables, other_tables
from data.prepare import raw_folder
from data.prepare.rows import Rows
from data.schema import DataConfig
from data.settings import read_toml
from data.tables import read_batches, read_table
from trainer.retrain.driver import retrain
from trainer.retrain.request import Request

WEEK_S = 7 * 86_400
TOML, NEW = "experiment.toml", "new.parquet"


def replay(request: Request, *, in_pipeline: bool = False) -> str:
    """Part the data set by time, and retrain with the newest part. Out: the verdict.

    Raises: ConfigError where there is nothing to part by; as `retrain`.
    """
    weeks = request.config.retrain.replay_weeks
    folder = _parted(request, weeks)
    say(f"The last {weeks:g} weeks are the new data, what was before the old: {folder}")
    given = dataclasses.replace(
        request,
        toml=Path(files.join(folder, TOML)),
        config=dataclasses.replace(
            request.config, data=local_tables(request.config.data)
        ),
        new=(files.join(folder, NEW),),
        overrides=(),
        dataset=files.join(folder, "dataset"),
        stands_in=True,
    )
    return retrain(given, in_pipeline=in_pipeline)


def _parted(request: Request, weeks: float) -> str:
    """Write the old part with a TOML of its own, and the new part. Out: the folder."""
    config = request.config.data
    if config.interactions.column("time") is None:
        raise ConfigError(
            f"{request.toml}: no column of [data.interactions.columns] has role = "
            '"time", so that no weeks can be replayed. Name new data: --new FILE.'
        )
    raw = raw_folder(config, request.toml)
    name = files.fingerprint(
        weeks, repr(config), [files.sha256(p) for p in _paths(config, raw)]
    )
    folder = files.join(request.out, "retrain", "replay", name)
    if not files.exists(files.join(folder, TOML)):
        with files.new_folder(folder) as beside:
            _write(request, raw, beside, weeks)
    return folder


def _paths(config: DataConfig, folder: str) -> list[str]:
    from data.tables import table_path

    return [table_path(table, folder) for table in config.tables().values()]


def _write(request: Request, raw: str, folder: str, weeks: float) -> None:
    config = request.config.data
    blocks = list(read_batches("interactions", config.interactions, raw))
    table = pa.concat_tables(blocks)
    time = Rows.of(config, table, 1).time
    cut = np.nanmax(time) - weeks * WEEK_S
    old = table.filter(pa.array(~(time >= cut)))
    new = table.filter(pa.array(time >= cut))
    if not old.num_rows or not new.num_rows:
        raise ConfigError(
            f"[retrain] replay_weeks = {weeks:g}: {old.num_rows:,} events before the "
            f"last weeks and {new.num_rows:,} in them, expected some in both. Take "
            "fewer weeks."
        )
    _put(folder, "interactions.parquet", old)
    _put(folder, NEW, new)
    for name, described in config.tables().items():
        if name != "interactions":
            frame: pd.DataFrame = read_table(name, described, raw)
            text = frame.astype(object).where(frame.notna(), None)
            columns = {c: pa.array(text[c], pa.string()) for c in described.columns}
            _put(folder, f"{name}.parquet", pa.table(columns))
    others: dict[str, Any] = other_tables(
        read_toml(request.toml, request.overrides), request.toml
    )
    told = experiment_text(local_tables(config), others)
    files.write_text(files.join(folder, TOML), told)


def _put(folder: str, name: str, table: pa.Table) -> None:
    with files.open_file(files.join(folder, name), "wb") as file:
        pq.write_table(table, file)
