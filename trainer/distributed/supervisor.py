"""Runs a command as several workers of one machine; if one is lost, all start again.

A worker that comes back alone is waited for in vain: the others have left the group it
would join. So all are ended and started anew, and training goes on from the newest
checkpoint. On Kubernetes and on Vertex AI the platform does the same; see
docs/scaling.md. Needs no TensorFlow.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence

from data.console import complain, say
from trainer.distributed.cluster import VARIABLE

RETRY = 138
"""What a worker ends with that lost another: above 127, as if a signal had ended it."""
POLL_S, GRACE_S = 0.1, 5.0


def supervise(
    command: Sequence[str], *, workers: int, restarts: int, servers: int = 0
) -> int:
    """Run a command as so many workers. Out: an exit status.

    In: `servers`: how many parameter servers run it too. `restarts`: how often all
    may start again. A process that was killed, or that ended because another was,
    starts all again; any other failure is the result.
    """
    for attempt in range(restarts + 1):
        if attempt:
            say(f"Starting all {workers} workers again ({attempt} of {restarts}).")
        with _started(command, environments(workers, servers)) as running:
            status = _wait(running, servers > 0)
        if status >= 0 and status != RETRY:
            return status
    complain(f"A worker was lost {restarts + 1} times; see why, then run this again.")
    return RETRY


def environments(workers: int, servers: int = 0) -> list[dict[str, str]]:
    """Return what each process finds in its environment: TF_CONFIG, free ports.

    The workers come first, the one that leads before all others.
    """
    with contextlib.ExitStack() as held:
        sockets = [
            held.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(workers + servers)
        ]
        found = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    each = {"chief": found[:1], "worker": found[1:workers], "ps": found[workers:]}
    cluster = {role: those for role, those in each.items() if those}
    tasks = [(role, i) for role, those in cluster.items() for i in range(len(those))]
    return [
        {VARIABLE: json.dumps({"cluster": cluster, "task": {"type": t, "index": i}})}
        for t, i in tasks
    ]


@contextlib.contextmanager
def _started(
    command: Sequence[str], told: Sequence[dict[str, str]]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start the workers, tell which they are, and leave none behind."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number, found in enumerate(told):
            # All show the same progress; what goes wrong is told on stderr.
            output = None if number == 0 else subprocess.DEVNULL
            environment = {**os.environ, **found}
            running.append(subprocess.Popen(command, env=environment, stdout=output))
        pids = ", ".join(str(process.pid) for process in running)
        say(f"{len(told)} processes run, the one that leads first: {pids}.")
        with _passed_on(running):
            yield running
    finally:
        _end(running)


def _wait(running: Sequence[subprocess.Popen[bytes]], others_serve: bool) -> int:
    """Wait until the first one ends with all done, or one fails. Out: its status.

    In: `others_serve`: what leads does all, the others never end by themselves.
    """
    while True:
        ended = [process.poll() for process in running]
        failed = [status for status in ended if status]
        if failed:
            time.sleep(10 * POLL_S)  # One that is killed takes others with it.
            ended = [process.poll() for process in running]
            lost = [s for s in ended if s and (s < 0 or s == RETRY)]
            return lost[0] if lost else failed[0]
        if ended[0] == 0:
            return 0 if others_serve else _rest_of(running)
        time.sleep(POLL_S)


def _rest_of(running: Sequence[subprocess.Popen[bytes]]) -> int:
    """Give the others the time to end once the one that leads has done all."""
    for process in running[1:]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    return 0


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:  # It waits for one that is no more.
            process.kill()
            process.wait()


@contextlib.contextmanager
def _passed_on(running: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Hand Ctrl-C and SIGTERM to the workers, which stop after a batch."""

    def pass_on(number: int, _: object) -> None:
        for process in running:
            if process.poll() is None:
                process.send_signal(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, pass_on) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
