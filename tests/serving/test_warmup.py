"""Warm-up files: read as TensorFlow writes them, replayed, and refused when wrong."""

import io
from base64 import b64decode
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from serving.messages import PredictRequest
from serving.modelserver.errors import Code, StatusError
from serving.modelserver.prediction_log import PredictionLog
from serving.modelserver.tfrecord import as_record, read_records
from serving.modelserver.warmup import PLACE, WarmupRequest, replay

# Written by tf.io.TFRecordWriter: a log of each kind, in order predict (signature "s"),
# classify ("c"), regress ("r"), multi_inference (method "m"); an empty record, a log
# with metadata alone, a predict_log without a request.
OFFICIAL = b64decode(
    "CQAAAAAAAAA3+XE5MgcKBQoDGgFzdY3vsgkAAAAAAAAAN/lxORIHCgUKAxoBY+ZAUnQJAAAAAAAAADf5cTk"
    "aBwoFCgMaAXJbzbxeCQAAAAAAAAA3+XE5IgcKBQoDEgFtPCtMXQAAAAAAAAAAKQOYB9jqgqIHAAAAAAAAAL"
    "vXnxEKBQoDCgF4rEsdEQIAAAAAAAAAeCcLNDIArBcCTg=="
)


def as_records(contents: list[bytes]) -> bytes:
    return b"".join(map(as_record, contents))


def version(root: Path, content: bytes) -> str:
    path = root.joinpath(*PLACE)
    path.parent.mkdir()
    path.write_bytes(content)
    return str(root)


def predict_log(signature: str) -> bytes:
    request = PredictRequest()
    request.model_spec.signature_name = signature
    log = PredictionLog()
    log.predict_log.request = request.SerializeToString()
    return bytes(log.SerializeToString())


def signature_of(request: WarmupRequest) -> str:
    parsed = PredictRequest.FromString(request.request)
    return str(parsed.model_spec.signature_name)


def test_tensorflow_s_own_file_is_replayed_in_order(tmp_path: Path) -> None:
    asked: list[WarmupRequest] = []
    result = replay(version(tmp_path, OFFICIAL), asked.append)
    assert asked == [
        WarmupRequest("predict", b"\n\x03\x1a\x01s"),
        WarmupRequest("classify", b"\n\x03\x1a\x01c"),
        WarmupRequest("regress", b"\n\x03\x1a\x01r"),
        WarmupRequest("multi_inference", b"\n\x03\x12\x01m"),
        WarmupRequest("predict", b""),
    ]
    assert result is not None
    assert result.records == 7
    assert 0 <= result.seconds < 10


def test_a_version_without_a_file_needs_none(tmp_path: Path) -> None:
    assert replay(str(tmp_path), lambda _: pytest.fail("nothing to answer")) is None


def test_an_empty_file_holds_no_record(tmp_path: Path) -> None:
    result = replay(version(tmp_path, b""), lambda _: pytest.fail("nothing to answer"))
    assert result is not None
    assert result.records == 0


@pytest.mark.parametrize(("iterations", "times"), [(0, 1), (-3, 1), (1, 1), (3, 3)])
def test_each_record_is_repeated_before_the_next(
    tmp_path: Path, iterations: int, times: int
) -> None:
    folder = version(tmp_path, as_records([predict_log("a"), predict_log("b")]))
    asked: list[WarmupRequest] = []
    replay(folder, asked.append, iterations)
    assert [signature_of(r) for r in asked] == ["a"] * times + ["b"] * times


def test_the_first_failing_record_fails_the_load(tmp_path: Path) -> None:
    contents = [predict_log(name) for name in ("good", "bad", "never")]
    folder = version(tmp_path, as_records(contents))
    asked = []

    def answer(request: WarmupRequest) -> None:
        asked.append(signature_of(request))
        if asked[-1] == "bad":
            raise StatusError(Code.FAILED_PRECONDITION, "no such signature")

    complaint = r"^no such signature \(record 2 of .*/tf_serving_warmup_requests\)$"
    with pytest.raises(StatusError, match=complaint) as caught:
        replay(folder, answer)
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert asked == ["good", "bad"]


def test_a_thousand_records_are_the_most_and_one_more_fails_after_it_ran(
    tmp_path: Path,
) -> None:
    asked: list[WarmupRequest] = []
    content = as_records([predict_log("s")])
    folder = version(tmp_path, content * 1000)
    result = replay(folder, asked.append)
    assert result is not None
    assert (result.records, len(asked)) == (1000, 1000)
    Path(folder, *PLACE).write_bytes(content * 1002)
    asked.clear()
    complaint = r"Number of warmup records exceeds the maximum \(1000\) at .*requests$"
    with pytest.raises(StatusError, match=complaint) as caught:
        replay(folder, asked.append)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert len(asked) == 1001


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c[:-5] + b"\0" + c[-4:]]
)
def test_a_damaged_file_is_data_loss_after_what_was_whole(
    tmp_path: Path, damage: object
) -> None:
    assert callable(damage)
    content = as_records([predict_log("s"), predict_log("t")])
    asked: list[WarmupRequest] = []
    complaint = r"record at \d+\. Please verify your warmup data is in TFRecord format"
    with pytest.raises(StatusError, match=complaint) as caught:
        replay(version(tmp_path, damage(content)), asked.append)
    assert caught.value.code is Code.DATA_LOSS
    assert [signature_of(request) for request in asked] == ["s"]


def test_another_kind_of_file_is_told_so(tmp_path: Path) -> None:
    folder = version(tmp_path, predict_log("not a TFRecord file"))
    with pytest.raises(StatusError, match="Is this even a TFRecord file") as caught:
        replay(folder, lambda _: None)
    assert caught.value.code is Code.DATA_LOSS


@pytest.mark.parametrize(
    ("record", "kind"),
    [(b"*\x00", "5, session_run_log"), (b":\x02\n\x00", "7, predict_s")],
)
def test_sessions_and_streams_are_not_replayed(
    tmp_path: Path, record: bytes, kind: str
) -> None:
    folder = version(tmp_path, as_records([record]))
    with pytest.raises(StatusError, match=f"log_type for warmup: {kind}") as caught:
        replay(folder, lambda _: None)
    assert caught.value.code is Code.UNIMPLEMENTED


def test_what_does_not_parse_is_refused_and_not_quoted(tmp_path: Path) -> None:
    folder = version(tmp_path, as_records([b"\xffsecret"]))
    with pytest.raises(StatusError, match="Failed to parse warmup record") as caught:
        replay(folder, lambda _: None)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "secret" not in caught.value.message
    assert "record 1 of " in caught.value.message


def test_a_request_that_does_not_parse_is_refused_as_its_record(tmp_path: Path) -> None:
    log = PredictionLog()
    log.predict_log.request = b"\xff"

    def answer(request: WarmupRequest) -> None:
        with pytest.raises(DecodeError):
            signature_of(request)
        signature_of(request)

    folder = version(tmp_path, as_records([log.SerializeToString()]))
    with pytest.raises(StatusError, match="Failed to parse warmup record") as caught:
        replay(folder, answer)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_records_are_written_as_tensorflow_writes_them() -> None:
    contents = list(read_records(io.BytesIO(OFFICIAL)))
    assert as_records(contents) == OFFICIAL


@given(
    st.lists(st.sampled_from([b"", b"a", bytes(5000), b"\xff" * 2049]), max_size=6),
    st.data(),
)
def test_a_file_gives_back_its_records_and_no_damaged_one(
    contents: list[bytes], data: st.DataObject
) -> None:
    stored = as_records(contents)
    assert list(read_records(io.BytesIO(stored))) == contents
    if not stored:
        return
    place = data.draw(st.integers(0, len(stored) - 1))
    changed = bytearray(stored)
    changed[place] ^= data.draw(st.integers(1, 255))
    read = []
    with pytest.raises(StatusError, match=r"(corrupted|truncated) record"):
        read.extend(read_records(io.BytesIO(bytes(changed))))
    assert read == contents[: len(read)]
