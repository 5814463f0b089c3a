"""Makes a former version the served one again: all servables together."""

from typing import Any

from data import files
from data.console import say
from trainer.catalogue.exported import parent
from trainer.config import RetrainConfig
from trainer.errors import ExportError
from trainer.export.labels import moving_command, read_labels, write_labels
from trainer.export.publish import (
    SERVABLES,
    version_folder,
    versions,
    withdraw,
    write_configs,
)
from trainer.retrain import newdata
from trainer.retrain.champion import check_format
from trainer.retrain.pruning import record_of
from trainer.retrain.state import Places

INTENT = ".rollback.json"


def rollback(
    models: str,
    to: int | None = None,
    *,
    server: str = "",
    config: RetrainConfig | None = None,
    keep_data: bool = False,
) -> int:
    """Go back to a version, the one before by default. Out: the version.

    Where labels are used they move, on a server first, and a canary that is newer than
    `stable` goes back to it; elsewhere the versions above are moved out of sight, under
    names that no server loads, and servers that poll the folder go back by themselves.
    The data set goes back to what the version was made of, unless `keep_data`. Cut
    short and run again it goes on, to the same version. Raises: ExportError when there
    is no such version of all servables, or the server does not answer or refuses.
    """
    labels, config = read_labels(models), config or RetrainConfig()
    intent = _intent(models, _served(labels, to), to, keep_data)
    target = int(intent["to"])
    check_format(models, target)
    asked = _asked(server, models, config) if server else None
    resumed = files.exists(files.join(models, INTENT))
    files.write_json(files.join(models, INTENT), intent)
    try:
        if labels and asked is not None:
            _move_on(asked, labels, target)
    except ExportError:
        if not resumed:  # Nothing has moved: another version may be asked for.
            files.remove_file(files.join(models, INTENT))
        raise
    if labels:
        write_labels(models, dict.fromkeys(labels, target))
    else:
        for version in sorted(_every(models)):
            if version > target:
                withdraw(models, version)
    write_configs(models)
    say(f"Version {target} of {', '.join(SERVABLES)} serves again, not {intent['of']}.")
    if labels and not server:
        say(
            "Running servers keep what they serve until they start again or are told: "
            + moving_command(models, target, config.server_root)
        )
    elif server and not labels:
        say(f"{server}: no label to move; a server that polls goes back by itself.")
    for folder, name in intent["data"].items():
        newdata.make_current(folder, name)
        say(
            f"The data set is what it was made of again: {folder}, "
            f"{name or 'the tables of the TOML'}. Rows that came since are left out of "
            "jobs until their files are named again."
        )
    files.remove_file(files.join(models, INTENT))
    return target


def finish_rollback(models: str, *, server: str, config: RetrainConfig) -> None:
    """End a rollback that was cut short, if there is one."""
    if files.exists(files.join(models, INTENT)):
        say(f"{models}: a rollback was cut short, and is ended first.")
        rollback(models, server=server, config=config)


def _intent(
    models: str, labels: dict[str, int], to: int | None, keep_data: bool
) -> dict[str, Any]:
    """Return what is to be done: what a run that was killed had begun, if any did."""
    place, newest = files.join(models, INTENT), max(_every(models), default=0)
    if files.exists(place):
        begun: dict[str, Any] = files.read_json(place)
        # What came since, by whatever way, is no part of what was to be undone.
        same = newest <= begun.get("newest", begun["of"])
        if same and to in (None, begun["to"]):
            return begun
    shared = sorted(set.intersection(*(set(versions(models, n)) for n in SERVABLES)))
    served = labels.get("stable", newest)
    target = _target(models, shared, served, to)
    data = {} if keep_data else _states(models, served, target)
    return {"of": served, "to": target, "newest": newest, "data": data}


def _every(models: str) -> set[int]:
    return {v for name in SERVABLES for v in versions(models, name)}


def _states(models: str, served: int, target: int) -> dict[str, str | None]:
    """Return the state to make current, None for the TOML's tables, by data set.

    A data set that somebody moved on since is left as it is.
    """
    before, after = (_state(models, version) for version in (served, target))
    return {
        folder: after.get(folder)
        for folder in sorted({*before, *after})
        if newdata.current_state(folder) == before.get(folder) != after.get(folder)
    }


def _state(models: str, version: int) -> dict[str, str]:
    """Return the state of the data set, by its folder, that a version was made of."""
    found = (record_of(version_folder(models, n, version)) for n in SERVABLES)
    record = next((one for one in found if one), {})
    out, states = parent(models), record.get("states")
    folder = files.join(out, states) if states else Places(out).dataset
    return {folder: record["dataset"]} if "dataset" in record else {}


def _target(models: str, shared: list[int], served: int, to: int | None) -> int:
    known = ", ".join(map(str, shared)) or "none"
    stable = read_labels(models).get("stable", served)
    if to is None and stable < served:  # A canary is gone back from.
        to = stable
    if to is not None:
        if to not in shared:
            raise ExportError(
                f"{models}: no version {to} of all servables, expected one of: "
                f"{known}. Name one of these (--to)."
            )
        return to
    before = [version for version in shared if version < served]
    if not before:
        raise ExportError(
            f"{models}: no version before {served}, expected one to go back to; there "
            f"are: {known}. [export] keep_versions says how many are kept."
        )
    return before[-1]


def _served(labels: dict[str, int], to: int | None) -> dict[str, int]:
    """Return the labels with `stable` on what is gone back from: a newer canary."""
    newest = max(labels.values(), default=0)
    if "stable" in labels and (to is None or to < newest):
        return {**labels, "stable": newest}
    return labels


def _asked(address: str, models: str, config: RetrainConfig) -> Any:
    from trainer.retrain.server import Server, root_of

    return Server(address, root_of(models, config.server_root), config.wait_s)


def _move_on(server: Any, labels: dict[str, int], target: int) -> None:
    from trainer.retrain.server import move_labels

    move_labels(server, labels, dict.fromkeys(labels, target))
