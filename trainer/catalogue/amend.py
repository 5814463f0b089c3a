"""Fitted models over a catalogue that has changed: longer tables, the same weights.

A new item has no events, so it shares the embedding of those that have none, and what
its row says decides.
"""

import dataclasses

import numpy as np

from data.changes import Changes, with_changes
from trainer.catalogue.text_store import TextStore
from trainer.export.export import Fitted
from trainer.models.towers import Texts


def amended(fitted: Fitted, changes: Changes, store: TextStore) -> Fitted:
    """Return fitted models over the items of their data set as changes leave them.

    The models are the same objects: they read other tables from now on.
    """
    if not changes:
        return fitted
    before, after = fitted.prepared, with_changes(fitted.prepared, changes)
    more = after.num_items - before.num_items
    known = np.r_[before.texts, np.full(more, "", object)]
    rows = np.flatnonzero(known != after.texts)
    new = np.arange(len(known) - more, len(known))

    def extended(texts: Texts) -> np.ndarray:
        table = np.pad(texts.table.numpy(), [(0, more), (0, 0)])
        if texts.tower is not None:  # It reads tokens, and those of no text are some.
            some = np.union1d(rows, new)
            table[some] = texts.tower.token_table(after.texts[some])
        elif fitted.text_tower is not None and len(rows):
            table[rows] = store.encode(after.texts[rows], fitted.text_tower)
        return table

    for layer in (fitted.retrieval.item_tower, fitted.ranking.item_part):
        layer.slots.extend(after.num_items + 1)
        layer.codes.replace(after.item_features)
        if layer.texts is not None:
            layer.texts.replace(extended(layer.texts))
    fitted.retrieval.trace_items()
    fitted.ranking.trace_items()
    affinity = fitted.affinity.extended(after.num_items)
    return dataclasses.replace(
        fitted, prepared=after, affinity=affinity, changes=changes
    )
