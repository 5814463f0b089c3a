"""The report's drawings."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from data.pages.drawing import (
    AHEAD,
    BEHIND,
    INK,
    LEVEL,
    SERIES,
    SOFT,
    STYLE,
    WIDTH_IN,
    svg,
)
from trainer.evaluation.bootstrap import Interval
from trainer.evaluation.results import title


def interval_plot(
    rows: Sequence[tuple[str, Interval]], *, name: str, difference: bool = False
) -> str:
    """Draw means with their intervals, one below the other.

    In: `rows`: label and interval, first on top; `difference`: draw the line of 0
    and colour by side; `name`: what keeps this drawing's ids apart. Out: SVG.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 0.5 + 0.52 * len(rows)))
        axes = figure.subplots()
        digits = max(interval.decimals for _, interval in rows)
        for place, (label, found) in enumerate(rows):
            colour = (LEVEL, AHEAD, BEHIND)[found.sign] if difference else SERIES[0]
            y = -place
            axes.plot([found.low, found.high], [y, y], color=colour, lw=2)
            axes.plot(found.mean, y, "o", color=colour, ms=6)
            value = f"{found.mean:{'+' if difference else ''}.{digits}f}"
            # The label stands above its line: beside it, a phone has no room.
            across = axes.get_yaxis_transform()
            axes.text(0, y + 0.33, label, transform=across, va="center")
            axes.text(
                1,
                y + 0.33,
                value,
                transform=across,
                va="center",
                ha="right",
                color=SOFT,
            )
        axes.set_ylim(-len(rows) + 0.55, 0.65)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if difference:
            axes.axvline(0, color=INK, lw=0.9, zorder=0)
        return svg(figure, name)


def learning_curves(history: Sequence[Mapping[str, float]], *, name: str) -> str:
    """Draw a fit by epoch: the training loss and each value of validation below.

    In: rows with "epoch", "loss" and any "val_..."; three of those at most are
    drawn. Out: SVG.
    """
    keys = [k for k in history[0] if k.startswith("val_")][:3]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.0 + 1.35 * (1 + len(keys))))
        panels = figure.subplots(1 + len(keys), 1, sharex=True, squeeze=False)[:, 0]
        for axes, key in zip(panels, ["loss", *keys], strict=True):
            _curve(axes, history, key)
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        return svg(figure, name)


def _curve(axes: Axes, history: Sequence[Mapping[str, float]], key: str) -> None:
    rows = [(row["epoch"], row[key]) for row in history if key in row]
    epochs, values = np.array(rows, np.float64).T
    colour = SERIES[1] if key == "loss" else SERIES[0]
    axes.plot(epochs, values, "o-", color=colour, ms=2.5, lw=1.6)
    label = "training loss" if key == "loss" else "validation " + _words(key)
    axes.set_title(label, loc="left", fontsize=11)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if key == "loss":
        return
    lower_is_better = any(word in key for word in ("loss", "rmse", "error"))
    best = int(np.nanargmin(values) if lower_is_better else np.nanargmax(values))
    axes.plot(epochs[best], values[best], "o", color=colour, ms=7, mfc="none")
    text = f"best {values[best]:.4g}, epoch {epochs[best]:.0f}"
    axes.set_title(text, loc="right", fontsize=10, color=SOFT)


def _words(key: str) -> str:
    return title(key.removeprefix("val_")).replace("_", " ")


def lorenz_curves(exposure: Mapping[str, np.ndarray], *, name: str) -> str:
    """Draw how recommendations concentrate on few items.

    In: model to the times each servable item was recommended (n,). Out: SVG, the
    share of recommendations that the most recommended share of items takes.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 3.5))
        axes = figure.subplots()
        for place, (model, counts) in enumerate(exposure.items()):
            taken = np.r_[0, np.cumsum(np.sort(counts)[::-1])] / max(counts.sum(), 1)
            share = np.linspace(0, 1, len(taken))
            # 200 points draw the same line as a million do.
            keep = np.unique(np.geomspace(1, len(taken), 200).astype(int)) - 1
            colour = SERIES[place % len(SERIES)]
            axes.plot(share[keep], taken[keep], color=colour, lw=1.8, label=model)
        axes.plot([0, 1], [0, 1], color=SOFT, lw=0.9, ls=":", label="all items alike")
        reached = max(float((c > 0).mean()) for c in exposure.values())
        axes.set_xlim(0, min(1.0, 1.2 * reached) or 1.0)
        axes.set_xlabel("share of the catalogue, most recommended first")
        axes.set_ylabel("share of recommendations")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, None))
        axes.legend(loc="lower right", fontsize=10)
        return svg(figure, name)
