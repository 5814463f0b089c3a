"""A process that has imported TensorFlow and forks workers.

`python -m` takes the descriptor of a socket, and the format and level of the log.

A fork takes milliseconds and shares the libraries' memory, where an import takes many
seconds and half a gigabyte. Nothing here runs an op: TensorFlow's threads, which no
fork would survive, start with the first one.
"""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from types import FrameType

from serving.modelserver.logs import configure
from serving.modelserver.worker.order import Order

_MAX_ORDER_BYTES = 2**16
# By its name: this module is run as `__main__`.
logger = logging.getLogger("serving.modelserver.worker.zygote")


def main(control: socket.socket) -> None:
    """Fork a worker for every order that comes, until the front process is gone.

    In: `control`: a SEQPACKET socket; each message is an order and brings the socket
        on which its worker answers.
    """
    # The front process decides when to end, also where a signal reaches the group.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    from serving.modelserver.worker import process

    process.import_libraries()
    # Objects that exist by now are never collected, and so never written to.
    gc.collect()
    gc.freeze()
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, _MAX_ORDER_BYTES, 1)
        if not data:
            _await_workers()
            return
        with socket.socket(fileno=descriptors[0]) as connection:
            if os.fork():
                continue
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            process.serve(connection, Order.from_bytes(data))


def _await_workers() -> None:
    """Wait for all workers, which end with the front process as this one does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _reap(number: int, frame: FrameType | None) -> None:
    """Take leave of ended workers, and tell of those that something else ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if status:
            code = os.waitstatus_to_exitcode(status)
            logger.error("Worker process %d ended with status %d.", pid, code)


if __name__ == "__main__":
    descriptor, log_format, log_level = sys.argv[1:]
    configure(log_format, log_level)
    main(socket.socket(fileno=int(descriptor)))
