"""Looks for versions, loads new ones beside the old ones, and unloads the old ones.

A new version loads while the old one serves; once it is available the old one takes no
new requests and is dropped after its last one. One thread decides; each load has a
thread that waits for it. A version whose process ends unasked is loaded anew.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.modelserver.errors import StatusError
from serving.modelserver.lifecycle import Loaded, Version
from serving.modelserver.registry import Registry
from serving.modelserver.versions import find_versions

_TICK_S = 0.1
_FIRST_LOADS = 4 * (os.cpu_count() or 1)
# A worker that served for so long did not end because of how it was loaded.
_SETTLED_AFTER_S = 600.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ManagerOptions:
    """How often to look for versions and to try again after a failed load.

    `poll_wait_s`: seconds; 0 looks once, a negative number never. `num_load_threads`:
    loads at a time once the server is ready; before, they are many. `alone_s`: after a
    version has taken over, no other one of what is served is loaded for so long: its
    first requests are slow, and slower still beside a load.
    """

    poll_wait_s: float = 1.0
    max_num_load_retries: int = 5
    load_retry_interval_s: float = 60.0
    num_load_threads: int = 1
    alone_s: float = 2.5


class ModelManager:
    """Keeps a registry's models at the versions that their folders hold.

    In: `load`: turns a model's name, a version and its folder into a servable, which
        takes as long as it takes. `find`: the versions in a folder, `find_versions` in
        most cases. `on_death`: told the model of a version whose process ended unasked.
    """

    def __init__(
        self,
        registry: Registry,
        load: Callable[[str, int, str], Loaded],
        options: ManagerOptions | None = None,
        find: Callable[[str], dict[int, str] | None] = find_versions,
        on_death: Callable[[str], None] = lambda model: None,
    ) -> None:
        self._registry = registry
        self._load = load
        self._find = find
        self._on_death = on_death
        self._options = options or ManagerOptions()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="manager", daemon=True)
        self._waits_for: set[str] = set()
        self._loads: list[threading.Thread] = []
        self._was_ready = False

    def start(self) -> None:
        """Begin to look for versions and to load them."""
        self._thread.start()

    def look(self) -> None:
        """Look for versions now, if ever; the configuration may have changed."""
        self._asked.set()
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Stop looking and loading; return whether all threads ended in time."""
        deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        threads = [self._thread, *self._loads]
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in threads)

    def _run(self) -> None:
        wait_s = self._options.poll_wait_s
        next_poll_at = 0.0 if wait_s >= 0 else float("inf")
        while not self._stopping.is_set():
            self._wake.clear()
            now = time.monotonic()
            if now >= next_poll_at or (self._asked.is_set() and wait_s >= 0):
                self._asked.clear()
                self._poll()
                next_poll_at = now + wait_s if wait_s > 0 else float("inf")
            self._start_loads()
            self._unload()
            self._wake.wait(_TICK_S)

    def _poll(self) -> None:
        """Look at every folder; if one is missing, nothing changes for any model."""
        found: dict[str, dict[int, str]] = {}
        empty: set[str] = set()
        paths = self._registry.base_paths()
        for name, base_path in paths.items():
            versions = self._find(base_path)
            if versions is not None:
                found[name] = versions
            if versions is None or (not versions and self._registry.is_new(name)):
                empty.add(base_path)
        for path in sorted(empty - self._waits_for):
            logger.warning(
                "Waiting for %s to hold a version: a folder named by a number, as an "
                "export writes it. Ports stay closed until every model has one.",
                path,
            )
        self._waits_for = empty
        if len(found) == len(paths):
            self._registry.want(found)

    def _start_loads(self) -> None:
        """Begin the loads that are due, as many at a time as may be."""
        self._loads = [thread for thread in self._loads if thread.is_alive()]
        while len(self._loads) < self._most_loads():
            due = self._registry.begin_load(self._options.alone_s)
            if due is None:
                return
            thread = threading.Thread(target=self._load_one, args=due, daemon=True)
            self._loads.append(thread)
            thread.start()

    def _most_loads(self) -> int:
        """Return how many loads may run: at first nobody is served that could mind."""
        if not self._was_ready:
            with contextlib.suppress(StatusError):
                self._was_ready = self._registry.wait_until_ready(0)
        return self._options.num_load_threads if self._was_ready else _FIRST_LOADS

    def _load_one(self, name: str, version: Version) -> None:
        started = time.monotonic()
        try:
            servable = self._load(name, version.number, version.path)
        except Exception as err:
            if not self._stopping.is_set():
                self._fail(name, version, err)
            self._wake.set()
            return
        if self._registry.finish_load(version, servable):
            took_s = time.monotonic() - started
            logger.info("Loaded %s version %d in %.1f s.", name, version.number, took_s)
            servable.watch(lambda: self._lost(name, version, servable))
        else:
            servable.close()
        self._wake.set()

    def _lost(self, name: str, version: Version, servable: Loaded) -> None:
        again = self._registry.lose(
            version, servable, self._options.max_num_load_retries, _SETTLED_AFTER_S
        )
        self._on_death(name)
        then = "it is loaded again" if again else "it is not loaded again"
        logger.error(
            "The process of %s version %d has ended unasked; %s.",
            name,
            version.number,
            then,
        )
        self._wake.set()

    def _fail(self, name: str, version: Version, err: Exception) -> None:
        tries_left = self._options.max_num_load_retries + 1 - version.attempts
        logger.error(
            "%s version %d cannot be loaded from %s (%d more tries): %s",
            name,
            version.number,
            version.path,
            tries_left,
            err,
        )
        wait_s = self._options.load_retry_interval_s if tries_left > 0 else None
        self._registry.fail_load(version, err, wait_s)

    def _unload(self) -> None:
        for name, number, servable in self._registry.unload():
            if servable:
                servable.close()
            logger.info("Unloaded %s version %d.", name, number)
