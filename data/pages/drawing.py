"""How our drawings look: small SVGs whose colours and letters the page decides.

They are drawn for a column of a phone's width, with text kept as text. Lines and
letters take CSS variables, so that one drawing serves light, dark and print.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH_IN = 5.2
INK, SOFT, RULE = "#010101", "#020202", "#030303"
SERIES = tuple(f"#0{i}0{i}1{i}" for i in range(8))
AHEAD, BEHIND, LEVEL = "#040404", "#050505", "#060606"
VARIABLES = {
    INK: "ink",
    SOFT: "soft",
    RULE: "rule",
    AHEAD: "ahead",
    BEHIND: "behind",
    LEVEL: "soft",
    **{colour: f"s{i}" for i, colour in enumerate(SERIES)},
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tandem",
    "text.parse_math": False,
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.constrained_layout.use": True,
}


@contextlib.contextmanager
def canvas(height_in: float) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty drawing of a page's column width, in our style."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in))
        yield figure, figure.subplots()


def svg(figure: Figure, name: str) -> str:
    """Render for a page: no metadata, ids of its own, colours and fonts of the page."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<!--.*?-->|<(metadata|style).*?</\1>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' (xmlns(:\w+)?|version|width|height)="[^"]*"', "", drawn, count=5)
    drawn = re.sub(r'\bid="', f'id="{name}-', drawn)
    drawn = re.sub(r'xlink:href="#', f'href="#{name}-', drawn)
    drawn = drawn.replace("url(#", f"url(#{name}-")
    drawn = re.sub(r"font-family: [^;\"]+", "font-family: var(--sans)", drawn)
    drawn = re.sub(r"\s*\n\s*", " ", drawn)
    for colour, variable in VARIABLES.items():
        drawn = drawn.replace(colour, f"var(--{variable})")
    return drawn.replace("<svg", '<svg aria-hidden="true"', 1)
