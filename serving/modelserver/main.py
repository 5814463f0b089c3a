"""The `modelserver` command: flags in, exit status out."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import metadata
from types import FrameType

from serving.modelserver.errors import StartupError
from serving.modelserver.flags import Flags, parse_flags, usage, without_effect
from serving.modelserver.heap import give_large_blocks_back
from serving.modelserver.logs import configure
from serving.modelserver.server import ModelServer

_USER_MISTAKE = 2
_INTERRUPTED = 130
logger = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run the server until a signal ends it; return the exit status."""
    configure(Flags.log_format, Flags.log_level)
    if {"--help", "-h"} & set(arguments):
        print(usage())
        return 0
    try:
        flags, unknown = parse_flags(arguments)
        if unknown:
            print("\n".join(f"unknown argument: {item}" for item in unknown))
            print(usage(), flush=True)
        if flags.version:
            print(_version())
            return 0
        configure(flags.log_format, flags.log_level)
        for name, reason in without_effect(flags).items():
            logger.warning("--%s has no effect here: %s.", name, reason)
        return _serve(flags)
    except StartupError as err:
        print(f"modelserver: {err}", file=sys.stderr)
        return _USER_MISTAKE


def _serve(flags: Flags) -> int:
    give_large_blocks_back()
    stopping = threading.Event()
    status = 0

    def on_signal(number: int, _: FrameType | None) -> None:
        nonlocal status
        status = _INTERRUPTED if number == signal.SIGINT else 0
        stopping.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    server = ModelServer(flags)
    try:
        if server.start(stopping):
            print(server.ready_line(), flush=True)
            stopping.wait()
    finally:
        server.stop()
    return status


def _version() -> str:
    lines = []
    for name in ("tandem", "tensorflow"):
        try:
            lines.append(f"{name}: {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name}: not installed as a package")
    return "\n".join(lines)


def run(arguments: Sequence[str]) -> None:
    """Run the server and end the process with its exit status.

    A thread may still be inside TensorFlow, loading a model; no interpreter shutdown
    can wait for it or survive it, so the process ends at once.
    """
    status = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
