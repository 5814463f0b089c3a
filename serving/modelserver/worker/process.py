"""A worker: loads one version, says so, and answers calls until nobody needs it."""

import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

from serving.modelserver.errors import Code, StatusError
from serving.modelserver.worker import frames
from serving.modelserver.worker.frames import Frame, Method
from serving.modelserver.worker.order import Order
from serving.modelserver.worker.priority import in_the_shadow
from serving.modelserver.worker.turns import Turns

_MOST_THREADS = 256
logger = logging.getLogger(__name__)
# What a call comes to: an answer of bytes; a StatusError otherwise.
Handler = Callable[[Frame], bytes]


def import_libraries() -> None:
    """Import all that a worker needs, for the process that forks workers."""
    from serving.modelserver import servable
    from serving.modelserver.worker import loading

    servable.register_ops()
    assert loading


def serve(connection: socket.socket, order: Order) -> NoReturn:
    """Load what is ordered and answer calls; the process ends with the connection.

    What is still running then runs for nobody: the front process closes a connection
    after the last answer, and its own end closes all of them.
    """
    _Worker(connection, order).run()
    sys.stderr.flush()
    # No interpreter shutdown: it would wait for TensorFlow's threads, to no use.
    os._exit(0)


class _Worker:
    def __init__(self, connection: socket.socket, order: Order) -> None:
        self._connection = connection
        self._order = order
        self._sending = threading.Lock()
        self._handler: Handler | None = None

    def run(self) -> None:
        threading.Thread(target=self._get_ready, name="load", daemon=True).start()
        Turns(self._connection, self._answer, _num_threads(self._order)).run()

    def _get_ready(self) -> None:
        try:
            with _without_notes(self._order.flags.log_level):
                self._handler = _handler(self._order)
        except Exception as err:
            code = Code(getattr(err, "error_code", None) or _code_of(err))
            kind = "" if isinstance(err, StatusError) else f"{type(err).__name__}: "
            text = f"{kind}{err}"
            self._send(Frame(frames.READY, code, text.encode("utf-8", "replace")))
        else:
            self._send(Frame(frames.READY, Code.OK, str(os.getpid()).encode()))

    def _answer(self, frame: Frame) -> None:
        code = Code.OK
        try:
            assert self._handler
            payload = self._handler(frame)
        except StatusError as err:
            code, payload = err.code, err.message.encode("utf-8", "surrogateescape")
        except Exception as err:
            # The type alone: the text of an error may quote what was asked for.
            code = Code.INTERNAL
            payload = b"Internal error of the model server"
            logger.error("Internal error in a request: %s", type(err).__name__)
        self._send(Frame(frame.call, code, payload))

    def _send(self, frame: Frame) -> None:
        try:
            with self._sending:
                self._connection.sendall(frames.encode(frame))
        except OSError:
            # Nobody reads any more; the reading side ends the process.
            return


def _num_threads(order: Order) -> int:
    """Return how many calls are worked at: each holds a thread, also in a batch."""
    threads = order.flags.grpc_max_threads + order.flags.rest_api_num_threads
    if not order.batching:
        return threads
    batches = 2 * order.batching.num_batch_threads
    return threads + min(batches * order.batching.largest_batch, _MOST_THREADS)


def _handler(order: Order) -> Handler:
    if not order.path:
        return _list_folder
    from serving.modelserver.worker.loading import Version

    # TensorFlow's threads, and those of batches, start at the usual priority.
    version = Version(order)
    if order.in_background:
        in_the_shadow(version.load)
    else:
        version.load()
    return version.answer


@contextlib.contextmanager
def _without_notes(log_level: str) -> Iterator[None]:
    """Keep to itself what TensorFlow notes about every graph, at whatever log level.

    Errors come as exceptions. It writes to the descriptor, past Python's streams.
    """
    if log_level == "debug":
        yield
        return
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _list_folder(frame: Frame) -> bytes:
    """Return the names in a remote folder, one a line, as TensorFlow reads it."""
    import tensorflow as tf

    if frame.kind != Method.LIST_FOLDER:
        raise StatusError(Code.UNIMPLEMENTED, "This worker only lists folders")
    path = frame.payload.decode("utf-8", "surrogateescape")
    try:
        names = tf.io.gfile.listdir(path)
    except tf.errors.OpError as err:
        raise StatusError(Code(err.error_code), f"{path} cannot be listed") from None
    return "\n".join(names).encode("utf-8", "surrogateescape")


def _code_of(err: Exception) -> Code:
    return err.code if isinstance(err, StatusError) else Code.UNKNOWN
