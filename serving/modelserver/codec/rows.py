"""Row format: one JSON value, or one object of named values, for each instance."""

from collections.abc import Mapping
from typing import Any

from serving.modelserver.codec.debug import describe
from serving.modelserver.codec.dense import checked, regular
from serving.modelserver.codec.values import build, is_base64
from serving.modelserver.errors import Code, StatusError, invalid_argument
from serving.tensors import Array

Inputs = Mapping[str, str]


def read_rows(rows: list[Any], inputs: Inputs) -> dict[str, Array]:
    """Return the tensors of the instances, stacked along a new first dimension.

    The first instance decides whether all are named values or bare ones.

    In: `rows`: one or more; `inputs`: input names and TensorFlow's names of the types.
    Raises: StatusError: INVALID_ARGUMENT naming the instance that does not fit.
    """
    if _is_named(rows[0]):
        return _fast_named(rows, inputs) or _named_rows(rows, inputs)
    if len(inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    ((name, dtype),) = inputs.items()
    even = regular(rows, dtype)
    return {name: build(even[1], even[0], dtype) if even else _bare_rows(rows, dtype)}


def _fast_named(rows: list[Any], inputs: Inputs) -> dict[str, Array] | None:
    names = inputs.keys()
    if any(
        not isinstance(row, dict) or row.keys() != names or _repeated(row)
        for row in rows
    ):
        return None
    tensors = {}
    for name, dtype in inputs.items():
        even = regular([row[name] for row in rows], dtype)
        if even is None:
            return None
        tensors[name] = build(even[1], even[0], dtype)
    return tensors


def _named_rows(rows: list[Any], inputs: Inputs) -> dict[str, Array]:
    stacks = {name: _Stack(dtype) for name, dtype in inputs.items()}
    for index, row in enumerate(rows):
        where = f"Failed to process element: {index}"
        if not _is_named(row):
            raise invalid_argument(
                f"Expecting object but got list at item {index} of input list"
            )
        for name, value in row.items():
            try:
                _add_named(stacks, name, value, repeated=_repeated(row))
            except StatusError as err:
                raise _wrapped(f"{where} key: {name} of", err) from None
        if row.keys() != inputs.keys():
            raise invalid_argument(
                f"{where} of 'instances' list. JSON object: {describe(row)} keys must "
                f"be equal to: {','.join(sorted(inputs))}"
            )
    return {name: stack.tensor() for name, stack in stacks.items()}


def _add_named(
    stacks: dict[str, "_Stack"], name: str, value: object, *, repeated: str | None
) -> None:
    if name not in stacks:
        raise invalid_argument(f"JSON object: does not have named input: {name}")
    if name == repeated:
        # Upstream appends both values and drops one later; an error is safer.
        raise invalid_argument(f"JSON object: has more than one value of: {name}")
    stacks[name].add(value)


def _bare_rows(rows: list[Any], dtype: str) -> Array:
    stack = _Stack(dtype)
    for index, row in enumerate(rows):
        if _is_named(row):
            raise invalid_argument(
                f"Expecting value/list but got object at item {index} of input list"
            )
        try:
            stack.add(row)
        except StatusError as err:
            raise _wrapped(f"Failed to process element: {index} of", err) from None
    return stack.tensor()


class _Stack:
    """Instances of one input, which must all have the first one's shape."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.shape: list[int] | None = None
        self.size = 0
        self.count = 0
        self.flat: list[Any] = []

    def add(self, value: object) -> None:
        shape, flat = checked(value, self.dtype)
        if self.shape is None:
            self.shape, self.size = shape, len(flat)
        elif len(flat) != self.size:
            raise invalid_argument(
                f"Expecting tensor size: {self.size} but got: {len(flat)}"
            )
        elif shape != self.shape:
            raise invalid_argument(
                f"Expecting shape {_shape_text(self.shape)} "
                f"but got: {_shape_text(shape)}"
            )
        self.flat.extend(flat)
        self.count += 1

    def tensor(self) -> Array:
        return build(self.flat, [self.count, *(self.shape or [])], self.dtype)


def _is_named(value: object) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _repeated(row: dict[str, Any]) -> str | None:
    return getattr(row, "repeated", None)


def _shape_text(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _wrapped(where: str, err: StatusError) -> StatusError:
    code = Code(err.code).name
    return invalid_argument(f"{where} 'instances' list. Error: {code}: {err.message}")
