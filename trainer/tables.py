"""The report's tables: numbers as text, as many decimals as their intervals earn."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.bootstrap import Interval
from trainer.evaluation import Evaluation, title
from trainer.metrics import ACCURACY


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


def accuracy_table(found: Evaluation, k: int) -> MetricTable:
    """Tell how well the relevant items were found within the first k."""
    names = [f"{name}@{k}" for name in ACCURACY]
    columns = [_column(found, name, mark_best=True) for name in names]
    return _table(found, names, columns)


def beyond_table(found: Evaluation, k: int) -> MetricTable:
    """Tell what the lists of k are like; more of it is not always better."""
    first = next(iter(found.models.values()))
    names = [n for n in (f"novelty@{k}", f"diversity@{k}") if n in first.intervals]
    columns = [_column(found, name, mark_best=False) for name in names]
    totals = [f"coverage@{k}", f"gini@{k}"]
    for name, style in zip(totals, (".1%", ".3f"), strict=True):
        values = (m.totals[name] for m in found.models.values())
        columns.append([Cell(format(value, style)) for value in values])
    return _table(found, names + totals, columns)


def _column(found: Evaluation, metric: str, *, mark_best: bool) -> list[Cell]:
    intervals = [m.intervals[metric] for m in found.models.values()]
    digits = max(interval.decimals for interval in intervals)
    best = max(interval.mean for interval in intervals)
    return [
        Cell(
            value=f"{one.mean:.{digits}f}",
            bounds=f"{one.low:.{digits}f} – {one.high:.{digits}f}",  # noqa: RUF001
            is_best=mark_best and one.mean == best > 0,
        )
        for one in intervals
    ]


def _table(
    found: Evaluation, names: Sequence[str], columns: Sequence[list[Cell]]
) -> MetricTable:
    rows = zip(*columns, strict=True)
    return MetricTable(
        columns=tuple(title(name).partition("@")[0] for name in names),
        rows=dict(zip(found.models, map(list, rows), strict=True)),
    )
