"""The server's flags, spelled and parsed as TensorFlow Serving does.

Only `--name=value` counts; a boolean may stand alone. An argument that is not known is
reported with the usage text and otherwise ignored, a bad value ends the start.
"""

import os
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any

from serving.modelserver.errors import StartupError


def _flag(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


def _threads() -> int:
    return 4 * (os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What the server was started with."""

    port: int = _flag(8500, "TCP port of gRPC; 0 = off")
    grpc_socket_path: str = _flag("", "Unix socket of gRPC")
    rest_api_port: int = _flag(0, "TCP port of REST; 0 = off")
    rest_api_num_threads: int = _flag(_threads(), "threads that answer REST requests")
    rest_api_timeout_in_ms: int = _flag(30000, "longest run of a request; <= 0 = none")
    rest_api_enable_cors_support: bool = _flag(False, "CORS headers in REST responses")
    rest_api_max_body_bytes: int = _flag(
        64 * 2**20, "largest REST request body; TensorFlow Serving has no such limit"
    )
    grpc_max_threads: int = _flag(_threads(), "threads that answer gRPC requests")
    model_name: str = _flag("default", "ignored with --model_config_file")
    model_base_path: str = _flag("", "folder of versions, absolute or a URI")
    model_config_file: str = _flag("", "ModelServerConfig in text format")
    file_system_poll_wait_seconds: int = _flag(
        1, "seconds between looks for versions; 0 = once, negative = never"
    )
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "let labels name versions that are not loaded yet"
    )
    max_num_load_retries: int = _flag(5, "tries after a first failed load")
    load_retry_interval_micros: int = _flag(60_000_000, "time between tries")
    saved_model_tags: str = _flag("serve", "comma-separated tags of the graph to load")
    version: bool = _flag(False, "print the version and exit")


_FIELDS: dict[str, Field[Any]] = {spec.name: spec for spec in fields(Flags)}


def parse_flags(arguments: Sequence[str]) -> tuple[Flags, list[str]]:
    """Return the flags and the arguments that are not known.

    Raises: StartupError: a value of the wrong type, or flags that contradict.
    """
    values: dict[str, Any] = {}
    unknown: list[str] = []
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        spec = _FIELDS.get(name) if argument.startswith("--") else None
        if spec is None or not (equals or _kind(spec) is bool):
            unknown.append(argument)
        else:
            values[name] = _value(spec, text if equals else "true")
    flags = Flags(**values)
    _check(flags)
    return flags, unknown


def usage() -> str:
    """Return the usage text: every flag with its default."""
    lines = ["usage: python -m serving modelserver --name=value ...", "Flags:"]
    for spec in _FIELDS.values():
        kind = _kind(spec).__name__
        default = repr(spec.default).lower() if kind == "bool" else repr(spec.default)
        text = spec.metadata["help"]
        lines.append(f"\t--{spec.name}={default:<12}\t{kind}\t{text}")
    return "\n".join(lines)


def _kind(spec: Field[Any]) -> type:
    return type(spec.default)


def _value(spec: Field[Any], text: str) -> Any:
    kind = _kind(spec)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise StartupError(
                f"--{spec.name}: expected true or false, got {text!r}.\n{usage()}"
            )
        return text.lower() == "true"
    if kind is str:
        return text
    try:
        return int(text)
    except ValueError:
        raise StartupError(
            f"--{spec.name}: expected an integer, got {text!r}.\n{usage()}"
        ) from None


def _check(flags: Flags) -> None:
    for name in ("port", "rest_api_port"):
        port = getattr(flags, name)
        if not 0 <= port < 2**16:
            raise StartupError(f"--{name}: expected a port up to 65535, got {port}.")
    for name in ("grpc_max_threads", "rest_api_num_threads", "rest_api_max_body_bytes"):
        if getattr(flags, name) < 1:
            raise StartupError(
                f"--{name}: expected at least 1, got {getattr(flags, name)}."
            )
    if not flags.port and not flags.grpc_socket_path and not flags.version:
        raise StartupError(
            "--port=0 turns gRPC off, but there is no server with REST alone. "
            "Give a --port, or a --grpc_socket_path."
        )
