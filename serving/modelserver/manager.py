"""Looks for versions, loads new ones beside the old ones, and unloads the old ones.

A new version loads while the old one serves; once it is available the old one takes no
new requests and is dropped after its last one. Everything happens on one thread.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.modelserver.lifecycle import Servable, Version
from serving.modelserver.registry import Registry
from serving.modelserver.versions import find_versions

_TICK_S = 0.1
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ManagerOptions:
    """How often to look for versions and to try again after a failed load.

    `poll_wait_s`: seconds; 0 looks once, a negative number never.
    """

    poll_wait_s: float = 1.0
    max_num_load_retries: int = 5
    load_retry_interval_s: float = 60.0


class ModelManager:
    """Keeps a registry's models at the versions that their folders hold.

    In: `load`: turns a version's folder into a servable; runs on the manager's thread.
    """

    def __init__(
        self,
        registry: Registry,
        load: Callable[[str], Servable],
        options: ManagerOptions | None = None,
    ) -> None:
        self._registry = registry
        self._load = load
        self._options = options or ManagerOptions()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="manager", daemon=True)
        self._waits_for: set[str] = set()

    def start(self) -> None:
        """Begin to look for versions and to load them."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Stop looking and loading; return whether the thread ended in time."""
        self._stopping.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        wait_s = self._options.poll_wait_s
        next_poll_at = 0.0 if wait_s >= 0 else float("inf")
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= next_poll_at:
                self._poll()
                next_poll_at = now + wait_s if wait_s > 0 else float("inf")
            if not self._load_next():
                self._unload()
                self._stopping.wait(_TICK_S)

    def _poll(self) -> None:
        """Look at every folder; if one is missing, nothing changes for any model."""
        found: dict[str, dict[int, str]] = {}
        empty: set[str] = set()
        paths = self._registry.base_paths()
        for name, base_path in paths.items():
            versions = find_versions(base_path)
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

    def _load_next(self) -> bool:
        due = self._registry.begin_load()
        if due is None:
            return False
        name, version = due
        started = time.monotonic()
        try:
            servable = self._load(version.path)
        except Exception as err:
            self._fail(name, version, err)
            return True
        self._registry.finish_load(version, servable)
        took_s = time.monotonic() - started
        logger.info("Loaded %s version %d in %.1f s.", name, version.number, took_s)
        return True

    def _fail(self, name: str, version: Version, err: Exception) -> None:
        tries_left = self._options.max_num_load_retries + 1 - version.attempts
        logger.error(
            "%s version %d cannot be loaded from %s (%d more tries): %s: %s",
            name,
            version.number,
            version.path,
            tries_left,
            type(err).__name__,
            err,
        )
        wait_s = self._options.load_retry_interval_s if tries_left > 0 else None
        self._registry.fail_load(version, err, wait_s)

    def _unload(self) -> None:
        for name, number, _ in self._registry.unload():
            logger.info("Unloaded %s version %d.", name, number)
