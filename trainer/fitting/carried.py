"""Carries weights over into a model of a data set that has grown.

Rows of ids and of categories go by what they stand for, not by their number. A row of
a new id begins as that of all unknown ids has been taught, and what a model says of a
number stays the same when the numbers are standardised anew. Everything else is copied.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from data import files
from data.features import Feature, FeatureSet, Numeric
from data.prepared import Prepared
from trainer.errors import TrainingError
from trainer.fitting.learned import Learned
from trainer.fitting.loop import BEST
from trainer.models.base import CountedModel

# Each member of several towers has its own of every table.
MEMBER = re.compile(r"members/\d+/")
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# Where both models hold what grows with the data.
ID_TABLES = {
    "item_tower/ids/embeddings": "items",
    "item_part/ids/embeddings": "items",
    "query_tower/ids/embeddings": "users",
    "user_ids/embeddings": "users",
}
FEATURE_TABLES = {
    "item_tower/content/features/tables/": "items",
    "item_part/features/tables/": "items",
    "query_tower/features/tables/": "users",
    "user_features/tables/": "users",
    "context/tables/": "context",
}
SLOTS = {
    "items": ("item_tower/slots", "item_part/slots"),
    "users": ("query_tower/slots", "user_slots"),
}


def named_weights(model: CountedModel) -> dict[str, tf.Variable]:
    """Return the trained variables by their places in the model, in that order."""
    wanted = {v.ref() for v in model.trainable_variables}
    found = {n: v for n, v in _variables(model) if v.ref() in wanted}
    if len(found) != len(wanted):
        raise ValueError(f"{len(wanted) - len(found)} trained variables have no place")
    return dict(sorted(found.items()))


def _variables(model: CountedModel) -> Iterator[tuple[str, tf.Variable]]:
    """Yield variables by the shortest path, as checkpoints name them."""
    view, seen, todo = tf.train.TrackableView(model), {id(model)}, [("", model)]
    while todo:
        path, one = todo.pop(0)
        if isinstance(one, tf.Variable):
            yield path, one
        for name, child in view.children(one).items():
            if id(child) not in seen:
                seen.add(id(child))
                todo.append((f"{path}/{name}" if path else name, child))


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """Return what changes with any weight or its place. Out: 16 hex digits."""
    found = hashlib.sha256()
    for name, value in sorted(weights.items()):
        found.update(f"{name} {value.dtype} {value.shape}".encode())
        found.update(np.ascontiguousarray(value).data)
    return found.hexdigest()[:16]


def digest_of(model: CountedModel) -> str:
    """Return the digest of a model's trained variables."""
    return digest({n: v.numpy() for n, v in named_weights(model).items()})


def ids_of(model: CountedModel, prepared: Prepared) -> dict[str, list[str]]:
    """Return whose the rows of the id embeddings are, from row 1, by table."""
    tables = {n: v for n, v in _variables(model) if n.endswith("slots/table")}
    raw = {"items": prepared.item_ids, "users": prepared.user_ids}
    found = {}
    for group, places in SLOTS.items():
        (slots,) = (
            tables[f"{p}/table"].numpy() for p in places if f"{p}/table" in tables
        )
        own = np.flatnonzero(slots)
        found[group] = [str(x) for x in raw[group][own[np.argsort(slots[own])]]]
    return found


def carry(
    model: CountedModel,
    learned: Learned,
    ids: Mapping[str, list[str]],
    features: FeatureSet,
) -> list[str]:
    """Give a built model the weights of an earlier fit, grown to its own tables.

    In: `ids`, `features`: what the model's own rows stand for. Out: what does not fit,
    one phrase each; then nothing was assigned. Raises: TrainingError when the weights
    are not those that the fit left.
    """
    before, found, wrong = _read(learned), {}, []
    variables = named_weights(model)
    wrong += [f"{name} is gone" for name in before if name not in variables]
    for name, variable in variables.items():
        if name not in before:
            wrong.append(f"{name} is new")
            continue
        value = _grown(name, before, learned, ids, features)
        if value.shape != tuple(variable.shape):
            wrong.append(_other_shape(name, value.shape, tuple(variable.shape)))
        found[name] = value
    if not wrong:
        for name, variable in variables.items():
            variable.assign(found[name])
    return wrong


def _other_shape(name: str, had: tuple[int, ...], has: tuple[int, ...]) -> str:
    name = MEMBER.sub("", name)
    for prefix, group in FEATURE_TABLES.items():
        if name.startswith(prefix):
            column = name.removeprefix(prefix).partition("/")[0]
            return (
                f"{group}: column {column!r} has {has[0] - 1} values by now, whose "
                f"vectors are {has[-1]} wide and were {had[-1]}"
            )
    return f"{name} has shape {has}, had {had}"


def _read(learned: Learned) -> dict[str, np.ndarray]:
    """Read the trained weights of a fit: those that its digest is of."""
    path = files.join(learned.folder, *BEST)
    try:
        reader = tf.train.load_checkpoint(path)
    except (tf.errors.OpError, ValueError) as err:
        raise TrainingError(
            f"{path}: no checkpoint that can be read, expected the weights to begin "
            "with. Put the run back, or begin from scratch."
        ) from err
    names = {n for n in reader.get_variable_to_shape_map() if n.startswith("model/")}
    found = {
        name.removeprefix("model/").removesuffix(VALUE): name
        for name in names
        if not name.startswith("model/optimizer/")
    }
    kept = {n: reader.get_tensor(found[n]) for n in learned.names if n in found}
    if digest(kept) != learned.weights:
        raise TrainingError(
            f"{path}: other weights than {learned.folder} was left with (their digest "
            f"is {digest(kept)}, expected {learned.weights}). Put the run back, or "
            "begin from scratch."
        )
    return kept


def _grown(
    name: str,
    before: Mapping[str, np.ndarray],
    learned: Learned,
    ids: Mapping[str, list[str]],
    features: FeatureSet,
) -> np.ndarray:
    value, name = before[name], MEMBER.sub("", name)
    if name in ID_TABLES:
        group = ID_TABLES[name]
        return grown_rows(value, learned.ids[group], ids[group])
    for prefix, group in FEATURE_TABLES.items():
        if name.startswith(prefix):
            column, _, part = name.removeprefix(prefix).partition("/")
            old = _feature(getattr(learned.features, group), column)
            new = _feature(getattr(features, group), column)
            if old is None or new is None or old.kind != new.kind:
                return value
            return _of_feature(value, part, old, new)
    return value


def grown_rows(
    table: np.ndarray, before: list[str], now: list[str], *, unknown: Any = None
) -> np.ndarray:
    """Return a table for other ids: each known one keeps its row.

    In: `table`: (ids before + 1, dim), row 0 that of the unknown; `unknown`: what new
    ids begin with, unless it is that row. Out: (ids now + 1, dim).
    """
    rows = pd.Index(before).get_indexer(pd.Index(now)) + 1  # 0 where it is new.
    found = table[np.r_[0, rows]]
    if unknown is not None:
        found[1:][rows == 0] = unknown
    return found


def _of_feature(value: np.ndarray, part: str, old: Feature, new: Feature) -> np.ndarray:
    if isinstance(old, Numeric) or isinstance(new, Numeric):
        return restandardised(value, old, new) if part == "kernel" else value
    unknown = None
    if old.kind == "multi_categorical" and len(value) > 1:
        unknown = value[1:].mean(axis=0)  # Row 0 is padding, which nothing teaches.
    return grown_rows(
        value, list(old.vocabulary), list(new.vocabulary), unknown=unknown
    )


def restandardised(kernel: np.ndarray, old: Any, new: Any) -> np.ndarray:
    """Return the kernel that says of a number what it said before.

    In, out: float32 (2, width), for the standardised number and whether it is there.
    """
    found = kernel.astype(np.float64)
    found[1] += found[0] * (new.mean - old.mean) / old.deviation
    found[0] *= new.deviation / old.deviation
    return found.astype(kernel.dtype)


def _feature(features: tuple[Feature, ...], name: str) -> Feature | None:
    return next((f for f in features if f.name == name), None)
