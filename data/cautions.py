"""What in a data set will spoil a model or its evaluation, said before training."""

from collections.abc import Iterator, Mapping

from data.prepared import Prepared
from data.profile import Profile, part_name
from data.queries import Queries

Asked = Mapping[int, Queries]
"""The queries of the validation and the test part."""

FEW_QUERIES = 200
MUCH = 0.5


def cautions(prepared: Prepared, found: Profile, queries: Asked) -> Iterator[str]:
    """Yield what a person should look at before training, a sentence or two each."""
    yield from _of_split(prepared, found, queries)
    if found.history and found.tied > MUCH * len(prepared.events):
        yield (
            f"{found.tied / len(prepared.events):.0%} of events have the time of "
            "their user's event before: within it nobody knows the order."
        )
    positive = prepared.events.positive.mean()
    if isinstance(prepared.config.label.positive, str) and not 0.01 < positive < 0.99:
        yield (
            f"{positive:.2%} of events are positives. Look at [data.label] positive = "
            f"{prepared.config.label.positive!r}."
        )
    for name, share in found.missing.items():
        if share > MUCH:
            yield f"{name} is missing for {share:.0%}: it will tell little."


def _of_split(prepared: Prepared, found: Profile, queries: Asked) -> Iterator[str]:
    for part, asked in queries.items():
        if len(asked) < FEW_QUERIES:
            yield (
                f"{part_name(part)} asks about {len(asked):,} users: differences "
                "between models will hardly show. Take a larger share in [data.split]."
            )
    if prepared.config.split.kind == "cold_items":
        return
    for part, cold in found.cold.items():
        if cold.events > MUCH:
            yield (
                f"{cold.events:.0%} of the events of {part_name(part)} are of "
                "items without a training event, which are not asked for. Take "
                "another split, or cold_items to ask for them."
            )
