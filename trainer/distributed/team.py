"""How a command meets the other processes that TF_CONFIG names, and leaves them."""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from data.errors import ConfigError
from trainer.config import TrainConfig
from trainer.distributed.cluster import Cluster
from trainer.distributed.crew import Crew
from trainer.distributed.helper import Helper
from trainer.distributed.servers import Servers
from trainer.distributed.workers import Workers
from trainer.errors import WorkerLost

LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
# What TensorFlow says of one that was lost and is there again, without its variables.
FORGOTTEN = ("remote_handle", "unknown device", "Primary device is not remote")
_met: list[Crew] = []


def team_here() -> Crew:
    """Return those that were met. Raises: ConfigError where a command met none."""
    if not _met:
        raise ConfigError(
            '[train] strategy is "multi_worker" or "parameter_server", which train, '
            "evaluate and export take and this command does not. Add "
            "--set train.strategy=none, or mirrored."
        )
    return _met[0]


@contextlib.contextmanager
def team(train: TrainConfig) -> Iterator[Crew]:
    """Meet the others, and let them end when the one that leads has.

    Raises: WorkerLost when one of them is gone.
    """
    crew = None
    try:
        # Once a process, before TensorFlow does anything else.
        crew = _meet(train)
        _met.append(crew)
        yield crew
        crew.dismiss()
    except LOST as err:
        raise WorkerLost(_lost(err)) from err
    except KeyboardInterrupt:
        raise
    except Exception as err:
        if any(text in str(err) for text in FORGOTTEN):
            raise WorkerLost(_lost(err)) from err
        if crew is not None:
            with contextlib.suppress(*LOST):
                crew.dismiss(str(err) or type(err).__name__)
        raise


def _meet(train: TrainConfig) -> Crew:
    cluster = Cluster.of(os.environ, train.strategy)
    if train.strategy == "multi_worker":
        return Workers(cluster, train.precision)
    return Servers(cluster, train) if cluster.leads else Helper(cluster, train)


def _lost(err: Exception) -> str:
    return (
        f"another process of this fit is gone ({type(err).__name__}). Start all of "
        "them again: training goes on from the newest checkpoint."
    )
