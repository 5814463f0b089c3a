"""Chooses who takes the steps of a fit, as the configuration says."""

from trainer.config import SEVERAL, TrainConfig
from trainer.distributed.crew import Crew
from trainer.distributed.replicas import Replicas, mirrored
from trainer.distributed.team import team_here


def crew_of(train: TrainConfig) -> Crew:
    """Return who takes the steps. Raises: ConfigError when there are no devices."""
    if train.strategy == "none":
        return Crew(train.precision)
    if train.strategy in SEVERAL:
        return team_here()
    return Replicas(mirrored(train.devices), train.precision)
