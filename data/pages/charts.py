"""The drawings of a data set's description: arrays in, SVG out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from data.events import TEST, TRAIN, VALIDATION
from data.pages.drawing import INK, RULE, SERIES, SOFT, canvas, svg
from data.profile import DAY_S, History, Labels, head_shares, part_name

PART_COLOURS = {TRAIN: SERIES[0], VALIDATION: SERIES[1], TEST: SERIES[2]}
OTHER_PART = SERIES[5]
POINTS = 200  # So many draw the same line as a million do.
HISTOGRAM_BINS = 40
_HEIGHT_IN = 2.9
_SMALL = 10


def over_time(found: History, *, name: str) -> str:
    """Draw events over time, the parts of the split stacked."""
    with canvas(_HEIGHT_IN) as (figure, axes):
        days = found.edges / DAY_S
        bottom = np.zeros(len(days) - 1)
        for part, counts in found.counts.items():
            colour = PART_COLOURS.get(part, OTHER_PART)
            top = bottom + counts
            label = part_name(part)
            axes.stairs(
                top, days, baseline=bottom, fill=True, color=colour, label=label
            )
            bottom = top
        locator = AutoDateLocator(  # type: ignore[no-untyped-call]
            minticks=3, maxticks=8
        )
        axes.xaxis.set_major_locator(locator)
        dates = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(dates)
        axes.set_xlim(days[0], days[-1])
        axes.set_ylabel(f"events a {found.width}")
        _count_axis(axes)
        _legend(figure)
        return svg(figure, name)


def long_tail(counts: np.ndarray, *, name: str) -> str:
    """Draw the share of events that the most frequent items take.

    In: `counts`: events by item (n,).
    """
    with canvas(_HEIGHT_IN) as (figure, axes):
        taken = head_shares(counts)
        share = np.linspace(0, 1, len(taken))
        keep = np.unique(np.r_[0, np.geomspace(1, len(taken) - 1, POINTS).astype(int)])
        axes.plot(share[keep], taken[keep], color=SERIES[0], lw=1.8)
        for head in (0.01, 0.1):
            place = max(1, round(head * len(counts)))
            axes.plot(share[place], taken[place], "o", color=SERIES[0], ms=5)
            axes.annotate(
                f"{head:.0%} of items: {taken[place]:.0%}",
                (share[place], taken[place]),
                xytext=(9, -1),
                textcoords="offset points",
                va="center",
                fontsize=_SMALL,
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("share of items, most frequent first")
        axes.set_ylabel("share of events")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, None))
        return svg(figure, name)


def by_rank(counts: np.ndarray, *, name: str) -> str:
    """Draw the events of each item by its rank, both on log scales."""
    with canvas(_HEIGHT_IN) as (figure, axes):
        ordered = np.sort(counts[counts > 0])[::-1]
        last = max(len(ordered), 1)
        keep = np.unique(np.geomspace(1, last, POINTS).astype(int)) - 1
        axes.plot(keep + 1, ordered[keep], color=SERIES[0], lw=1.8)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(0.9 * ordered[-1], 1.2 * ordered[0])
        axes.set_xlabel("rank of the item")
        axes.set_ylabel("events of the item")
        _log_ticks(axes.xaxis, last)
        _log_ticks(axes.yaxis, ordered[0] / ordered[-1])
        return svg(figure, name)


def spread(values: np.ndarray, *, what: str, unit: str, name: str) -> str:
    """Draw how numbers of 1 and more spread, on a log scale if far, with their median.

    In: int (n,); zeros are left out. `what` has the numbers, which count `unit`.
    """
    with canvas(_HEIGHT_IN) as (figure, axes):
        values = values[values > 0]
        least, most = int(values.min()), int(values.max())
        edges = np.arange(least, most + 2) - 0.5
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if len(edges) > HISTOGRAM_BINS:
            grid = np.geomspace(least, most + 1, HISTOGRAM_BINS + 1)
            edges = np.unique(np.floor(grid)) - 0.5
            axes.set_xscale("log")
            _log_ticks(axes.xaxis, most / least)
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, fill=True, color=SERIES[0])
        axes.set_xlim(edges[0], edges[-1])
        median = float(np.median(values))
        axes.axvline(median, color=INK, lw=0.9)
        axes.set_title(f"median {median:,.6g}", loc="left", fontsize=_SMALL, color=SOFT)
        axes.set_xlabel(unit)
        axes.set_ylabel(what)
        _count_axis(axes)
        return svg(figure, name)


def labels(found: Labels, *, name: str) -> str:
    """Draw how often each label occurs, and what of it is a positive."""
    with canvas(_HEIGHT_IN) as (figure, axes):
        stacked = (
            ("positive", found.positive, np.zeros_like(found.other), SERIES[0]),
            ("other", found.other, found.positive, SERIES[5]),
        )
        for label, counts, bottom, colour in stacked:
            if not counts.any():
                continue
            if found.values is None:
                axes.stairs(
                    bottom + counts,
                    found.edges,
                    baseline=bottom,
                    fill=True,
                    color=colour,
                    label=label,
                )
            else:
                width = 0.8 * min(np.diff(found.values), default=1.0)
                at = found.values
                axes.bar(at, counts, width, bottom, color=colour, label=label)
        if found.values is not None:
            axes.set_xticks(found.values)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            axes.grid(visible=False, axis="x")
        axes.set_xlabel("label")
        axes.set_ylabel("events")
        _count_axis(axes)
        _legend(figure)
        return svg(figure, name)


def shares(rows: Sequence[tuple[str, float]], *, name: str, colours: Mapping) -> str:
    """Draw shares of a whole as bars, one below the other.

    In: `rows`: label and share, first on top; `colours`: by label, else the first.
    """
    with canvas(0.25 + 0.42 * len(rows)) as (figure, axes):
        across = axes.get_yaxis_transform()
        for place, (label, share) in enumerate(rows):
            axes.barh(-place, 1, 0.22, color=RULE)
            colour = colours.get(label, SERIES[0])
            axes.barh(-place, share, 0.22, color=colour)
            for x, text, align in ((0, label, "left"), (1, _percent(share), "right")):
                axes.text(
                    x, 0.34 - place, text, transform=across, ha=align, va="center"
                )
        axes.set_xlim(0, 1)
        axes.set_ylim(-len(rows) + 0.75, 0.6)
        axes.set_axis_off()
        return svg(figure, name)


def _percent(share: float) -> str:
    text = f"{share:.1%}"
    return "< 0.1%" if share > 0 and text == "0.0%" else text


def _short_number(value: float, _: object = None) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"


def _count_axis(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(_short_number))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylim(0, 1.05 * axes.dataLim.y1)


def _log_ticks(axis: Axis, ratio: float) -> None:
    """Label a log axis in plain numbers, closer where it covers little."""
    subs = (1.0,) if ratio > 300 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_short_number))


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside upper left", ncols=4, fontsize=_SMALL)
