"""REST over a raw socket: targets, methods, encodings, limits, status codes."""

import gzip
import json
import socket

import pytest

from serving.modelserver.server import ModelServer
from tests.serving.rest_cases import check_http, http_case
from tests.serving.support import Address, Answer, ask, read_answer

PREDICT = "/v1/models/m:predict"
BODY = b'{"instances":[1.0,2.0]}'
GOOD = b'{\n    "predictions": [2.5, 3.0\n    ]\n}'


@pytest.fixture(scope="module")
def port(address: Address) -> int:
    return address.rest_port


def error(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json) == ["error"]
    assert answer.body.startswith(b'{\n    "error": "')
    return str(answer.json["error"])


@pytest.mark.parametrize(
    "target",
    [
        PREDICT,
        "/V1/MODELS/m:predict",
        "/v1/models/m/versions/123:predict",
        "/v1/models/m/versions/000124:predict",
        "/v1/models/m/labels/stable:predict",
        "/v1/models/m/labels/%73table:predict",
        "/v1/models/%6D:predict",
        "http://anywhere:1/v1/models/m:predict",
    ],
)
def test_predict_targets(port: int, target: str) -> None:
    answer = ask(port, "POST", target, BODY)
    assert (answer.status, answer.body) == (200, GOOD)
    assert answer.headers["content-type"] == "application/json"
    assert "date" in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/m:predict?a=1"),
        ("POST", "/v1/models/m:predict#f"),
        ("POST", "/v1/models/m:predict?"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:explain"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m/versions/latest:predict"),
        ("POST", "/v1/models/m/versions/-1:predict"),
        ("POST", "/v1/models/m/version/123:predict"),
        ("POST", "/v1/models/m/versions/%31:predict"),
        ("POST", "/v1/models/m/versions/123/labels/stable:predict"),
        ("POST", "/v1/models/:predict"),
        ("GET", "/v1/models/m:predict"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/models/a/b"),
        ("GET", "/v1/"),
        ("GET", "/v1/models/m/metadata/"),
        ("PUT", PREDICT),
        ("DELETE", "/v1/models/m"),
        ("PATCH", "/v1/models/m"),
    ],
)
def test_malformed_targets(port: int, method: str, target: str) -> None:
    answer = ask(port, method, target)
    assert answer.status == 400
    assert error(answer) == f"Malformed request: {method} {target}"


def test_head_is_malformed_and_has_no_body(port: int) -> None:
    answer = ask(port, "HEAD", "/v1/models/m")
    assert answer.status == 400
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "target", "status", "text"),
    [
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/versions/1", 400, "Missing model name in request."),
        ("GET", "/v1/models/no", 404, "Could not find any versions of model no"),
        ("GET", "/v1/models/m?a=1", 404, "Could not find any versions of model m?a=1"),
        ("GET", "/v1/models/m%2Fx", 404, "Could not find any versions of model m/x"),
        ("GET", "/v1/models/m+x", 404, "Could not find any versions of model m+x"),
        (
            "GET",
            "/v1/models/m/versions/7",
            404,
            "Could not find version 7 of model m",
        ),
        (
            "GET",
            "/v1/models/no/metadata",
            404,
            "Servable not found for request: Latest(no)",
        ),
        (
            "GET",
            "/v1/models/m/labels/no/metadata",
            400,
            "Unrecognized servable version label: no",
        ),
        (
            "POST",
            "/v1/models/M:predict",
            404,
            "Servable not found for request: Latest(M)",
        ),
        (
            "POST",
            "/v1/models/m/versions/7:predict",
            404,
            "Servable not found for request: Specific(m, 7)",
        ),
        (
            "POST",
            "/v1/models/m/labels/no:predict",
            400,
            "Unrecognized servable version label: no",
        ),
    ],
)
def test_what_is_not_there(
    port: int, method: str, target: str, status: int, text: str
) -> None:
    answer = ask(port, method, target, BODY if method == "POST" else b"")
    assert (answer.status, error(answer)) == (status, text)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("version", ["9223372036854775808", "9" * 5000])
def test_version_beyond_64_bits_has_no_text(
    port: int, method: str, version: str
) -> None:
    verb = ":predict" if method == "POST" else ""
    answer = ask(port, method, f"/v1/models/m/versions/{version}{verb}")
    assert (answer.status, answer.body) == (400, b"")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "target", "status", "phrase"),
    [
        ("GET", "/", 404, "Not Found"),
        ("GET", "/v1", 404, "Not Found"),
        ("POST", "/v2/models/m:predict", 404, "Not Found"),
        ("GET", "/monitoring/prometheus/metrics/", 404, "Not Found"),
        ("GET", "/v1/models/%zz", 400, "Bad Request"),
        ("GET", "/v1/models/a b", 400, "Bad Request"),
        ("GET", "/v1/models/a|b", 400, "Bad Request"),
        ("GET", b"/v1/models/\xc3\xa9", 400, "Bad Request"),
        ("BREW", "/v1/models/m", 501, "Not Implemented"),
        ("TRACE", "/v1/models/m", 501, "Not Implemented"),
        ("PROPFIND", "/v1/models/m", 501, "Not Implemented"),
    ],
    ids=str,
)
def test_plain_pages(
    port: int, method: str, target: str | bytes, status: int, phrase: str
) -> None:
    answer = ask(port, method, target)
    assert answer.status == status
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["connection"] == "close"
    assert f"<H1>{phrase}</H1>".encode() in answer.body


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://shop.example", 200), ("http://a", 200), ("null", 400), ("", 400)],
)
def test_preflight(port: int, origin: str, status: int) -> None:
    answer = ask(port, "OPTIONS", PREDICT, Origin=origin)
    assert (answer.status, answer.body) == (status, b"")
    assert "access-control-allow-origin" not in answer.headers


def test_status_document(port: int) -> None:
    for target in ("/v1/models/m", "/v1/models/m/labels/no", "/v1/models/m/METADATA"):
        answer = ask(port, "GET", target)
        assert answer.status == 200
        status = {"error_code": "OK", "error_message": ""}
        assert answer.json == {
            "model_version_status": [
                {"version": version, "state": "AVAILABLE", "status": status}
                for version in ("124", "123")
            ]
        }
        assert answer.body.startswith(b'{\n "model_version_status": [\n  {\n   "v')


def test_metadata_document(port: int) -> None:
    answer = ask(port, "GET", "/v1/models/m/versions/123/metadata")
    assert answer.status == 200
    spec = {"name": "m", "signature_name": "", "version": "123"}
    assert answer.json["model_spec"] == spec
    definitions = answer.json["metadata"]["signature_def"]["signature_def"]
    assert definitions["serving_default"]["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
            "unknown_rank": False,
        },
        "name": "serving_default_x:0",
    }
    assert definitions["serving_default"]["defaults"] == {}


@pytest.mark.parametrize(
    ("model", "body", "status", "text"),
    [
        ("no", b"{", 400, "JSON Parse error: Missing a name for object member."),
        ("no", b"{}", 404, "Servable not found for request: Latest(no)"),
        (
            "m",
            b'{"signature_name":"zz"}',
            400,
            'Serving signature name: "zz" not found',
        ),
        ("m", b"{}", 400, "Missing 'inputs' or 'instances' key"),
        ("m", b"", 400, "JSON Parse error: The document is empty"),
        (
            "kinds",
            b'{"signature_name":"no_input","inputs":[]}',
            400,
            "Failed to get input map for signature: no_input",
        ),
        (
            "kinds",
            b'{"signature_name":"defaults","inputs":{"x":[1]}}',
            400,
            "Missing named input: k in 'inputs' object.",
        ),
        (
            "kinds",
            b'{"signature_name":"guarded","instances":[99]}',
            400,
            "assertion failed: [x is too big]",
        ),
        (
            "kinds",
            b'{"signature_name":"scalar","instances":[1]}',
            400,
            "Tensor name: y has no shape information ",
        ),
        (
            "kinds",
            b'{"signature_name":"uneven","instances":[1,2]}',
            400,
            "Tensor name: ",
        ),
        (
            "kinds",
            b'{"signature_name":"half","instances":[1]}',
            400,
            "Failed to write JSON value for tensor type: half",
        ),
        (
            "kinds",
            b'{"signature_name":"half_in","inputs":[1]}',
            501,
            "Conversion of JSON Value: 1 to type: half",
        ),
        (
            "kinds",
            b'{"signature_name":"half_in","instances":[1]}',
            400,
            "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED",
        ),
    ],
)
def test_order_of_checks(
    port: int, model: str, body: bytes, status: int, text: str
) -> None:
    answer = ask(port, "POST", f"/v1/models/{model}:predict", body)
    assert (answer.status, error(answer)[: len(text)]) == (status, text)


def test_both_formats_and_base64(port: int) -> None:
    target = "/v1/models/kinds:predict"
    rows = b'{"signature_name":"echo","instances":["a\\u0000",{"b64":"/w=="}]}'
    answer = ask(port, "POST", target, rows)
    assert answer.status == 200
    assert b'"text": "\xff"' in answer.body
    document = json.loads(answer.body.decode("latin-1"))
    assert document["predictions"][0]["text"] == "a\0"
    assert document["predictions"][0]["raw_bytes"] == {"b64": "YQA="}
    scalar = b'{"signature_name":"scalar","inputs":[1,2]}'
    assert ask(port, "POST", target, scalar).body == b'{\n    "outputs": 3.0\n}'


def test_shape_is_not_checked(port: int) -> None:
    answer = ask(port, "POST", PREDICT, b'{"inputs":[[[1]],[[2]]]}')
    assert answer.json == {"outputs": [[[2.5]], [[3.0]]]}
    assert ask(port, "POST", PREDICT, b'{"inputs":[]}').json == {"outputs": []}


def test_content_type_and_accept_are_ignored(port: int) -> None:
    answer = ask(port, "POST", PREDICT, BODY, Content_Type="text/x", Accept="image/x")
    assert answer.body == GOOD


def test_gzip_requests(port: int) -> None:
    encoding = {"Content_Encoding": "x-gzip"}
    zipped = gzip.compress(BODY)
    assert ask(port, "POST", PREDICT, zipped, **encoding).body == GOOD
    for broken in (BODY, zipped[:-9]):
        answer = ask(port, "POST", PREDICT, broken, **encoding)
        assert error(answer) == "JSON Parse error: The document is empty"
    plain = ask(port, "POST", PREDICT, BODY, Content_Encoding="br")
    assert (plain.status, "content-encoding" in plain.headers) == (200, False)


def test_chunked_request(port: int) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (BODY[:5], BODY[5:]))
    headers = {"Transfer-Encoding": "chunked"}
    answer = ask(port, "POST", PREDICT, chunks + b"0\r\n\r\n", **headers)
    assert answer.body == GOOD


def test_connection_is_kept(port: int) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(2 * (head.encode() + BODY))
        with sock.makefile("rb") as stream:
            assert read_answer(stream).body == GOOD
            assert read_answer(stream).body == GOOD


def test_body_over_the_limit(port: int) -> None:
    size = 64 * 2**20 + 1
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(head.encode() + b" " * 1000)
        with sock.makefile("rb") as stream:
            answer = read_answer(stream)
    assert answer.status == 413
    assert error(answer) == "Request body is larger than 67108864 bytes"


def test_body_that_grows_over_the_limit(port: int) -> None:
    chunk = b"%x\r\n%s\r\n" % (2**20, b" " * 2**20)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(head.encode())
        for _ in range(65):
            sock.sendall(chunk)
        with sock.makefile("rb") as stream:
            assert read_answer(stream).status == 413
    bomb = gzip.compress(b" " * (64 * 2**20 + 1), compresslevel=1)
    answer = ask(port, "POST", PREDICT, bomb, Content_Encoding="gzip")
    assert answer.status == 413


def test_run_that_takes_too_long(port: int, server: ModelServer) -> None:
    assert server.flags.rest_api_timeout_in_ms == 1500
    case = http_case("http-timeout")
    slow = {
        **case,
        "request": {**case["request"], "path": "/v1/models/kinds:predict"},
        "request_body": '{"signature_name":"slow","instances":[2000000]}',
    }
    assert "Timed out" in error(check_http(slow, port))


def test_classify(port: int) -> None:
    target = "/v1/models/kinds:classify"
    body = b'{"signature_name":"classify","examples":[{"x":0.5,"city":"Graz"}]}'
    answer = ask(port, "POST", target, body)
    assert answer.json == {"results": [[["Graz", 0.5], ["0.5", 0.5]]]}
    unknown = ask(port, "POST", "/v1/models/no:regress", b"{}")
    assert (unknown.status, "'examples'" in error(unknown)) == (400, True)
    unknown = ask(port, "POST", "/v1/models/no:regress", body)
    assert (unknown.status, "Latest(no)" in error(unknown)) == (404, True)
