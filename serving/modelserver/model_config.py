"""Which models to serve: one from flags, or several from a ModelServerConfig file."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from serving.modelserver.errors import Code, StartupError, StatusError, invalid_argument
from serving.modelserver.flags import Flags
from serving.modelserver.request_log.settings import LogSettings, log_settings
from serving.modelserver.versions import Latest, Policy, policy_of

_PLATFORM = "tensorflow"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One model: its name, where its versions lie, which to serve, their labels.

    `logging`: which of its requests are written down, None = none.
    """

    name: str
    base_path: str
    policy: Policy = field(default_factory=Latest)
    labels: Mapping[str, int] = field(default_factory=dict)
    logging: LogSettings | None = None


def configured_models(flags: Flags) -> list[ModelConfig]:
    """Return the models that the flags ask for.

    Raises: StartupError: neither path nor file is given, or the file is missing, is not
        a ModelServerConfig, or names models that cannot be served together.
    """
    if not flags.model_config_file and not flags.model_base_path:
        raise StartupError(
            "No model to serve: neither --model_config_file nor --model_base_path is "
            "given. Give one, such as --model_config_file=artifacts/movielens/models/"
            "models.config (`python -m trainer export` writes it)."
        )
    try:
        if flags.model_config_file:
            return models_of(read_model_config(flags.model_config_file))
        return [_checked(flags.model_name, flags.model_base_path, Latest(), {})]
    except StatusError as err:
        where = flags.model_config_file or "--model_base_path"
        raise StartupError(f"{where}: {err.message}.") from err


def models_of(config: Any, served: Collection[str] = ()) -> list[ModelConfig]:
    """Return the models of a ModelServerConfig message; none if it is empty.

    In: `served`: the models that are served now, whose platform may not change.
    Raises: StatusError: INVALID_ARGUMENT, worded as TensorFlow Serving words it; what
        `log_settings` raises.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid_argument("custom_model_config is not supported by this server")
    names: set[str] = set()
    models = []
    for item in config.model_config_list.config:
        if item.name in names:
            raise invalid_argument(
                f"Illegal to list model {item.name} multiple times in config list"
            )
        names.add(item.name)
        platform = item.model_platform or _from_type(item.model_type)
        _check_platform(item.name, platform, item.name in served)
        policy = policy_of(item.model_version_policy)
        model = _checked(item.name, item.base_path, policy, dict(item.version_labels))
        logged = log_settings(item.name, item.logging_config)
        models.append(replace(model, logging=logged))
    return models


def check_labels(models: Sequence[ModelConfig], flags: Flags) -> None:
    """Refuse labels in the start-up configuration, when nothing is available yet.

    Raises: StartupError: a label is set and the flag that permits it is not.
    """
    if flags.allow_version_labels_for_unavailable_models:
        return
    for model in models:
        for version in model.labels.values():
            raise StartupError(
                f"{flags.model_config_file}: Request to assign label to version "
                f"{version} of model {model.name}, which is not currently available "
                "for inference. Labels in the start-up file need "
                "--allow_version_labels_for_unavailable_models=true."
            )


def read_model_config(path: str) -> Any:
    """Return the ModelServerConfig message in a file.

    Raises: StartupError: the file cannot be read, or holds something else.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "it is not UTF-8 text"
        raise StartupError(
            f"--model_config_file={path}: cannot be read: {reason}. Expected a text "
            "file; `python -m serving config` prints one."
        ) from err
    try:
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as err:
        raise StartupError(
            f"{path}:{str(err).rstrip('.')}. "
            "Expected a ModelServerConfig in text format, such as "
            'model_config_list { config { name: "m" base_path: "/models/m" '
            'model_platform: "tensorflow" } }.'
        ) from err


def _checked(
    name: str, base_path: str, policy: Policy, labels: Mapping[str, int]
) -> ModelConfig:
    if not os.path.isabs(base_path) and "://" not in base_path:
        raise invalid_argument(
            f"Expected model {name} to have an absolute path or URI; "
            f"got base_path()={base_path}"
        )
    return ModelConfig(name=name, base_path=base_path, policy=policy, labels=labels)


def _check_platform(name: str, platform: str, is_served: bool) -> None:
    if not platform:
        raise invalid_argument(
            f"Illegal setting neither ModelServerConfig::model_type nor "
            f"ModelServerConfig::model_platform for model {name}"
        )
    if platform != _PLATFORM and is_served:
        raise invalid_argument(
            f"Illegal to change a model's platform. For model {name} platform was "
            f"{_PLATFORM} and new platform requested is {platform}"
        )
    if platform != _PLATFORM:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Model {name} requests unsupported platform {platform}",
        )


def _from_type(model_type: int) -> str:
    # The deprecated enum: 1 is TENSORFLOW, 0 unset.
    return {0: "", 1: _PLATFORM}.get(model_type, "other")
