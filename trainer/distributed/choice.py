"""Chooses who takes the steps of a fit, as the configuration says."""

from trainer.config import TrainConfig
from trainer.distributed.crew import Crew
from trainer.distributed.replicas import Replicas, mirrored
from trainer.distributed.workers import team_here


def crew_of(train: TrainConfig) -> Crew:
    """Return who takes the steps. Raises: ConfigError when there are no devices."""
    if train.strategy == "none":
        return Crew(train.precision)
    if train.strategy == "multi_worker":
        return team_here()
    return Replicas(mirrored(train.devices), train.precision)
