"""The server's flags, spelled and parsed as TensorFlow Serving does.

Only `--name=value` counts; a boolean may stand alone. An argument that is not known is
reported with the usage text and otherwise ignored, a bad value ends the start. A flag
of TensorFlow Serving that means nothing here is taken and said to be without effect.
"""

import os
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any

from serving.modelserver.errors import StartupError

_AT_LEAST = {
    "grpc_max_threads": 1,
    "rest_api_num_threads": 1,
    "rest_api_max_body_bytes": 1,
    "rest_api_max_header_bytes": 1024,
    "rest_api_max_connections": 1,
    "rest_api_read_timeout_in_ms": 1,
    "max_waiting_requests": 1,
    "model_config_file_poll_wait_seconds": 0,
    "num_load_threads": 0,
    "num_request_iterations_for_warmup": 0,
    "request_log_max_file_bytes": 1,
}
_CHOICES = {
    "log_format": ("text", "json"),
    "log_level": ("debug", "info", "warning", "error"),
}


def _flag(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


def _ours(default: Any, help_text: str) -> Any:
    return _flag(default, f"{help_text} (not a flag of TensorFlow Serving)")


def _idle(default: Any, reason: str) -> Any:
    metadata = {"help": f"no effect: {reason}", "no_effect": reason}
    return field(default=default, metadata=metadata)


def _threads() -> int:
    return 4 * (os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What the server was started with."""

    port: int = _flag(8500, "TCP port of gRPC; 0 = off")
    grpc_socket_path: str = _flag("", "Unix socket of gRPC")
    grpc_max_threads: int = _flag(_threads(), "threads that answer gRPC requests")
    grpc_channel_arguments: str = _flag("", "k=v,k=v: options of gRPC's channels")
    ssl_config_file: str = _flag("", "SSLConfig in text format: TLS for gRPC")
    enable_grpc_healthcheck_service: bool = _flag(False, "serve grpc.health.v1")
    rest_api_port: int = _flag(0, "TCP port of REST; 0 = off")
    rest_api_num_threads: int = _flag(_threads(), "threads that answer REST requests")
    rest_api_timeout_in_ms: int = _flag(30000, "longest run of a request; <= 0 = none")
    rest_api_enable_cors_support: bool = _flag(False, "CORS headers in REST responses")
    rest_api_max_body_bytes: int = _ours(64 * 2**20, "largest REST request body")
    rest_api_max_header_bytes: int = _ours(65536, "largest head of a REST request")
    rest_api_max_connections: int = _ours(1000, "REST connections open at a time")
    rest_api_read_timeout_in_ms: int = _ours(
        30000, "longest wait for a REST request to arrive; 16 KiB earn a second more"
    )
    max_waiting_requests: int = _ours(
        1000, "requests that may wait, gRPC's and REST's alike, before UNAVAILABLE/503"
    )
    monitoring_config_file: str = _flag(
        "", "MonitoringConfig in text format: Prometheus page on the REST port"
    )
    request_log_max_file_bytes: int = _ours(
        64 * 2**20, "size at which a file of logging_config is ended for another"
    )
    log_format: str = _ours("text", "text, or json: one object a line")
    log_level: str = _ours("info", "debug (with every request), info, warning or error")
    model_name: str = _flag("default", "ignored with --model_config_file")
    model_base_path: str = _flag("", "folder of versions, absolute or a URI")
    model_config_file: str = _flag("", "ModelServerConfig in text format")
    model_config_file_poll_wait_seconds: int = _flag(
        0, "seconds between readings of --model_config_file; 0 = only at the start"
    )
    file_system_poll_wait_seconds: int = _flag(
        1, "seconds between looks for versions; 0 = once, negative = never"
    )
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "let labels name versions that are not loaded yet"
    )
    enable_batching: bool = _flag(False, "run requests together")
    batching_parameters_file: str = _flag("", "BatchingParameters in text format")
    enable_per_model_batching_parameters: bool = _flag(
        False, "read batching_params.pbtxt in each version's folder"
    )
    enable_model_warmup: bool = _flag(True, "replay a version's warm-up requests")
    num_request_iterations_for_warmup: int = _flag(
        0, "times each warm-up request runs; 0 = 1"
    )
    num_load_threads: int = _flag(0, "versions that load at a time; 0 = one")
    num_unload_threads: int = _idle(0, "unloading ends a process and needs no thread")
    max_num_load_retries: int = _flag(5, "tries after a first failed load")
    load_retry_interval_micros: int = _flag(60_000_000, "time between tries")
    saved_model_tags: str = _flag("serve", "comma-separated tags of the graph to load")
    enable_signature_method_name_check: bool = _flag(
        False, "check method_name of signatures for each call"
    )
    enable_serialization_as_tensor_content: bool = _flag(
        False, "answer gRPC Predict with tensor_content"
    )
    tensorflow_session_parallelism: int = _flag(
        0, "threads of TensorFlow, unless one of the next two says"
    )
    tensorflow_intra_op_parallelism: int = _flag(0, "threads within an op; 0 = one")
    tensorflow_inter_op_parallelism: int = _flag(
        0, "threads across ops; 0 = the one that the request has"
    )
    version: bool = _flag(False, "print the version and exit")
    enable_profiler: bool = _idle(True, "the profiler service is not served")
    flush_filesystem_caches: bool = _idle(True, "files are mapped, not cached twice")
    per_process_gpu_memory_fraction: float = _idle(0.0, "memory is taken as needed")
    platform_config_file: str = _idle("", "there is one platform, tensorflow")
    prefer_tflite_model: bool = _idle(False, "TensorFlow Lite models are not served")
    mixed_precision: str = _idle("", "a graph runs in the precision it was saved in")
    thread_pool_factory_config_file: str = _idle("", "threads are TensorFlow's own")
    use_alts_credentials: bool = _flag(False, "refused: only on Google's machines")


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


def without_effect(flags: Flags) -> dict[str, str]:
    """Return the flags that were changed in vain, each with the reason."""
    return {
        name: spec.metadata["no_effect"]
        for name, spec in _FIELDS.items()
        if "no_effect" in spec.metadata and getattr(flags, name) != spec.default
    }


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
        return kind(text)
    except ValueError:
        wanted = "an integer" if kind is int else "a number"
        raise StartupError(
            f"--{spec.name}: expected {wanted}, got {text!r}.\n{usage()}"
        ) from None


def _check(flags: Flags) -> None:
    for name in ("port", "rest_api_port"):
        port = getattr(flags, name)
        if not 0 <= port < 2**16:
            raise StartupError(f"--{name}: expected a port up to 65535, got {port}.")
    for name, least in _AT_LEAST.items():
        if getattr(flags, name) < least:
            raise StartupError(
                f"--{name}: expected at least {least}, got {getattr(flags, name)}."
            )
    for name, choices in _CHOICES.items():
        if getattr(flags, name) not in choices:
            raise StartupError(
                f"--{name}: expected {' or '.join(choices)}, "
                f"got {getattr(flags, name)!r}."
            )
    if not flags.version:
        _check_together(flags)


def _check_together(flags: Flags) -> None:
    if not flags.port and not flags.grpc_socket_path:
        raise StartupError(
            "--port=0 turns gRPC off, but there is no server with REST alone. "
            "Give a --port, or a --grpc_socket_path."
        )
    if flags.batching_parameters_file and not flags.enable_batching:
        raise StartupError(
            "--batching_parameters_file is given without --enable_batching. Add "
            "--enable_batching, or leave the file out."
        )
    if flags.use_alts_credentials:
        raise StartupError(
            "--use_alts_credentials needs Google's own machines, and without it gRPC "
            "would not be encrypted as asked. Use --ssl_config_file in its place."
        )
