"""What a query returns: small, frozen, free of NumPy and of messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item as the `describe` signature shows it.

    `columns`: the display columns by name, without the title.
    """

    item_id: str
    title: str = ""
    columns: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """One item of an answer; answers hold them best first.

    `title` is "" and `columns` empty where the server has no `describe` signature. The
    heads of a ranking model stand in `columns` under their own names.
    """

    item_id: str
    score: float
    title: str = ""
    columns: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """The state of one version of a model: LOADING, AVAILABLE, END and so on."""

    version: int
    state: str
    error_code: str = "OK"
    error_message: str = ""


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """A declared tensor: TensorFlow's type name, and the shape with -1 for any size.

    `shape` is None where even the number of dimensions is open.
    """

    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One way to call a model."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    method_name: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """A loaded version of a model and its signatures."""

    name: str
    version: int
    signatures: Mapping[str, Signature]
