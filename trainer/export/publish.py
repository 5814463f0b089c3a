"""Publishes versions: complete or invisible, all servables under one number.

On a local disk a version is written beside its place, `models/<servable>/<version>`,
and renamed in. An object store has no rename of folders, and TF Serving takes every
numeric folder for a version from its first object on. So there a version is uploaded
to `models/<servable>/versions/<version>`, and the config files, whose base paths end in
`versions`, name the versions that a server loads. A new one becomes visible, all
servables at once, when a config file, one object, is replaced. Then a record in
`models/.published` tells programs that list versions.
"""

import datetime
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence

from data import files
from trainer.errors import ExportError
from trainer.export.labels import label_lines, read_labels

Save = Callable[[str], None]
_LEFT = re.compile(r"\.\d+\.tmp$")
_WITHDRAWN = re.compile(r"\.(\d+)\.withdrawn$")
_NUMBERED = re.compile(r"\.?(\d+)(?:\.withdrawn)?$")
SERVABLES = ("retrieval", "ranking", "recommender")
PUBLISHED = ".published"
UPLOADED = "versions"
GRAPH = "saved_model.pb"


def new_version(models: str, now: datetime.datetime | None = None) -> int:
    """Return a version number: UTC time as YYYYMMDDHHMMSS, above all that exist.

    In: `models`: the folder of the servables. A clock that went back does not lower
    the number, and that of a version which was withdrawn is not used again.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    newest = [_highest(models, name) for name in servables(models)]
    if files.is_remote(models):  # What an upload that broke off has left counts too.
        newest += [v for name in files.listdir(models) for v in _uploads(models, name)]
    return max(int(now.strftime("%Y%m%d%H%M%S")), max(newest, default=0) + 1)


def _highest(models: str, servable: str) -> int:
    names = files.listdir(files.join(models, servable))
    found = (_NUMBERED.match(name) for name in names)
    return max((int(match[1]) for match in found if match), default=0)


def servables(models: str) -> list[str]:
    """List the names of the servables in a models folder."""
    if files.is_remote(models):
        return sorted({name for names in _records(models).values() for name in names})
    names = [n for n in files.listdir(models) if not n.startswith(".")]
    folders = [n for n in names if files.is_folder(files.join(models, n))]
    return [name for name in folders if versions(models, name)]


def versions(models: str, servable: str) -> list[int]:
    """List the published versions of a servable, ascending."""
    if files.is_remote(models):
        records = _records(models)
        return sorted(v for v, names in records.items() if servable in names)
    names = files.listdir(files.join(models, servable))
    return sorted(int(name) for name in names if name.isdigit())


def base_path(models: str, servable: str) -> str:
    """Return the folder that holds versions under their numbers, as servers need it.

    In: `models`: the folder of the servables, as whoever asks sees it.
    """
    remote = [UPLOADED] if files.is_remote(models) else []
    return files.join(models, servable, *remote)


def version_folder(models: str, servable: str, version: int) -> str:
    """Return the folder of a version of a servable."""
    return files.join(base_path(models, servable), str(version))


def publish(models: str, version: int, savers: Mapping[str, Save]) -> None:
    """Write all servables where nobody sees them, then make them visible.

    In: `savers`: by servable, a function that fills a local folder. Nothing is visible
    until all of them are complete. Raises: ExportError when a version is there.
    """
    if files.is_remote(models):
        _publish_remote(models, version, savers)
        return
    beside = {name: _beside(models, name, version) for name in savers}
    try:
        for name, save in savers.items():
            files.remove_folder(beside[name])
            files.make_folder(files.join(models, name))
            save(beside[name])
        for name, folder in beside.items():
            place = version_folder(models, name, version)
            _check_absent(place)
            os.rename(folder, place)
    finally:
        for folder in beside.values():
            files.remove_folder(folder)


def _beside(models: str, name: str, version: int) -> str:
    # TF Serving ignores entries whose names are no numbers.
    return files.join(models, name, f".{version}.tmp")


def _publish_remote(models: str, version: int, savers: Mapping[str, Save]) -> None:
    for name in savers:
        _check_absent(version_folder(models, name, version))
    extra: dict[str, list[str]] = {}
    for name, save in savers.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = os.path.join(scratch, str(version))
            save(folder)
            extra[name] = _ops_beyond_stock(folder)
            place = version_folder(models, name, version)
            files.upload_folder(folder, place, last=GRAPH)
    _write(models, dict(sorted(extra.items())), version)
    files.write_json(_record(models, version), {"servables": sorted(savers)})


def _check_absent(place: str) -> None:
    if files.exists(place):
        raise ExportError(f"{place}: the version is there already. Export again.")


def _record(models: str, version: int) -> str:
    return files.join(models, PUBLISHED, f"{version}.json")


def _records(models: str) -> dict[int, list[str]]:
    """Read which versions of an object store are published, each with its servables."""
    names = files.listdir(files.join(models, PUBLISHED))
    found = [int(n.removesuffix(".json")) for n in names if n[:-5].isdigit()]
    return {v: files.read_json(_record(models, v))["servables"] for v in found}


def _uploads(models: str, servable: str) -> list[int]:
    """List the versions that an object store holds anything of, published or not."""
    names = files.listdir(base_path(models, servable))
    return [int(name) for name in names if name.isdigit()]


def withdraw(models: str, version: int) -> None:
    """Move a version of all servables out of the sight of servers; it is kept.

    Servers of an object store go by the config files, which `write_configs` writes.
    """
    if files.is_remote(models):
        if files.exists(_record(models, version)):
            files.remove_file(_record(models, version))
        return
    for name in servables(models):
        source = version_folder(models, name, version)
        if files.exists(source):
            target = files.join(models, name, f".{version}.withdrawn")
            files.remove_folder(target)
            os.rename(source, target)


def prune(models: str, keep: int) -> None:
    """Remove all but the newest versions of every servable, and the labelled ones.

    Also withdrawn versions older than those, and what runs that were killed have left:
    on an object store all that is older than the newest version and is not published.
    """
    labelled = set(read_labels(models).values())
    if files.is_remote(models):
        _prune_remote(models, keep, labelled)
        return
    for name in servables(models):
        for version in versions(models, name)[:-keep]:
            if version not in labelled:
                remove_version(models, name, version)
        oldest = min(versions(models, name), default=0)
        for left in files.listdir(files.join(models, name)):
            withdrawn = _WITHDRAWN.match(left)
            # What a run that was killed has left is nobody's: one at a time works here.
            if _LEFT.match(left) or (withdrawn and int(withdrawn[1]) < oldest):
                files.remove_folder(files.join(models, name, left))


def remove_version(models: str, servable: str, version: int) -> None:
    """Remove a version of a servable: a reader sees all of it or nothing.

    On an object store servers go by the config files, which name others by then.
    """
    place = version_folder(models, servable, version)
    if not files.is_remote(models) and files.exists(place):
        beside = _beside(models, servable, version)
        files.remove_folder(beside)
        os.rename(place, beside)
        place = beside
    files.remove_folder(place)


def _prune_remote(models: str, keep: int, labelled: set[int]) -> None:
    published, names = sorted(_records(models)), servables(models)
    kept = {*published[-keep:], *labelled}
    for version in published:
        if version not in kept:  # The record first: nobody begins to read it.
            files.remove_file(_record(models, version))
    for name in names:
        for version in _uploads(models, name):
            if version not in kept and version < published[-1]:
                files.remove_folder(version_folder(models, name, version))


def write_configs(models: str) -> None:
    """Write `models.config`, and `models.scann.config` with those that need ScaNN.

    One model that cannot be loaded ends a TF Serving process, hence two files. On an
    object store they name the newest version, unless labels are used.
    """
    newest = {name: versions(models, name)[-1] for name in servables(models)}
    folders = {n: version_folder(models, n, v) for n, v in newest.items()}
    extra = {n: _ops_beyond_stock(f) for n, f in folders.items()}
    _write(models, extra, max(newest.values(), default=0))


def _write(models: str, extra: Mapping[str, Sequence[str]], newest: int) -> None:
    """Write both files. In: `extra`: the ops beyond stock of each servable."""
    remote, labels = files.is_remote(models), read_labels(models)
    root = models if remote else os.path.abspath(models)
    more = [newest] if remote and newest and not labels else []
    stock = [name for name in extra if not extra[name]]
    for file, names in (("models.config", stock), ("models.scann.config", extra)):
        text = config_text(root, list(names), labels, more)
        files.write_text(files.join(models, file), text)


def _ops_beyond_stock(folder: str) -> list[str]:
    manifest = files.read_json(files.join(folder, "manifest.json"))
    return list(manifest["ops_beyond_stock"])


def config_text(
    root: str, names: Sequence[str], labels: Mapping[str, int], more: Sequence[int] = ()
) -> str:
    """Return a server's model configuration.

    In: `root`: the models' folder as the server sees it; `labels`, `more`: the
    versions that it loads, by name and without; with neither the newest. On an object
    store one of them is always named.
    """
    lines = ["model_config_list {"]
    for name in names:
        lines += [
            "  config {",
            f'    name: "{name}"',
            f'    base_path: "{base_path(root, name)}"',
            '    model_platform: "tensorflow"',
            *label_lines(labels, more),
            "  }",
        ]
    return "\n".join([*lines, "}", ""])
