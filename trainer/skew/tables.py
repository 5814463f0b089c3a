"""What a version knows of items and users, column by column, beside what training does.

Its tables are encoded by the very layers that training encodes with; each feature has
columns of its own there, so that those that differ say which feature does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.features import Feature, Numeric
from data.statistics import NAMES
from trainer.models.embeddings import NUMERIC_DIM, feature_dim
from trainer.skew.computed import Computed
from trainer.skew.figures import FeatureSkew
from trainer.skew.served import Served
from trainer.skew.shifts import Values, shift

TOLERANCE = 1e-4
HALF_DIGITS = 2e-3  # Of the largest number of a table in half precision.


@dataclass(frozen=True, kw_only=True)
class Side:
    """The items, or the users, of some requests.

    `rows`: in the tables of training, one each time that a request reads, asks for or
    gets it, never 0. `read`, `owners`: those that are distributed as in training, since
    no model chose them, and whose requests those are. `codes`: of the whole table, by
    feature; `events`: the row of each event. `encoded`, `statistics`: training's
    tables. `id_width`: columns of ids.
    """

    name: str
    rows: np.ndarray
    read: np.ndarray
    owners: np.ndarray
    features: Sequence[Feature]
    codes: Mapping[str, np.ndarray]
    events: np.ndarray
    ids: np.ndarray
    encoded: np.ndarray
    statistics: np.ndarray
    id_width: int

    @property
    def one(self) -> str:
        """Return the word for one of them, by which the version names its tables."""
        return self.name.removesuffix("s")


def sides(
    computed: Computed,
    users: np.ndarray,
    items: np.ndarray,
    read: tuple[np.ndarray, np.ndarray],
) -> Iterator[Side]:
    """Yield the users and the items.

    In: rows, none of them 0; `read`: those of histories, and whose each is.
    """
    prepared, model = computed.fitted.prepared, computed.fitted.ranking
    log, now = prepared.as_happened, np.int64(computed.fitted.end_time)
    yield Side(
        name="users",
        rows=users,
        read=users,
        owners=users,
        features=prepared.features.users,
        codes=prepared.user_features,
        events=log.user,
        ids=prepared.user_ids,
        encoded=computed.users,
        statistics=computed.statistics.users.at(np.arange(prepared.num_users + 1), now),
        id_width=model.config.dim // 2,
    )
    yield Side(
        name="items",
        rows=items,
        read=read[0],
        owners=read[1],
        features=prepared.features.items,
        codes=prepared.item_features,
        events=log.item,
        ids=prepared.item_ids,
        encoded=computed.parts,
        statistics=computed.statistics.items.at(np.arange(prepared.num_items + 1), now),
        id_width=model.config.dim,
    )


def table_skew(
    side: Side, served: Served, event_owners: np.ndarray, *, is_half: bool
) -> Iterator[FeatureSkew]:
    """Compare the columns of a side's tables, feature by feature.

    In: `event_owners`: whose each event is; `is_half`: stored in half precision.
    """
    distinct, counts = np.unique(side.rows, return_counts=True)
    place = served.ids(f"{side.one}_ids")
    there = np.array([place.get(str(side.ids[row]), 0) for row in distinct], int)
    encoded = served.numbers(f"{side.one}_parts", side.encoded)
    statistics = served.numbers(f"{side.one}_statistics", side.statistics)

    def differing(ours: np.ndarray, theirs: np.ndarray, near: float) -> float | None:
        """Return the share of the requests' rows that differ; unknown ones do not."""
        if not len(distinct):
            return None
        same = np.isclose(theirs[there], ours[distinct], rtol=TOLERANCE, atol=near)
        differs = ~same.reshape(len(distinct), -1).all(axis=1) & (there > 0)
        return float((differs * counts).sum() / counts.sum())

    largest = float(np.abs(side.encoded).max(initial=0))
    near = HALF_DIGITS * largest if is_half else TOLERANCE
    known = {feature.name: feature for feature in side.features}
    columns = columns_of(side.features, side.id_width, side.encoded.shape[1])
    for name, part in columns.items():
        apart, chance = None, None
        if name in known and len(side.read):
            asked = side.codes[name][side.read]
            before = side.codes[name][side.events]
            feature = known[name]
            apart, chance = shift(
                Values.of(feature, asked, side.owners),
                Values.of(feature, before, event_owners),
                ordered=isinstance(feature, Numeric),
            )
        yield FeatureSkew(
            name=f"{side.name}.{name}",
            rows=len(side.rows),
            mismatch=differing(side.encoded[:, part], encoded[:, part], near),
            distance=apart,
            chance=chance,
        )
    for number, name in enumerate(NAMES):
        ours, theirs = side.statistics[:, number], statistics[:, number]
        yield FeatureSkew(
            name=f"{side.one}_statistics.{name}",
            rows=len(side.rows),
            mismatch=differing(ours, theirs, TOLERANCE),
        )


def columns_of(
    features: Sequence[Feature], id_width: int, width: int
) -> Mapping[str, slice]:
    """Return which columns of an encoded table each feature has.

    In: `id_width`: of the embedding of ids, which comes first; what follows the last
    feature is the text's. See `ranking.ItemPart` and `RankingModel.user`.
    """
    columns, start = {"id embedding": slice(0, id_width)}, id_width
    for feature in features:
        if isinstance(feature, Numeric):
            own = NUMERIC_DIM
        else:
            own = feature_dim(feature.num_codes)
        columns[feature.name] = slice(start, start + own)
        start += own
    return columns | ({"text": slice(start, width)} if start < width else {})
