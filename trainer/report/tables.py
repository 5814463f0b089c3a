"""The report's tables: numbers as text, as many decimals as their intervals earn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from trainer.evaluation.bootstrap import Interval
from trainer.evaluation.metrics import ACCURACY
from trainer.evaluation.results import Evaluation, title


@dataclass(frozen=True)
class Cell:
    """A value as text, its interval or "", and whether it is the column's best."""

    value: str
    bounds: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class MetricTable:
    """Rows of cells by model; `columns`: how the metrics are written."""

    columns: tuple[str, ...]
    rows: dict[str, list[Cell]]


def bracketed(found: Interval) -> str:
    """Write an interval on one line: "0.243 [0.181, 0.306]"."""
    digits = found.decimals
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


Rows = Mapping[str, Mapping[str, Interval]]
"""By model, then metric."""


def accuracy_table(models: Rows, k: int) -> MetricTable:
    """Tell how well the relevant items were found within the first k."""
    names = [f"{name}@{k}" for name in ACCURACY]
    columns = [_column(models, name, mark_best=True) for name in names]
    return _table(models, names, columns)


def beyond_table(found: Evaluation, k: int) -> MetricTable:
    """Tell what the lists of k are like; more of it is not always better."""
    models = {name: m.intervals for name, m in found.models.items()}
    first = next(iter(models.values()))
    names = [n for n in (f"novelty@{k}", f"diversity@{k}") if n in first]
    columns = [_column(models, name, mark_best=False) for name in names]
    totals = [f"coverage@{k}", f"gini@{k}"]
    for name, style in zip(totals, (".1%", ".3f"), strict=True):
        values = (m.totals[name] for m in found.models.values())
        columns.append([Cell(format(value, style)) for value in values])
    return _table(models, names + totals, columns)


def head_table(heads: Rows) -> MetricTable:
    """Tell how true the heads are; each row has its own metrics."""
    names = list(dict.fromkeys(name for found in heads.values() for name in found))
    columns = [
        [_cell(found[n], found[n].decimals) if n in found else Cell("") for n in names]
        for found in heads.values()
    ]
    return MetricTable(
        columns=tuple(map(title, names)), rows=dict(zip(heads, columns, strict=True))
    )


def print_rows(models: Rows, shown: Sequence[str], table: Table) -> None:
    """Add a row of means with intervals for each model to a table of a terminal."""
    for name, found in models.items():
        table.add_row(name, *(escape(bracketed(found[metric])) for metric in shown))


def _column(models: Rows, metric: str, *, mark_best: bool) -> list[Cell]:
    intervals = [found[metric] for found in models.values()]
    digits = max(interval.decimals for interval in intervals)
    best = max(interval.mean for interval in intervals)
    return [
        _cell(one, digits, is_best=mark_best and one.mean == best > 0)
        for one in intervals
    ]


def _cell(one: Interval, digits: int, *, is_best: bool = False) -> Cell:
    bounds = f"{one.low:.{digits}f} – {one.high:.{digits}f}"  # noqa: RUF001
    if math.isnan(one.low):
        bounds = ""
    return Cell(value=f"{one.mean:.{digits}f}", bounds=bounds, is_best=is_best)


def _table(
    models: Rows, names: Sequence[str], columns: Sequence[list[Cell]]
) -> MetricTable:
    rows = zip(*columns, strict=True)
    return MetricTable(
        columns=tuple(title(name).partition("@")[0] for name in names),
        rows=dict(zip(models, map(list, rows), strict=True)),
    )
