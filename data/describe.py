"""Tells what a prepared data set is like, as a person would ask."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.cautions import Asked, cautions
from data.events import TEST, VALIDATION
from data.features import Numeric
from data.prepared import Prepared
from data.profile import DAY_S, Profile, head_shares, measure, part_name

Rows = list[tuple[str, str]]
HEAD_SHARES = (0.01, 0.1, 0.2)
NO_BREAK = "\u00a0"


@dataclass(frozen=True, kw_only=True)
class Section:
    """One question about a data set: a title and rows of name and value."""

    title: str
    rows: Rows


@dataclass(frozen=True, kw_only=True)
class Description:
    """All sections in order, and what a person should look at before training.

    `profile`: the numbers, for whoever draws them.
    """

    sections: tuple[Section, ...]
    warnings: tuple[str, ...]
    profile: Profile


def describe(prepared: Prepared) -> Description:
    """Describe a prepared data set."""
    queries = {part: prepared.queries(part) for part in (VALIDATION, TEST)}
    found = measure(prepared)
    titled = {
        "Size": _sizes(prepared, found),
        "Time (UTC)": _times(prepared, found),
        "Labels": _labels(prepared, found),
        "Long tail": _tail(found),
        "Split": _split(prepared, found, queries),
        "Texts": _texts(prepared, found),
        "Features": _features(prepared, found),
    }
    noticed = cautions(prepared, found, queries)
    return Description(
        sections=tuple(Section(title=t, rows=rows) for t, rows in titled.items()),
        warnings=(*prepared.manifest["warnings"], *noticed),
        profile=found,
    )


def _sizes(prepared: Prepared, found: Profile) -> Rows:
    num_events = len(prepared.events)
    users, items = prepared.num_users, prepared.num_items
    return [
        ("events", f"{num_events:,}"),
        ("users", f"{users:,}, {_count(found.user_counts == 0)} without events"),
        (
            "items",
            f"{items:,}, {_count(found.item_counts == 0)} without events, "
            f"{_count(~prepared.servable[1:])} not servable",
        ),
        ("impressions", f"{len(prepared.impressions['user']):,}"),
        (
            "density",
            f"{num_events / (users * items):.3%} of all pairs, repeats counted",
        ),
        ("events per user", _quantiles(found.user_counts)),
        ("events per item", _quantiles(found.item_counts)),
    ]


def _times(prepared: Prepared, found: Profile) -> Rows:
    if not knows_time(prepared):
        return [("order", "no time column: the order of the rows stands for it")]
    time = prepared.events.time
    days = (int(time.max()) - int(time.min())) / DAY_S
    return [
        ("first event", date(int(time.min()))),
        ("last event", date(int(time.max()))),
        ("span", f"{days:,.1f} days"),
        ("ties", f"{found.tied:,} at the time of the user's event before"),
    ]


def _labels(prepared: Prepared, found: Profile) -> Rows:
    log, labels = prepared.events, found.labels
    rows = [("positive", f"{log.positive.mean():.1%} of events")]
    if labels is None:
        return [*rows, ("label", "no column has that role")]
    if labels.values is None:
        rows.append(("label", _quantiles(log.label[~np.isnan(log.label)])))
    else:
        pairs = zip(labels.values, labels.counts, strict=True)
        rows += [(f"{v:g}", f"{n:,} ({n / len(log):.1%})") for v, n in pairs]
    if labels.missing:
        rows.append(("without a label", f"{labels.missing:,}"))
    return rows


def _tail(found: Profile) -> Rows:
    counts = found.item_counts
    taken = head_shares(counts)
    rows = []
    for share in HEAD_SHARES:
        head = taken[max(1, round(share * len(counts)))]
        rows.append((f"top {share:.0%} of items", f"{head:.1%} of events"))
    rows.append(("items of 1 to 4 events", _count((counts > 0) & (counts < 5))))
    return rows


def _split(prepared: Prepared, found: Profile, queries: Asked) -> Rows:
    rows = [("kind", str(prepared.config.split.kind))]
    counts = np.bincount(prepared.events.part, minlength=TEST + 1)
    for part, count in enumerate(counts.tolist()):
        value = f"{count:,} events ({count / counts.sum():.1%})"
        if part in (VALIDATION, TEST) and (cut := prepared.cut(part)) is not None:
            value += f" from {_moment(prepared, cut)}"
        rows.append((part_name(part), value))
    rows += _earlier_cuts(prepared)
    for part, asked in queries.items():
        name = part_name(part)
        value = (
            f"{len(asked):,} users, {sum(map(len, asked.relevant)):,} items to "
            f"find; left out: {asked.num_cold_users:,} cold users, "
            f"{asked.num_cold_items:,} cold items"
        )
        rows.append((f"{name} asks about", value))
    for part, share in found.cold.items():
        value = f"{share.users:.1%} of users, {share.items:.1%} of items"
        rows.append((f"{part_name(part)} new to training", value))
    return rows


def _earlier_cuts(prepared: Prepared) -> Iterator[tuple[str, str]]:
    """Yield the other cuts of a rolling split, each a validation and a test time."""
    folds = prepared.manifest["split"].get("folds") or []
    for number, (validation, test, _) in enumerate(folds[:-1], start=1):
        value = f"validation from {_moment(prepared, validation)}, test from "
        yield f"cut {number} of {len(folds)}", value + _moment(prepared, test)


def _texts(prepared: Prepared, found: Profile) -> Rows:
    columns = prepared.features.text.columns
    if not columns:
        return [("columns", "none: new items cannot be told apart by text")]
    texts = prepared.texts[1:]
    return [
        ("columns", ", ".join(columns)),
        ("characters", _quantiles(np.array([len(text) for text in texts]))),
        ("words", _quantiles(found.words)),
        ("empty", _count(texts == "")),
    ]


def _features(prepared: Prepared, found: Profile) -> Rows:
    rows = []
    features = prepared.features
    groups = ("item", features.items), ("user", features.users)
    for group, members in (*groups, ("context", features.context)):
        for feature in members:
            name, size = f"{group} {feature.name}", ""
            if not isinstance(feature, Numeric):
                size = f"{len(feature.vocabulary):,} values, "
            rows.append(
                (name, f"{feature.kind}: {size}{found.missing[name]:.1%} missing")
            )
    return rows or [("", "none")]


def knows_time(prepared: Prepared) -> bool:
    """Tell whether times are times; else they number the rows."""
    return bool(prepared.manifest["time"]["known"])


def _moment(prepared: Prepared, time: int) -> str:
    return date(time) if knows_time(prepared) else f"row {time:,}"


def _count(mask: np.ndarray) -> str:
    return f"{int(np.sum(mask)):,}"


def _quantiles(values: np.ndarray) -> str:
    low, middle, high, top = np.quantile(values, [0.1, 0.5, 0.9, 1.0])
    named = (("10 %", low), ("median", middle), ("90 %", high), ("most", top))
    words = (f"{name} {value:,.6g}" for name, value in named)
    return ", ".join(word.replace(" ", NO_BREAK) for word in words)


def date(seconds: int) -> str:
    """Write a time. In: Unix seconds. Out: date and time of day, UTC."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
