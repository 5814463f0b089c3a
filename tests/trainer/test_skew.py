"""Skew: logs are read or refused, histories compared, tolerances held."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError, DataError
from data.features import Categorical, MultiCategorical, Numeric
from trainer.config import SkewConfig
from trainer.models.embeddings import FeatureEmbedding
from trainer.skew.features import new_among_newest
from trainer.skew.figures import FeatureSkew, ScoreSkew, Skew
from trainer.skew.histories import differences
from trainer.skew.logs import read_logs
from trainer.skew.shifts import Values, shift
from trainer.skew.tables import columns_of

PUBLISHED = {"recommender": [7, 8], "ranking": [7, 8], "retrieval": [7, 8]}
LENGTH = 5
TIMES = list(range(100, 110))
KNOWN = list(range(1, 11))  # Ten events, one a second.


def logged(
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    *,
    model: str = "recommender",
    version: int = 7,
    signature: str = "",
) -> bytes:
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.log_metadata.timestamp_secs = 1234
    log.log_metadata.model_spec.name = model
    log.log_metadata.model_spec.version.value = version
    log.predict_log.request.model_spec.signature_name = signature
    for fields, values in (
        (log.predict_log.request.inputs, inputs),
        (log.predict_log.response.outputs, outputs),
    ):
        for name, value in values.items():
            fields[name].CopyFrom(tf.make_tensor_proto(value))
    return bytes(log.SerializeToString())


ONE = logged(
    {"user_id": ["u"]},
    {"item_id": [["a", ""]], "score": np.float32([[0.5, -1e30]])},
)


def written(path: Path, *records: bytes) -> Path:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def read(*paths: Path, most: int = 100) -> Any:
    return read_logs([str(path) for path in paths], PUBLISHED, most)


def test_each_row_of_a_call_is_a_request(tmp_path: Path) -> None:
    inputs = {
        "user_id": ["u", "v"],
        "history": [["a", "", "b"], ["", "", ""]],
        "exclude": [["x"], [""]],
        "k": np.int32([2, 2]),
        "time": np.int64([50, 0]),
        "boost": [["d"], [""]],
        "bury": [[""], [""]],
        "device": ["tv", ""],
    }
    outputs = {
        "item_id": [["d", "c"], ["é", ""]],
        "score": np.float32([[0.9, 0.8], [0.7, -1e30]]),
    }
    record = logged(inputs, outputs, signature="with_context")
    ranked = logged(
        {"user_id": ["u"], "item_id": [["a", "b"]]},
        {"like": np.float32([[0.1, 0.2]]), "score": np.float32([[0.1, 0.2]])},
        model="ranking",
        version=8,
    )
    other = logged({"text": ["blue"]}, {}, signature="search")
    log = read(written(tmp_path / "a.tfrecord", record, ranked, other))
    first, second, third = log.asked
    assert (first.user, first.history, first.time) == ("u", ("a", "b"), 50)
    assert first.logged == 1234
    assert first.context == {"device": "tv"}
    assert first.items == ("c",)  # What was boosted has no score to compare.
    np.testing.assert_array_equal(first.heads["score"], np.float32([0.8]))
    assert (second.user, second.history, second.items) == ("v", (), ("é",))
    assert (third.servable, third.version, third.items) == ("ranking", 8, ("a", "b"))
    assert sorted(third.heads) == ["like", "score"]
    assert log.left_out == {"search": 1}
    assert log.records == 3


def test_a_folder_stands_for_its_files_and_a_sample_for_all(tmp_path: Path) -> None:
    written(tmp_path / "1.tfrecord", *[ONE] * 5)
    written(tmp_path / "2.tfrecord", *[ONE] * 5)
    (tmp_path / "notes.txt").write_text("no log")
    log = read(tmp_path, most=4)
    assert (len(log.asked), log.records) == (4, 10)
    assert log.left_out == {"beyond --most": 6}


def test_the_last_record_may_be_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a", ONE, ONE)
    path.write_bytes(path.read_bytes()[:-3])
    assert len(read(path).asked) == 1
    place = len(ONE) + 16
    assert f"record 2, at byte {place}: it is cut off" in capsys.readouterr().out


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such file. Expected TFRecord"):
        read(tmp_path / "gone")
    text = tmp_path / "text"
    text.write_text("user_id,item_id\n" * 10)
    with pytest.raises(DataError, match="text: record 1, at byte 0: corrupted record"):
        read(text)
    damaged = written(tmp_path / "damaged", ONE, ONE, ONE)
    content = bytearray(damaged.read_bytes())
    content[len(ONE) + 16 + 20] ^= 1
    damaged.write_bytes(bytes(content))
    place = len(ONE) + 16
    with pytest.raises(DataError, match=f"record 2, at byte {place}: corrupted"):
        read(damaged)
    with pytest.raises(DataError, match=r"record 2, .*: it is no PredictionLog"):
        read(written(tmp_path / "other", ONE, b"\xff\xff"))
    with pytest.raises(DataError, match="no record"):
        read(written(tmp_path / "empty"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"no file \*.tfrecord in it"):
        read(tmp_path / "folder")


def test_another_s_log_is_refused(tmp_path: Path) -> None:
    other = written(tmp_path / "a", ONE, logged({}, {}, model="m"))
    with pytest.raises(DataError, match=r"record 2.* answered by model 'm', expected"):
        read(other)
    old = written(tmp_path / "b", logged({}, {}, version=6))
    with pytest.raises(DataError, match=r"version 6 of recommender, .*holds: 7, 8"):
        read(old)
    strange = written(tmp_path / "c", logged({"x": [1.0]}, {}))
    with pytest.raises(DataError, match="not what recommender's serving_default"):
        read(strange)


def compare(*rows: int, given: bool = True, met: tuple[int, ...] = ()) -> Any:
    return differences(rows, KNOWN, TIMES, LENGTH, met=met, is_given=given)


def test_histories_that_are_training_s() -> None:
    assert compare(6, 7, 8, 9, 10) == (False, False)
    assert compare(6, 7, 8, 9, 10, given=False) == (False, False)
    # What happened since is newer, and takes the place of what is oldest.
    assert compare(8, 9, 10, 90, 91) == (False, False)
    assert compare(90, 91, 92, 93, 94) == (False, False)
    assert differences([], [], [], LENGTH, is_given=False) == (False, False)


def test_histories_that_are_not() -> None:
    assert compare(10, 9, 8, 7, 6) == (False, True)
    assert compare(10, 9, 8, 91, 90) == (False, True)
    assert compare(1, 2, 3, 4, 5) == (True, False)
    assert compare(9, 10) == (True, False)
    assert compare(8, 9, 10, 90, 91, given=False) == (True, False)
    # Met, but what training reads leaves it out: a dislike, say.
    assert compare(7, 8, 9, 10, 90, met=(90,)) == (True, False)


def test_events_of_one_second_have_no_order() -> None:
    one, other = [1, 2, 3], [2, 1, 3]
    assert differences(other, one, [5, 5, 6], LENGTH, is_given=True) == (False, False)
    assert differences(other, one, [5, 6, 7], LENGTH, is_given=True) == (False, True)


@given(
    st.lists(st.integers(1, 6), max_size=12),
    st.lists(st.integers(7, 9), max_size=3, unique=True),
)
def test_what_training_knows_with_newer_events_is_no_skew(
    known: list[int], newer: list[int]
) -> None:
    """Whatever happens twice, and however long it is."""
    times = list(range(len(known)))
    sent = [*known, *newer][-LENGTH:]
    found = differences(sent, known, times, LENGTH, met=known, is_given=True)
    assert found == (False, False)


def test_columns_lie_where_the_layers_put_them() -> None:
    features = (
        Categorical(name="color", vocabulary=tuple("abcdefghij")),
        Numeric(name="price", mean=0.0, deviation=1.0),
        MultiCategorical(name="tags", vocabulary=("x", "y"), width=2, separator=","),
    )
    layer = FeatureEmbedding(features, name="features")
    codes = {
        "color": np.int32([1, 2]),
        "price": np.float32([[0.5, 1.0], [0.5, 1.0]]),
        "tags": np.int32([[1, 0], [1, 0]]),
    }
    encoded = layer({name: tf.constant(code) for name, code in codes.items()}).numpy()
    columns = columns_of(features, 3, 3 + encoded.shape[1] + 4)
    assert columns["id embedding"] == slice(0, 3)
    differs = np.flatnonzero(encoded[0] != encoded[1]) + 3
    part = columns["color"]
    assert set(differs) <= set(range(part.start, part.stop))
    assert len(differs)
    assert columns["tags"].stop == columns["text"].start == 3 + encoded.shape[1]
    assert columns["text"].stop == 3 + encoded.shape[1] + 4
    assert "text" not in columns_of(features, 3, 3 + encoded.shape[1])


def test_known_values_are_held_against_those_of_events() -> None:
    feature = MultiCategorical(name="t", vocabulary=("x", "y"), width=2, separator=",")
    some = Values.of(feature, np.int32([[1, 2], [0, 0], [2, 0]]), np.array([5, 6, 7]))
    assert some.values.tolist() == [1, 2, 2]
    assert some.owners.tolist() == [5, 5, 7]
    many = Values(np.arange(60), np.repeat([1, 2, 3], [50, 9, 1])).thinned(5)
    assert np.unique(many.owners, return_counts=True)[1].tolist() == [5, 5, 1]
    ones = Values(np.ones(400, int), np.arange(400))
    twos = Values(np.full(400, 2), np.arange(400))
    apart, chance = shift(ones, twos, ordered=False)
    assert apart == 1.0
    assert chance < 0.2
    assert shift(ones, ones, ordered=True)[0] == 0.0


def test_new_ids_are_counted_among_the_newest_events() -> None:
    rows = np.array([1, 2, 3, 1, 2, 3, 1, 2, 9, 1])
    assert new_among_newest(rows, np.arange(10)) == 0.0
    assert new_among_newest(rows[[*range(8), 9, 8]], np.arange(10)) == 1.0
    assert new_among_newest(np.array([], int), np.array([], int)) == 0.0


def test_tolerances_are_held() -> None:
    config = SkewConfig(max_mismatch=0.1, max_score_difference=0.01, min_rows=10)

    def problems(**figures: Any) -> list[str]:
        figures = {"rows": 100, **figures}
        return list(FeatureSkew(name="items.color", **figures).problems(config))

    assert problems(mismatch=0.1) == []
    (said,) = problems(mismatch=0.11)
    assert said.startswith("items.color: 11.0% of 100 values are not what training")
    assert problems(distance=0.5, chance=0.3) == []
    assert "distributed otherwise" in problems(distance=0.9, chance=0.3)[0]
    assert problems(distance=0.9, chance=0.3, rows=9) == []
    assert problems(unknown=0.2, unknown_before=0.15) == []
    assert (
        "20.0% of 100 values are unknown"
        in (problems(unknown=0.2, unknown_before=0.0)[0])
    )
    served = np.float32([0.5, 0.5, 0.5, 0.9])
    score = ScoreSkew.of("ranking.like", served, np.float32([0.5] * 4), 0.01)
    assert (score.mismatch, score.quantiles["0.5"]) == (0.25, 0.0)
    assert score.largest == pytest.approx(0.4)
    (said,) = score.problems(config)
    assert said.startswith("ranking.like: 25.0% of 4 scores differ by more than 0.01")
    nothing = ScoreSkew.of("s", served, np.float32([np.nan] * 4), 0.01)
    assert nothing.mismatch == 1.0
    skew = Skew(version=7, requests=4, features=[], scores=[nothing]).judged(config)
    assert skew.to_json()["scores"][0]["largest"] is None  # JSON has no infinity.


def test_tolerances_are_shares() -> None:
    with pytest.raises(ConfigError, match=r"max_distance is 2, expected a share"):
        SkewConfig(max_distance=2)
    with pytest.raises(ConfigError, match="min_rows"):
        SkewConfig(min_rows=0)
