"""The model config file for another root: which servables a server there can load."""

import json
from pathlib import Path
from typing import Any

LABELS = "labels.json"


class ModelListError(ValueError):
    """A folder of models is not what an export writes."""


def newest_models_folder(start: Path) -> Path:
    """Return the `models` folder under `start`/artifacts that changed last.

    Raises: ModelListError: there is none.
    """
    found = [path for path in start.glob("artifacts/*/models") if path.is_dir()]
    if not found:
        raise ModelListError(
            f"{start / 'artifacts'}: expected a */models folder, found none. Run "
            "`make train` first, or name a folder with --models."
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def model_config_text(models: Path, root: str, *, scann: bool) -> str:
    """Return a ModelServerConfig in text format, one line for each servable.

    Where versions have labels it names them and loads no others, so that a version
    that was rolled back stays away.

    In: `models`: the folder that lists the servables; `root`: where they lie for the
        server; `scann`: whether that server has ops beyond stock TensorFlow Serving.
    Raises: ModelListError: no servable, or a manifest or labels that cannot be read.
    """
    names = [name for name, extra in servables(models).items() if scann or not extra]
    base, labelled = root.rstrip("/"), _labelled(models / LABELS)
    lines = [
        f"  config {{ name: {_quoted(name)} base_path: {_quoted(f'{base}/{name}')} "
        f'model_platform: "tensorflow"{labelled} }}'
        for name in names
    ]
    return "\n".join(["model_config_list {", *lines, "}", ""])


def _labelled(path: Path) -> str:
    """Return the versions to load and their labels; empty where none are used."""
    try:
        labels = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        versions = {str(name): int(version) for name, version in labels.items()}
    except (OSError, ValueError, AttributeError, TypeError) as err:
        raise ModelListError(
            f"{path}: expected versions by label, got {type(err).__name__}. Write the "
            "labels anew: python -m trainer rollback --to VERSION --keep-data."
        ) from err
    if not versions:
        return ""
    wanted = " ".join(
        f"versions: {version}" for version in sorted({*versions.values()})
    )
    named = [
        f" version_labels {{ key: {_quoted(name)} value: {version} }}"
        for name, version in sorted(versions.items())
    ]
    return f" model_version_policy {{ specific {{ {wanted} }} }}{''.join(named)}"


def servables(models: Path) -> dict[str, list[str]]:
    """Return the servables of a folder, with the ops that their newest version needs.

    Out: by name, in order; ops beyond those of stock TensorFlow Serving.
    Raises: ModelListError: no servable, or a manifest that cannot be read.
    """
    if not models.is_dir():
        raise ModelListError(
            f"{models}: expected a folder of servables, found none there. "
            "Run `make train` first, or name another folder."
        )
    found = {}
    for folder in sorted(models.iterdir()):
        versions = [path for path in folder.glob("*") if path.name.isdecimal()]
        if versions:
            newest = max(versions, key=lambda path: int(path.name))
            found[folder.name] = _extra_ops(newest / "manifest.json")
    if not found:
        raise ModelListError(
            f"{models}: expected <servable>/<version> folders, found none. "
            "Run `make train` first, or name another folder."
        )
    return found


def _extra_ops(path: Path) -> list[str]:
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
        ops = manifest["ops_beyond_stock"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ModelListError(
            f"{path}: expected a manifest with a list 'ops_beyond_stock', got "
            f"{type(err).__name__}. Export the model again."
        ) from err
    if not isinstance(ops, list):
        raise ModelListError(
            f"{path}: 'ops_beyond_stock': expected a list, got {ops!r}. "
            "Export the model again."
        )
    return [str(op) for op in ops]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
