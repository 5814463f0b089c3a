"""Numbers, shares and cells as people read them."""

SHOWN_CHARACTERS = 40


def percent(share: float) -> str:
    """Return a share for people: `4.2 %`."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.3g} %"


def number(value: float) -> str:
    """Return a number for people: `4,780,653`, `0.25`."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}" if abs(value) >= 10_000 else f"{int(value)}"
    return f"{value:.4g}"


def shown(value: str) -> str:
    """Return a value in quotes, cut to what a line has room for."""
    cut = value[:SHOWN_CHARACTERS]
    return repr(cut) + ("..." if len(cut) < len(value) else "")
