"""A parameter server, or a worker of one that leads: it does what it is asked to."""

import os
import signal
import socket
import threading
import time
from typing import NoReturn

import tensorflow as tf

from data.cli import INTERRUPTED
from trainer.config import TrainConfig
from trainer.distributed.cluster import Cluster
from trainer.distributed.crew import Crew
from trainer.distributed.servers import PROTOCOL
from trainer.errors import WorkerLost

POLL_S, AWAY_S, ASKED_S = 1.0, 120.0, 25.0


class Helper(Crew):
    """This process takes part in steps without knowing what is fitted."""

    leads = False

    def __init__(self, cluster: Cluster, train: TrainConfig) -> None:
        super().__init__(train.precision)
        cluster.check_port()
        os.environ.setdefault("GRPC_FAIL_FAST", "use_caller")
        role, index = cluster.task()
        if role == "ps":  # Tables are for the machine's own memory.
            tf.config.set_visible_devices([], "GPU")
        self.leader = cluster.leader
        self.server = tf.distribute.Server(
            tf.train.ClusterSpec(cluster.roles()),
            job_name=role,
            task_index=index,
            protocol=PROTOCOL,
        )

    def serve(self) -> None:
        """Do what is asked until the one that leads has ended.

        Asked to stop it goes on for a while: the one that leads, asked too, ends its
        step and keeps where it stands. Raises: SystemExit when it was asked; WorkerLost
        when the one that leads is gone for long, be it that all is done.
        """
        asked = threading.Event()
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {s: signal.signal(s, lambda *_: asked.set()) for s in signals}
        try:
            self._serve(asked)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _serve(self, asked: threading.Event) -> NoReturn:
        seen = stop_at = None
        while stop_at is None or time.monotonic() < stop_at:
            time.sleep(POLL_S)
            now = time.monotonic()
            if is_listening(self.leader):
                seen = now
            elif asked.is_set():
                break
            elif seen is not None and now - seen > AWAY_S:
                raise WorkerLost(
                    f"the one that leads, at {self.leader}, has ended or is lost. If "
                    "not all is done, start this again: it waits for that one."
                )
            if asked.is_set() and stop_at is None:
                stop_at = now + ASKED_S
        raise SystemExit(INTERRUPTED)


def is_listening(address: str) -> bool:
    """Tell whether somebody listens at an address, HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError:
        return False
    return True
