"""What all commands share: how they end, and what they keep off the screen."""

import logging

from data.cli import MISTAKE, REFUSED
from trainer.distributed.supervisor import RETRY
from trainer.errors import (
    ExportError,
    GateRefused,
    TrainingError,
    WorkerLost,
)

STATUSES: dict[type[Exception], int] = {
    ExportError: MISTAKE,
    TrainingError: MISTAKE,
    GateRefused: REFUSED,
    WorkerLost: RETRY,
}


def quieten() -> None:
    """Keep TensorFlow's start-up chatter off the screen; warnings stay in its log."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
