"""What a step of the job says it has made: the same wherever the numbers are."""

from pathlib import Path

import tensorflow as tf

from data import files
from trainer.retrain.weights import tables_hash, weights_hash


class Tables(tf.Module):
    """Two tables, one of strings, whose variables may be called anything."""

    def __init__(self, called: str, number: float) -> None:
        super().__init__()
        self.numbers = tf.Variable([number, 2.0], name=called)
        self.strings = tf.Variable([["a", "bc"]], name=f"{called}_names")


def version(folder: Path, called: str, number: float = 1.0) -> str:
    tf.saved_model.save(Tables(called, number), str(folder))
    return str(folder)


def test_names_of_variables_are_no_part_of_a_version(tmp_path: Path) -> None:
    first = version(tmp_path / "1", "table")
    again = version(tmp_path / "2", "table_1")
    data = "variables/variables.data-00000-of-00001"
    one, other = (files.sha256(files.join(v, data)) for v in (first, again))
    assert one != other, "The files are the same, and prove nothing"
    assert tables_hash(first) == tables_hash(again)
    assert tables_hash(first) != tables_hash(version(tmp_path / "3", "table", 1.5))


def test_the_best_weights_are_hashed_without_sums_of_metrics(tmp_path: Path) -> None:
    def best(folder: Path, weight: float, total: float, called: str) -> str:
        model = tf.Module()
        model.weight = tf.Variable([weight], name=called)
        model.mean_loss = tf.Module()
        model.mean_loss.total = tf.Variable(total)
        tf.train.Checkpoint(model=model).write(str(folder / "best" / "weights"))
        return weights_hash(str(folder))

    found = best(tmp_path / "1", 1.0, 2.0, "weight")
    assert best(tmp_path / "2", 1.0, 3.0, "weight_1") == found
    assert best(tmp_path / "3", 1.5, 2.0, "weight") != found
