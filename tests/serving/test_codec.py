"""REST's JSON: the committed cases, and properties over arbitrary input."""

import json
import math
import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.modelserver.codec.debug import describe
from serving.modelserver.codec.floats import debug_text, float_texts
from serving.modelserver.codec.keys import has_all_keys
from serving.modelserver.codec.objects import JsonObject
from serving.modelserver.codec.request import load, parse_request, read_tensors
from serving.modelserver.codec.response import (
    render_columns,
    render_error,
    render_rows,
)
from serving.modelserver.codec.scan import scan
from serving.modelserver.errors import Code, StatusError
from serving.tensors import NAMES, NUMBERS, numpy_type, object_array, type_number
from tests.serving import codec_cases as cases


def make(dtype: str, shape: list[int], values: list[Any]) -> Any:
    if dtype == "string":
        return object_array(values, tuple(shape))
    return np.array(values, numpy_type(NUMBERS[dtype])).reshape(shape)


def refused(inputs: dict[str, str], body: bytes) -> StatusError:
    with pytest.raises(StatusError) as caught:
        read_tensors(parse_request(body), inputs)
    return caught.value


@pytest.mark.parametrize(
    ("inputs", "body", "in_rows", "expected"),
    [case[1:] for case in cases.GOOD],
    ids=[case[0] for case in cases.GOOD],
)
def test_request_becomes_tensors(
    inputs: dict[str, str], body: bytes, in_rows: bool, expected: dict[str, Any]
) -> None:
    found_rows, tensors = read_tensors(parse_request(body), inputs)
    assert found_rows is in_rows
    assert tensors.keys() == expected.keys()
    for name, (dtype, shape, values) in expected.items():
        assert NAMES[type_number(tensors[name])] == dtype
        wanted = make(dtype, shape, values)
        np.testing.assert_array_equal(tensors[name], wanted, strict=True)


@pytest.mark.parametrize(
    ("inputs", "body", "message"),
    [case[1:] for case in cases.BAD],
    ids=[case[0] for case in cases.BAD],
)
def test_request_is_refused(inputs: dict[str, str], body: bytes, message: str) -> None:
    error = refused(inputs, body)
    assert error.code is Code.INVALID_ARGUMENT
    if message.endswith("..."):
        assert error.message.startswith(message.removesuffix("..."))
    else:
        assert error.message == message


def test_type_without_json_is_unimplemented_in_columns() -> None:
    error = refused({"x": "half"}, b'{"inputs":[1]}')
    assert error.code is Code.UNIMPLEMENTED
    assert error.message == "Conversion of JSON Value: 1 to type: half"


@pytest.mark.parametrize(
    ("outputs", "in_rows", "expected"),
    [case[1:] for case in cases.RENDERED],
    ids=[case[0] for case in cases.RENDERED],
)
def test_response_text(outputs: dict[str, Any], in_rows: bool, expected: str) -> None:
    tensors = {name: make(*parts) for name, parts in outputs.items()}
    body = render_rows(tensors) if in_rows else render_columns(tensors)
    assert body == expected.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("outputs", "in_rows", "message"),
    [case[1:] for case in cases.NOT_RENDERED],
    ids=[case[0] for case in cases.NOT_RENDERED],
)
def test_response_is_refused(
    outputs: dict[str, Any], in_rows: bool, message: str
) -> None:
    tensors = {name: make(*parts) for name, parts in outputs.items()}
    with pytest.raises(StatusError) as caught:
        (render_rows if in_rows else render_columns)(tensors)
    assert (caught.value.code, caught.value.message) == (3, message)


@pytest.mark.parametrize(
    ("form", "dtype", "table"),
    [(">f", np.float32, cases.FLOAT32_TEXTS), (">d", np.float64, cases.FLOAT64_TEXTS)],
    ids=["float32", "float64"],
)
def test_float_text(form: str, dtype: Any, table: list[tuple[str, str]]) -> None:
    values = [struct.unpack(form, bytes.fromhex(bits))[0] for bits, _ in table]
    assert float_texts(np.array(values, dtype)) == [text for _, text in table]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-2.5, "-2.5"),
        (0.000001, "0.000001"),
        (0.0000001, "1e-7"),
        (1e20, "100000000000000000000.0"),
        (1.5e22, "1.5e22"),
        (123456.789, "123456.789"),
    ],
)
def test_float_in_an_error_text(value: float, text: str) -> None:
    assert debug_text(value) == text


def test_error_text_is_cut_off() -> None:
    assert len(describe(list(range(1000)))) == 256
    assert describe([1, math.nan, 2]) == "[1, "
    assert describe(math.nan) == "NaN"
    assert describe(["é" * 200]).encode().startswith(b'["\xc3\xa9')
    assert len(describe(["é" * 200]).encode()) <= 256


def test_error_object() -> None:
    assert render_error('a "b"\n') == b'{\n    "error": "a \\"b\\"\\n"\n}'


def test_repeated_key_reaches_the_slow_parser() -> None:
    document = load(b'{"inputs":{"x":[1],"x":[2]}}')
    assert isinstance(document, dict)
    assert isinstance(document["inputs"], JsonObject)
    assert document["inputs"] == {"x": [1]}
    assert document["inputs"].repeated == "x"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(DOCUMENTS, st.booleans())
def test_parser_reads_what_python_writes(document: Any, ascii_only: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert scan(body) == document


@given(DOCUMENTS)
def test_fast_and_slow_parser_agree(document: Any) -> None:
    body = json.dumps({"instances": document}).encode()
    assert load(body) == scan(body)


NAMES_OF_KEYS = st.sampled_from(["a", "b:", '"', "\\\\", '\\":', ""])
VALUES = st.recursive(
    st.integers(0, 9).map(str) | TEXTS.map(json.dumps) | NAMES_OF_KEYS.map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda some: f"[{','.join(some)}]")
        | st.lists(st.tuples(NAMES_OF_KEYS.map(json.dumps), inner), max_size=3).map(
            lambda some: "{" + ",".join(f"{key} : {value}" for key, value in some) + "}"
        )
    ),
)


@settings(max_examples=300)
@given(VALUES)
def test_the_fast_parser_is_trusted_where_no_key_repeats(text: str) -> None:
    body = f'{{"inputs":{text}}}'.encode()
    assert has_all_keys(body, orjson.loads(body)) is not repeats(scan(body))
    assert load(body) == scan(body)


def repeats(value: object) -> bool:
    if isinstance(value, JsonObject):
        return bool(value.repeated is not None or any(map(repeats, value.values())))
    return isinstance(value, list) and any(map(repeats, value))


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": [f"user:{n}" for n in range(2000)]},
        {"inputs": [f'"\\:{n}' for n in range(2000)]},
        {"inputs": {"x": [{"b64": "aGk="} for _ in range(2000)]}},
        {"instances": [{"a": f"{n}:", "b": [[n], [{"b64": ""}]]} for n in range(2000)]},
    ],
)
def test_colons_and_nesting_need_no_slow_parser(
    document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.modelserver.codec.request.scan", None)
    assert load(orjson.dumps(document)) == document


def code_of(body: bytes, dtype: str) -> Code:
    try:
        read_tensors(parse_request(body), {"x": dtype})
    except StatusError as err:
        return err.code
    return Code.OK


@given(st.binary(max_size=60))
def test_any_bytes_parse_or_fail_cleanly(body: bytes) -> None:
    assert code_of(body, "float") in (Code.OK, Code.INVALID_ARGUMENT)


MARKS = [b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\\u", b".", b"-", b" "]
WORDS = [b"1", b"e", b"d800", b"1e400", b"NaN", b"Inf", b"inity", b"nul", b"true"]
WORDS += [b'{"instances":', b'{"inputs":', b'"b64"', b'"x"', b"\xef\xbb\xbf", b"\xff"]
PIECES = st.lists(st.sampled_from([*MARKS, *WORDS, b"\0"]), max_size=14)


@settings(max_examples=300)
@given(PIECES, st.sampled_from(["float", "int8", "string", "bool", "half"]))
def test_any_tokens_become_tensors_or_fail_cleanly(
    pieces: list[bytes], dtype: str
) -> None:
    for body in (b"".join(pieces), b'{"inputs":' + b"".join(pieces) + b"}"):
        known = (Code.OK, Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED)
        assert code_of(body, dtype) in known


@given(st.lists(st.floats(width=32, allow_nan=True), min_size=1, max_size=20))
def test_float32_round_trip(values: list[float]) -> None:
    array = np.array(values, np.float32)
    body = b'{"inputs":' + render_columns({"x": array})[len(b'{\n    "outputs":') :]
    _, tensors = read_tensors(parse_request(body), {"x": "float"})
    np.testing.assert_array_equal(tensors["x"], array, strict=True)


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_float64_round_trip(values: list[float]) -> None:
    array = np.array(values, np.float64)
    body = render_columns({"x": array}).replace(b"outputs", b"inputs")
    _, tensors = read_tensors(parse_request(body), {"x": "double"})
    np.testing.assert_array_equal(tensors["x"], array, strict=True)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=8), st.booleans())
def test_text_round_trip(values: list[bytes], as_bytes: bool) -> None:
    name = "s_bytes" if as_bytes else "s"
    array = object_array(values, (len(values),))
    body = render_rows({name: array}).replace(b"predictions", b"instances", 1)
    _, tensors = read_tensors(parse_request(body), {name: "string"})
    assert tensors[name].tolist() == values
