"""What became of a catalogue after its data set was prepared."""

from data.changes.apply import with_changes
from data.changes.changes import Change, Changes
from data.changes.read import check_known, item_id_column, read_ids, read_items

__all__ = [
    "Change",
    "Changes",
    "check_known",
    "item_id_column",
    "read_ids",
    "read_items",
    "with_changes",
]
