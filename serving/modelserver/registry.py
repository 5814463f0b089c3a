"""The models of a server and the versions they have, safe to ask from any thread."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from serving.modelserver.errors import Code, StatusError, invalid_argument
from serving.modelserver.lifecycle import (
    Loaded,
    Model,
    State,
    Version,
    VersionStatus,
)
from serving.modelserver.model_config import ModelConfig
from serving.modelserver.model_spec import ModelSpec
from serving.modelserver.request_log.settings import LogSettings

_MAX_WAIT_S = 60
# New models, those configured by name, and the available versions by name.
Check = Callable[
    [Sequence[ModelConfig], Mapping[str, ModelConfig], Mapping[str, Collection[int]]],
    None,
]


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A loaded version that stays loaded while a request uses it.

    `logging`: which requests of its model are written down.
    """

    name: str
    version: int
    servable: Loaded
    logging: LogSettings | None = None


class Registry:
    """What is configured, what is loaded, and who uses it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._models: dict[str, Model] = {}
        self._configured: dict[str, ModelConfig] = {}

    def apply(
        self, configs: Sequence[ModelConfig], check: Check | None = None
    ) -> set[str]:
        """Serve these models from now on, and no others; the rest is unloaded.

        In: `check`: raises where the models do not go with those that are configured
            and the versions that are available; nothing has changed then.
        Out: the names that were not configured before.
        """
        with self._changed:
            before = self._configured
            if check:
                ready = {
                    name: {version.number for version in model.ready()}
                    for name, model in self._models.items()
                }
                check(configs, before, ready)
            self._configured = {config.name: config for config in configs}
            for name, model in self._models.items():
                if name not in self._configured:
                    model.want({})
            for name, config in self._configured.items():
                self._models.setdefault(name, Model(config=config)).take(config)
            self._changed.notify_all()
            return self._configured.keys() - before.keys()

    def base_paths(self) -> dict[str, str]:
        """Return the folder of each configured model."""
        with self._changed:
            return {name: c.base_path for name, c in self._configured.items()}

    def log_prefixes(self) -> set[str]:
        """Return how the names of the files begin that requests are logged in."""
        with self._changed:
            logged = [c.logging for c in self._configured.values()]
        return {settings.prefix for settings in logged if settings}

    def is_new(self, name: str) -> bool:
        """Tell whether a model never had a version."""
        with self._changed:
            return not self._models[name].versions

    def want(self, found: dict[str, dict[int, str]]) -> None:
        """Take what the folders hold: version numbers and paths by model."""
        with self._changed:
            for name, versions in found.items():
                if name in self._configured:
                    self._models[name].want(versions)
            self._changed.notify_all()

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Return whether every model has an available version within the time.

        Raises: StatusError: a model has failed to load for good.
        """
        with self._changed:
            return self._changed.wait_for(self._is_ready, timeout_s)

    def is_ready(self, names: Collection[str]) -> bool:
        """Return whether those of the models that are configured have a version.

        Raises: StatusError: one of them has failed to load for good.
        """
        with self._changed:
            return self._are_ready(names)

    @contextlib.contextmanager
    def lease(self, spec: ModelSpec) -> Iterator[Lease]:
        """Lend the version that a request names, for as long as the request runs.

        Raises: StatusError: as TensorFlow Serving words it; no such version or label.
        """
        with self._changed:
            version, servable = self._find(spec)
            version.leases += 1
            config = self._configured.get(spec.name)
        try:
            yield Lease(
                name=spec.name,
                version=version.number,
                servable=servable,
                logging=config.logging if config else None,
            )
        finally:
            with self._changed:
                version.leases -= 1

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Return the state of every version of a model, or of one; newest first.

        Raises: StatusError: NOT_FOUND: no such model or version.
        """
        with self._changed:
            model = self._models.get(name)
            found = [v.status() for v in model.versions.values()] if model else []
        if version is not None:
            found = [status for status in found if status.number == version]
        if not found:
            what = "any versions" if version is None else f"version {version}"
            text = f"Could not find {what} of model {name}"
            raise StatusError(Code.NOT_FOUND, text)
        return sorted(found, key=lambda status: status.number, reverse=True)

    def available(self) -> dict[str, list[int]]:
        """Return the available versions of each configured model, newest first."""
        with self._changed:
            return {
                name: sorted((v.number for v in model.ready()), reverse=True)
                for name, model in self._models.items()
                if name in self._configured
            }

    def loaded(self) -> list[tuple[str, int, Loaded]]:
        """Return model, version and servable of all that is there, also the ending."""
        with self._changed:
            return [
                (name, version.number, version.servable)
                for name, model in self._models.items()
                for version in model.versions.values()
                if version.servable
            ]

    def begin_load(self, alone_s: float = 0.0) -> tuple[str, Version] | None:
        """Return the model and version to load now, marked as loading.

        In: `alone_s`: so long after a version became available none is loaded beside
            it; but a model that serves none does not wait.
        """
        now = time.monotonic()
        with self._changed:
            models = self._models.values()
            newest = max((v.ready_at for m in models for v in m.ready()), default=0.0)
            for name, model in self._models.items():
                version = model.next_load(now)
                if version and (now >= newest + alone_s or not model.ready()):
                    version.state = State.LOADING
                    version.being_loaded = True
                    version.attempts += 1
                    return name, version
        return None

    def finish_load(self, version: Version, servable: Loaded) -> bool:
        """Make a version available; requests for the newest go to it from now on.

        Out: whether it is; False: nobody wants it any more, and the caller lets it go.
        """
        with self._changed:
            version.being_loaded = False
            if version.state is not State.LOADING:
                return False
            version.servable = servable
            version.state = State.AVAILABLE
            version.attempts = 0
            version.ready_at = time.monotonic()
            self._changed.notify_all()
            return True

    def fail_load(
        self, version: Version, err: Exception, retry_in_s: float | None
    ) -> None:
        """Note a failed load, to be tried again after a time or never."""
        with self._changed:
            version.being_loaded = False
            if version.state is not State.LOADING:
                return
            if retry_in_s is not None:
                version.next_attempt_at = time.monotonic() + retry_in_s
            else:
                version.state = State.END
                version.code = Code(getattr(err, "code", Code.UNKNOWN))
                version.message = str(err)
            self._changed.notify_all()

    def lose(
        self,
        version: Version,
        servable: Loaded,
        max_losses: int,
        settled_after_s: float,
    ) -> bool:
        """Note that a version's worker has ended; return whether it is loaded anew.

        In: `max_losses`: after so many in a row it ends; one that comes
            `settled_after_s` after a load is the first of a new row.
        """
        with self._changed:
            if version.servable is not servable:
                return False
            version.servable = None
            if version.state is not State.AVAILABLE:
                # It was on its way out anyway.
                return False
            now = time.monotonic()
            settled = now - version.ready_at > settled_after_s
            version.losses = 1 if settled else version.losses + 1
            if version.losses <= max_losses:
                version.state = State.LOADING
                # At once after the first, then later and later.
                wait_s = min(2 ** (version.losses - 1) - 1, _MAX_WAIT_S)
                version.next_attempt_at = now + wait_s
                return True
            version.state = State.END
            version.code = Code.UNAVAILABLE
            version.message = f"Its process has ended {version.losses} times in a row"
            return False

    def close(self) -> list[Loaded]:
        """Return every servable, all taken out of service for good."""
        with self._changed:
            servables = [servable for _, _, servable in self.loaded()]
            self._models.clear()
            self._configured.clear()
        return servables

    def unload(self) -> list[tuple[str, int, Loaded | None]]:
        """Take one surplus version of each model out of service.

        Out: model, number and servable of every version that nobody uses any more; the
        caller lets them go, so that freeing them holds up no lookup.
        """
        dropped: list[tuple[str, int, Loaded | None]] = []
        with self._changed:
            for name, model in self._models.items():
                surplus = model.next_unload()
                if surplus:
                    surplus.state = State.UNLOADING
                for version in model.versions.values():
                    if version.state is State.UNLOADING and not version.leases:
                        dropped.append((name, version.number, version.servable))
                        version.servable = None
                        version.state = State.END
                        version.may_return = True
        return dropped

    def _find(self, spec: ModelSpec) -> tuple[Version, Loaded]:
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        number = spec.version
        if spec.label is not None:
            config = self._configured.get(spec.name)
            number = config.labels.get(spec.label) if config else None
            if number is None:
                text = f"Unrecognized servable version label: {spec.label}"
                raise invalid_argument(text)
        model = self._models.get(spec.name)
        if number is None:
            version = model.newest() if model else None
            wanted = f"Latest({spec.name})"
        else:
            version = model.versions.get(number) if model else None
            wanted = f"Specific({spec.name}, {number})"
        self._check_lost(model, version)
        ready = version is not None and version.state is State.AVAILABLE
        if version is None or version.servable is None or not ready:
            text = f"Servable not found for request: {wanted}"
            raise StatusError(Code.NOT_FOUND, text)
        return version, version.servable

    def _check_lost(self, model: Model | None, version: Version | None) -> None:
        """Tell a version that comes back apart from one that is not there."""
        asked = [version] if version else list(model.versions.values() if model else ())
        if any(v.losses and v.state is State.LOADING for v in asked):
            text = "The process that served this model has ended; it is loaded again"
            raise StatusError(Code.UNAVAILABLE, text)

    def _is_ready(self) -> bool:
        return self._are_ready(self._configured)

    def _are_ready(self, names: Collection[str]) -> bool:
        models = [self._models[name] for name in names if name in self._configured]
        for model in models:
            failed = model.failure()
            if failed and not model.newest():
                raise StatusError(
                    failed.code,
                    f"servable(s) did not become available: {{name: "
                    f"{model.config.name} version: {failed.number}}}: {failed.message}",
                )
        return all(model.newest() for model in models)
