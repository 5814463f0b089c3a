"""Labels of versions: what `stable` and `canary` name, in the models' configuration.

Where labels are used, servers load the labelled versions and no others; a server that
was given none loads the newest, as TensorFlow Serving does by itself.
"""

import shlex
from collections.abc import Mapping, Sequence

from data import files
from data.console import say

FILE = "labels.json"


def read_labels(models: str) -> dict[str, int]:
    """Return the version that each label names; empty where none are used."""
    place = files.join(models, FILE)
    return dict(files.read_json(place)) if files.exists(place) else {}


def write_labels(models: str, labels: Mapping[str, int]) -> None:
    """Write which version each label names."""
    files.write_json(files.join(models, FILE), dict(sorted(labels.items())))


def tell_unserved(models: str, version: int, server_root: str = "") -> None:
    """Say that no server takes a version, where labels are used and none names it."""
    labels = read_labels(models)
    if labels and version not in labels.values():
        say(
            f"{files.join(models, FILE)}: {told(labels)}, so that no server takes "
            f"version {version}. To move all labels to it: "
            f"{moving_command(models, version, server_root)}"
        )


def told(labels: Mapping[str, int]) -> str:
    """Return labels as a person reads them."""
    return ", ".join(f"{name} is {labels[name]}" for name in sorted(labels))


def moving_command(models: str, version: int, server_root: str = "") -> str:
    """Return the command that moves all labels to a version, on a server too."""
    words = ["rollback", "--models", models, "--to", str(version), "--keep-data"]
    words += ["--server-root", server_root] if server_root else []
    return shlex.join(["python", "-m", "trainer", *words, "--server", "HOST:PORT"])


def label_lines(labels: Mapping[str, int], more: Sequence[int] = ()) -> list[str]:
    """Return the lines of a model's configuration that load and name versions.

    In: `more`: versions to load without a name.
    """
    wanted = sorted({*labels.values(), *more})
    if not wanted:
        return []
    lines = ["    model_version_policy {", "      specific {"]
    lines += [f"        versions: {version}" for version in wanted]
    lines += ["      }", "    }"]
    for name, version in sorted(labels.items()):
        lines += ["    version_labels {", f'      key: "{name}"']
        lines += [f"      value: {version}", "    }"]
    return lines
