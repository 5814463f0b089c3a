"""What a person reads about rows that were taken in."""

from collections.abc import Iterator

from data.ingest.result import IngestResult
from data.states.finding import Finding

DAY_S = 86_400


def lines_of(result: IngestResult) -> Iterator[str]:
    """Yield lines about what became of new files."""
    counts = result.counts
    if result.status == "nothing":
        yield from _nothing(result)
        return
    for found in result.manifest["findings"]:
        yield f"{found['severity']}: {Finding(**found)}"
    late = result.manifest["late"]
    if late:
        days = late["most_s"] / DAY_S
        yield (
            f"{counts['late']:,} of the new events are older than the newest before, "
            f"by up to {days:.1f} days. They are kept."
        )
    if counts["conflicts"]:
        yield (
            f"{counts['conflicts']:,} of the new events say other things than one of "
            "the same user, item and time. All are kept."
        )
    stood = ", which stood already" if result.status == "standing" else ""
    yield (
        f"{result.folder}{stood}: {counts['new']:,} new events after "
        f"{counts['former']:,}; left out: {counts['duplicates']:,} that were there, "
        f"{counts['refused']:,} that cannot be used; {counts['new_users']:,} new users "
        f"and {counts['new_items']:,} new items"
    )


def _nothing(result: IngestResult) -> Iterator[str]:
    counts = result.counts
    if known := counts.get("known_files"):
        noun = "file was" if known == 1 else "files were"
        yield f"No new data: {known:,} {noun} ingested before. Nothing is written."
    elif counts.get("rows") == 0:
        yield "No new data: there is no row in what was named. Nothing is written."
    elif "rows" in counts:
        yield (
            f"No new data: {counts['duplicates']:,} of {counts['rows']:,} rows are "
            f"there already, {counts['refused']:,} cannot be used. Nothing is written."
        )
    else:
        yield "No new data: no file was named. Nothing is written."
