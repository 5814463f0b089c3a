"""The scores that were answered, beside those that training's code computes."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from trainer.skew.computed import Computed
from trainer.skew.figures import ScoreSkew
from trainer.skew.logs import PADDING_BELOW, Asked


def score_skew(
    asked: Sequence[Asked], computed: Computed, tolerance: float
) -> Iterator[ScoreSkew]:
    """Yield what there is to say of each output of each servable.

    Items that the data set does not know are left out: nothing can be computed of them.
    """
    ordered = sorted((a for a in asked if a.items), key=lambda a: a.servable)
    for servable, group in groupby(ordered, key=lambda a: a.servable):
        pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for one, heads in computed.heads(list(group)):
            known = computed.rows(one.items) > 0
            for name, values in one.heads.items():
                if name in heads:
                    there = known & (values > PADDING_BELOW)
                    pair = (values[there], heads[name][there])
                    pairs.setdefault(name, []).append(pair)
        for name, found in sorted(pairs.items()):
            served, ours = (np.concatenate(side) for side in zip(*found, strict=True))
            if len(served):
                yield ScoreSkew.of(f"{servable}.{name}", served, ours, tolerance)
