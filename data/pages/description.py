"""The page that shows what a data set is like before anything is trained on it."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from data import files
from data.describe import Description, date, knows_time
from data.pages import charts, environment
from data.prepared import Prepared
from data.profile import Profile, part_name

TEMPLATE = "description.html.jinja"
MOST_MISSING = 15
Figure = tuple[str, str]
"""A drawing and the sentence below it."""


def write_description(
    path: str,
    prepared: Prepared,
    description: Description,
    *,
    title: str,
    notes: Sequence[str] = (),
) -> None:
    """Write the page, which needs no other file and no script.

    In: `title`: the data set's name; `notes`: what must be said before all else.
    """
    drawn = figures(description.profile)
    page = (
        environment()
        .get_template(TEMPLATE)
        .render(
            title=title,
            headline=_headline(prepared),
            warnings=[*notes, *description.warnings],
            sections=[
                (section.title, dict(section.rows), drawn.get(section.title, []))
                for section in description.sections
            ],
            about={
                "prepared": prepared.manifest["created"].replace("T", " "),
                "fingerprint": prepared.fingerprint,
            },
        )
    )
    files.write_text(path, page)


def figures(found: Profile) -> dict[str, list[tuple[Markup, str]]]:
    """Return the drawings by the title of their section."""
    groups = {
        "Size": _sizes(found),
        "Time (UTC)": _times(found),
        "Labels": _labels(found),
        "Long tail": _tail(found),
        "Split": _cold(found),
        "Texts": _texts(found),
        "Features": _missing(found),
    }
    return {
        title: [(Markup(drawing), caption) for drawing, caption in group]
        for title, group in groups.items()
    }


def _sizes(found: Profile) -> Iterator[Figure]:
    counts = found.user_counts
    drawing = charts.spread(counts, what="users", unit="events of a user", name="users")
    yield drawing, "Users by their number of events; those without any are left out"


def _times(found: Profile) -> Iterator[Figure]:
    if found.history:
        drawing = charts.over_time(found.history, name="time")
        yield drawing, "Events over time, by part"


def _labels(found: Profile) -> Iterator[Figure]:
    if found.labels:
        yield charts.labels(found.labels, name="labels"), "Events by label"


def _tail(found: Profile) -> Iterator[Figure]:
    counts = found.item_counts
    yield charts.long_tail(counts, name="tail"), "What the most frequent items take"
    yield charts.by_rank(counts, name="rank"), "Events of each item, by rank"


def _cold(found: Profile) -> Iterator[Figure]:
    rows, colours = [], {}
    for part, cold in found.cold.items():
        shares = {"users": cold.users, "items": cold.items}
        shares["events, by their item"] = cold.events
        for noun, share in shares.items():
            label = f"{part_name(part)}: {noun}"
            rows.append((label, share))
            colours[label] = charts.PART_COLOURS[part]
    if rows:
        drawing = charts.shares(rows, name="cold", colours=colours)
        yield drawing, "New to training: share without any training event"


def _texts(found: Profile) -> Iterator[Figure]:
    if found.words.any():
        drawing = charts.spread(found.words, what="items", unit="words", name="texts")
        yield drawing, "Items by the length of their text; empty ones are left out"


def _missing(found: Profile) -> Iterator[Figure]:
    gaps = [(name, share) for name, share in found.missing.items() if share > 0]
    gaps.sort(key=lambda row: -row[1])
    if gaps:
        drawing = charts.shares(gaps[:MOST_MISSING], name="missing", colours={})
        more = len(gaps) - MOST_MISSING
        rest = f"; {more} more have fewer" if more > 0 else ""
        yield drawing, f"Missing or unknown values{rest}"


def _headline(prepared: Prepared) -> str:
    size = f"{len(prepared.events):,} events of {prepared.num_users:,} users"
    text = f"{size} with {prepared.num_items:,} items"
    if knows_time(prepared):
        time = prepared.events.time
        first, last = (date(int(t))[:7] for t in (time.min(), time.max()))
        text += f", {first}" if first == last else f", {first} to {last}"
    return text
