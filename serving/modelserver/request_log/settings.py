"""What `logging_config` of a model's configuration asks for."""

import os
from dataclasses import dataclass
from typing import Any

from serving.modelserver.errors import Code, StatusError, invalid_argument

# Upstream has a factory for each type, and none comes with its binary.
TYPES = ("", "tfrecord")


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """How much of a model's requests is logged, and where to.

    `rate`: the share of requests, above 0 to 1. `prefix`: how the names of the files
    begin, an absolute path.
    """

    prefix: str
    rate: float


def log_settings(model: str, config: Any) -> LogSettings | None:
    """Return what a LoggingConfig message asks for; None where nothing is logged.

    Raises: StatusError: INVALID_ARGUMENT or, as upstream for a type of collector that
        it does not have, NOT_FOUND; FAILED_PRECONDITION: there is no such folder, or
        this process may not write there.
    """
    collector, rate = config.log_collector_config, config.sampling_config.sampling_rate
    if collector.type not in TYPES:
        raise StatusError(
            Code.NOT_FOUND,
            f"Cannot find LogCollector::Factory for type: {collector.type}; expected "
            f'"tfrecord" (logging_config of model {model})',
        )
    for field, where in (
        ("custom_logging_config", config),
        ("per_task_sampling_configs", config.sampling_config),
    ):
        if any(found.name == field for found, _ in where.ListFields()):
            raise invalid_argument(
                f"logging_config of model {model}: {field} is not supported by this "
                "server"
            )
    if not 0 <= rate <= 1:
        raise invalid_argument(
            f"logging_config of model {model}: expected a sampling_rate from 0 to 1, "
            f"got {rate}"
        )
    if rate == 0:
        return None
    _check_place(model, collector.filename_prefix)
    return LogSettings(prefix=collector.filename_prefix, rate=rate)


def _check_place(model: str, prefix: str) -> None:
    if not os.path.isabs(prefix):
        raise invalid_argument(
            f"logging_config of model {model}: expected a filename_prefix that is an "
            f"absolute local path, such as /var/log/serving/{model}; got {prefix!r}"
        )
    folder = os.path.dirname(prefix)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        problem = "cannot be written to" if os.path.isdir(folder) else "does not exist"
        raise StatusError(
            Code.FAILED_PRECONDITION,
            f"logging_config of model {model}: the folder {folder} of filename_prefix "
            f"{problem}; make it, or name another",
        )
