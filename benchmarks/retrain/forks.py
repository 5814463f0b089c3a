"""Runs commands of `python -m trainer` in forks of a process that has imported all.

Importing is most of what a short step takes, and no part of it: so a process imports
once, and each command is a fork of it, which can be killed at a moment of its own.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

INGEST, ROLLBACK = "ingest", "rollback"


@dataclass(frozen=True)
class Ran:
    """A command that has ended, or was killed.

    `status`: None if it was killed; `into_s`: how long the step had been at work when
    it was, or how long it took, None if it never began.
    """

    status: int | None
    into_s: float | None


class Forks:
    """A process that forks itself for each command."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process, self.log = process, log

    @classmethod
    @contextlib.contextmanager
    def open(cls, log: Path, *preload: str) -> Iterator["Forks"]:
        """Start it.

        In: `log`: where commands write; `preload`: modules to import, or
        `module:function` to call there once.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.retrain.forks", str(log), *preload],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield cls(process, log)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def run(
        self, words: Sequence[object], step: str = "", kill_after_s: float | None = None
    ) -> Ran:
        """Run a command. In: `step`: which is watched, and killed some time into it."""
        assert self._process.stdin is not None
        request = {"words": [str(word) for word in words], "step": step}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        pid, began, into = int(self._read()[1]), 0.0, None
        while (told := self._read())[0] != "dead":
            if told[0] == "begins":
                began = time.monotonic()
                if kill_after_s is not None:
                    time.sleep(kill_after_s)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    into = time.monotonic() - began
            elif into is None:
                into = time.monotonic() - began
        status = int(told[1])
        return Ran(None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), into)

    def _read(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process that forks has ended: {self.log}")
        return line.split()


def _serve(log: IO[str], requests: IO[str]) -> None:
    for line in requests:
        pid = os.fork()
        if not pid:
            os._exit(_run(json.loads(line), log))
        _tell("pid", pid)
        _tell("dead", os.waitpid(pid, 0)[1])


def _run(request: dict[str, Any], log: IO[str]) -> int:
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
    from trainer.__main__ import main

    try:
        if request["step"]:
            _watch(request["step"])
        main(request["words"], standalone_mode=False)
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0


def _watch(step: str) -> None:
    """Have a step say when it begins and when it is over."""
    from trainer.retrain import job, newdata, rollback

    if step == INGEST:
        _wrap(newdata, "grow", lambda *_: True)
    elif step == ROLLBACK:
        _wrap(rollback, "rollback", lambda *_: True)
    else:
        _wrap(job.Steps, "run", lambda _, name: name == step)


def _wrap(owner: Any, name: str, meant: Callable[..., bool]) -> None:
    inner = getattr(owner, name)

    def outer(*arguments: Any, **options: Any) -> Any:
        if not meant(*arguments):
            return inner(*arguments, **options)
        _tell("begins")
        result = inner(*arguments, **options)
        _tell("over")
        return result

    setattr(owner, name, outer)


_OUTPUT = os.dup(1)  # What forks print goes to the log.


def _tell(*words: object) -> None:
    os.write(_OUTPUT, f"{' '.join(map(str, words))}\n".encode())


def _main(log: str, *preload: str) -> None:
    for name in preload:
        module, _, function = name.partition(":")
        loaded = importlib.import_module(module)
        if function:
            getattr(loaded, function)()
    with open(log, "a", buffering=1) as file:
        _serve(file, sys.stdin)


if __name__ == "__main__":
    _main(*sys.argv[1:])
