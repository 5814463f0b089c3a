"""Tells what a prepared data set is like, as a person would ask."""

import datetime
from collections.abc import Iterator

import numpy as np

from data.events import TEST, VALIDATION
from data.features import Feature, Numeric
from data.prepared import Prepared
from data.queries import PART_NAMES

Section = tuple[str, list[tuple[str, str]]]
SHOWN_LABELS = 10
HEAD_SHARES = (0.01, 0.1, 0.2)


def describe(prepared: Prepared) -> Iterator[Section]:
    """Yield the sections of a description, each a title and rows of name and value."""
    yield "Size", _sizes(prepared)
    yield "Time (UTC)", _times(prepared)
    yield "Labels", _labels(prepared)
    yield "Long tail", _tail(prepared)
    yield "Split", _split(prepared)
    yield "Texts", _texts(prepared)
    yield "Features", _features(prepared)


def _sizes(prepared: Prepared) -> list[tuple[str, str]]:
    log = prepared.events
    users, items = prepared.num_users, prepared.num_items
    return [
        ("events", f"{len(log):,}"),
        ("users", f"{users:,}, {_count(log.user_counts()[1:] == 0)} without events"),
        (
            "items",
            f"{items:,}, {_count(log.item_counts(items)[1:] == 0)} without events, "
            f"{_count(~prepared.servable[1:])} not servable",
        ),
        ("impressions", f"{len(prepared.impressions['user']):,}"),
        ("density", f"{len(log) / (users * items):.3%} of all pairs, repeats counted"),
        ("events per user", _quantiles(log.user_counts()[1:])),
        ("events per item", _quantiles(log.item_counts(items)[1:])),
    ]


def _times(prepared: Prepared) -> list[tuple[str, str]]:
    if not prepared.manifest["time"]["known"]:
        return [("order", "no time column: the order of the rows stands for it")]
    time = prepared.events.time
    days = (time.max() - time.min()) / 86_400
    tied = np.diff(prepared.events.before) <= 0
    same_user = np.diff(prepared.events.user) == 0
    return [
        ("first event", _date(int(time.min()))),
        ("last event", _date(int(time.max()))),
        ("span", f"{days:,.1f} days"),
        ("ties", f"{_count(tied & same_user)} at the time of the user's event before"),
    ]


def _labels(prepared: Prepared) -> list[tuple[str, str]]:
    log = prepared.events
    rows = [("positive", f"{log.positive.mean():.1%} of events")]
    values, counts = np.unique(log.label[~np.isnan(log.label)], return_counts=True)
    if 0 < len(values) <= SHOWN_LABELS:
        pairs = zip(values, counts, strict=True)
        rows += [(f"{v:g}", f"{n:,} ({n / len(log):.1%})") for v, n in pairs]
    elif len(values):
        rows.append(("label", _quantiles(log.label[~np.isnan(log.label)])))
    if missing := np.isnan(log.label).sum():
        rows.append(("without a label", f"{missing:,}"))
    return rows


def _tail(prepared: Prepared) -> list[tuple[str, str]]:
    counts = prepared.events.item_counts(prepared.num_items)[1:]
    ordered = np.sort(counts)[::-1]
    rows = []
    for share in HEAD_SHARES:
        head = ordered[: max(1, round(share * len(ordered)))].sum()
        rows.append(
            (f"top {share:.0%} of items", f"{head / counts.sum():.1%} of events")
        )
    rows.append(("items of 1 to 4 events", _count((counts > 0) & (counts < 5))))
    return rows


def _split(prepared: Prepared) -> list[tuple[str, str]]:
    log = prepared.events
    rows = [("kind", str(prepared.config.split.kind))]
    for part, name in PART_NAMES.items():
        value = f"{_count(log.part == part)} events"
        if (cut := prepared.cut(part) if part else None) is not None:
            value += f" from {_date(cut)}"
        rows.append((name, value))
    for part in (VALIDATION, TEST):
        queries = prepared.queries(part)
        name = PART_NAMES[part]
        value = (
            f"{len(queries):,} users, {sum(map(len, queries.relevant)):,} items to "
            f"find; left out: {queries.num_cold_users:,} cold users, "
            f"{queries.num_cold_items:,} cold items"
        )
        rows.append((f"{name} asks about", value))
    return rows


def _texts(prepared: Prepared) -> list[tuple[str, str]]:
    columns = prepared.features.text.columns
    if not columns:
        return [("columns", "none: new items cannot be told apart by text")]
    texts = prepared.texts[1:]
    return [
        ("columns", ", ".join(columns)),
        ("characters", _quantiles(np.array([len(text) for text in texts]))),
        ("words", _quantiles(np.array([len(text.split()) for text in texts]))),
        ("empty", _count(texts == "")),
    ]


def _features(prepared: Prepared) -> list[tuple[str, str]]:
    features = prepared.features
    groups = (
        ("item", features.items, prepared.item_features),
        ("user", features.users, prepared.user_features),
        ("context", features.context, prepared.events.context),
    )
    rows = []
    for group, members, codes in groups:
        for feature in members:
            values = codes[feature.name]
            values = values if group == "context" else values[1:]
            rows.append((f"{group} {feature.name}", _feature(feature, values)))
    return rows or [("", "none")]


def _feature(feature: Feature, codes: np.ndarray) -> str:
    if isinstance(feature, Numeric):
        missing, size = codes[:, 1] == 0, ""
    else:
        missing = codes.reshape(len(codes), -1).max(axis=1) == 0
        size = f"{len(feature.vocabulary):,} values, "
    return f"{feature.kind}: {size}{missing.mean():.1%} missing"


def _count(mask: np.ndarray) -> str:
    return f"{int(np.sum(mask)):,}"


def _quantiles(values: np.ndarray) -> str:
    low, middle, high, top = np.quantile(values, [0.1, 0.5, 0.9, 1.0])
    return f"10 % {low:,.6g}, median {middle:,.6g}, 90 % {high:,.6g}, most {top:,.6g}"


def _date(seconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
