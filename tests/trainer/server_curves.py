"""Fits models alone, and by two workers with two servers; writes down how that went.

Run as a process of its own, which divides itself before TensorFlow starts anything.
`python -m tests.trainer.server_curves FOLDER`.
"""

import json
import os
import signal
import sys
from pathlib import Path

import tensorflow as tf

from data.planted import write_planted
from data.prepare import prepare
from data.schema import data_config
from data.settings import read_toml
from tests.trainer.replica_curves import fit, fitter
from trainer.config import TrainConfig
from trainer.distributed.helper import Helper
from trainer.distributed.supervisor import environments
from trainer.distributed.team import team

CASES = ("in_batch", "ranking")
SERVERS = {"strategy": "parameter_server", "shard_mb": 0.0005}
TRAIN = TrainConfig(strategy="parameter_server", shard_mb=0.0005)


def helpers(told: list[dict[str, str]]) -> list[int]:
    """Start a process for each that does not lead. Out: their ids."""
    found = []
    for one in told:
        pid = os.fork()
        if pid == 0:
            os.environ.update(one)
            with team(TRAIN) as crew:
                assert isinstance(crew, Helper)
                crew.serve()
        found.append(pid)
    return found


def main(folder: Path) -> None:
    """Fit every case alone and with servers."""
    planted = write_planted(folder / "planted")
    data = data_config(read_toml(planted.toml), planted.toml)
    prepared = prepare(data, planted.toml, str(folder / "data"))
    first, *others = environments(3, 2)
    pids = helpers(others)
    try:
        os.environ.update(first)
        with team(TRAIN):
            # To optimize the graphs would cost more than their few steps.
            tf.config.optimizer.set_experimental_options(
                {"disable_meta_optimizer": True}
            )
            found = {}
            for name in CASES:
                for strategy, train in (("none", {}), ("servers", SERVERS)):
                    out = folder / name / strategy
                    of = fitter(prepared, data, out, name, **train)
                    found[f"{name}/{strategy}"] = fit(prepared, of, name, out)
            (folder / "found.json").write_text(json.dumps(found))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
