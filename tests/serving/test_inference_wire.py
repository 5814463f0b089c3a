"""Classify, Regress and MultiInference, with the official stubs and over raw HTTP."""

import re
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.support import Address, ask

CODE = grpc.StatusCode
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def stub(address: Address) -> Iterator[Any]:
    with grpc.insecure_channel(address.grpc) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def port(address: Address) -> int:
    return address.rest_port


def example(**features: Any) -> tf.train.Example:
    made = tf.train.Example()
    for name, value in features.items():
        feature = made.features.feature[name]
        if isinstance(value, float):
            feature.float_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.bytes_list.value.append(value)
    return made


def given(*examples: Any, context: Any = None) -> input_pb2.Input:
    message = input_pb2.Input()
    if context is None:
        message.example_list.examples.extend(examples)
    else:
        message.example_list_with_context.examples.extend(examples)
        message.example_list_with_context.context.CopyFrom(context)
    return message


TWO = given(example(x=1.0), example(x=2.0))


def request(kind: Any, signature: str, asked: Any = TWO, **spec: Any) -> Any:
    message = kind(input=asked)
    message.model_spec.name = spec.pop("name", "m")
    message.model_spec.signature_name = signature
    if "version" in spec:
        message.model_spec.version.value = spec["version"]
    if "label" in spec:
        message.model_spec.version_label = spec["label"]
    return message


def classify(signature: str, asked: Any = TWO, **spec: Any) -> Any:
    return request(classification_pb2.ClassificationRequest, signature, asked, **spec)


def regress(signature: str, asked: Any = TWO, **spec: Any) -> Any:
    return request(regression_pb2.RegressionRequest, signature, asked, **spec)


def tasks(*wanted: tuple[str, str, str], asked: Any = TWO, **spec: Any) -> Any:
    message = inference_pb2.MultiInferenceRequest(input=asked)
    for name, signature, method in wanted:
        task = message.tasks.add(method_name=method)
        task.model_spec.CopyFrom(classify(signature, name=name, **spec).model_spec)
    return message


def refused(call: Any, message: Any) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=20)
    return caught.value.code(), caught.value.details()


def pairs(result: Any) -> list[list[tuple[str, float]]]:
    return [
        [(found.label, pytest.approx(found.score)) for found in classified.classes]
        for classified in result.classifications
    ]


def test_classify(stub: Any) -> None:
    answer = stub.Classify(classify("classify_x_to_y"), timeout=20)
    assert pairs(answer.result) == [[("", 2.5)], [("", 3.0)]]
    assert answer.model_spec.name == "m"
    assert answer.model_spec.version.value == 124
    assert answer.model_spec.signature_name == "classify_x_to_y"
    assert answer.model_spec.version_label == ""


def test_regress_on_a_named_version(stub: Any) -> None:
    for spec in ({"version": 123}, {"label": "stable"}):
        answer = stub.Regress(regress("regress_x_to_y", **spec), timeout=20)
        assert [found.value for found in answer.result.regressions] == [2.5, 3.0]
        assert answer.model_spec.version.value == 123
        assert answer.model_spec.signature_name == "regress_x_to_y"


def test_context_belongs_to_each_example(stub: Any) -> None:
    asked = given(
        example(x=0.25), example(x=0.5, city=b"Rome"), context=example(city=b"Oslo")
    )
    # Its method_name says predict, which nobody looks at by default.
    answer = stub.Classify(classify("classify", asked, name="kinds"), timeout=20)
    assert pairs(answer.result) == [
        [("Oslo", 0.25), ("0.2", 0.75)],
        [("Rome", 0.5), ("0.5", 0.5)],
    ]


@pytest.mark.parametrize(
    ("method", "make", "signature"),
    [("Classify", classify, "classify_x_to_y"), ("Regress", regress, "regress_x_to_y")],
)
def test_what_is_refused(stub: Any, method: str, make: Any, signature: str) -> None:
    call = getattr(stub, method)
    missing = make(signature)
    missing.ClearField("model_spec")
    integer = given(example(x=1))
    for message, code, text in (
        (missing, CODE.INVALID_ARGUMENT, "Missing ModelSpec"),
        (
            make(signature, name=""),
            CODE.INVALID_ARGUMENT,
            "ModelSpec has no name specified.",
        ),
        (
            make(signature, name="no"),
            CODE.NOT_FOUND,
            "Servable not found for request: Latest(no)",
        ),
        (
            make(signature, version=9),
            CODE.NOT_FOUND,
            "Servable not found for request: Specific(m, 9)",
        ),
        (
            make(signature, label="no"),
            CODE.INVALID_ARGUMENT,
            "Unrecognized servable version label: no",
        ),
        (
            make("zz"),
            CODE.INVALID_ARGUMENT,
            "No signature was found with the name: zz",
        ),
        (make(signature, given()), CODE.INVALID_ARGUMENT, "Input is empty."),
        (make(signature, input_pb2.Input()), CODE.INVALID_ARGUMENT, "Input is empty."),
    ):
        assert refused(call, message) == (code, text)
    code, text = refused(call, make(signature, integer))
    assert (code, "expected type: float" in text) == (CODE.INVALID_ARGUMENT, True)
    code, text = refused(call, make(""))
    assert code is CODE.INVALID_ARGUMENT
    assert "inputs found in SignatureDef" in text


def test_predict_takes_the_same_signatures(stub: Any) -> None:
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "m"
    message.model_spec.signature_name = "regress_x_to_y"
    texts = np.array([example(x=4.0).SerializeToString()], dtype=object)
    message.inputs["inputs"].CopyFrom(tf.make_tensor_proto(texts))
    answer = stub.Predict(message, timeout=20)
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["outputs"]), [[4.0]])
    message.model_spec.signature_name = "zz"
    code, _ = refused(stub.Predict, message)
    assert code is CODE.FAILED_PRECONDITION


BOTH = [("m", "regress_x_to_y", REGRESS), ("m", "classify_x_to_y", CLASSIFY)]


def test_multi_inference_counts_its_examples(stub: Any, address: Address) -> None:
    def counted() -> list[int]:
        page = ask(address.rest_port, "GET", "/monitoring/prometheus/metrics").body
        name = rb":tensorflow:serving:request_example_count(?:s_count|s_sum|_total)"
        return [int(n) for n in re.findall(name + rb'\{model="m"\} (\d+)', page)]

    before = counted() or [0, 0, 0]
    stub.MultiInference(tasks(*BOTH), timeout=20)
    with pytest.raises(grpc.RpcError):
        stub.MultiInference(tasks(*BOTH, asked=given()), timeout=20)
    # The page lists totals before histograms, and their sums before their counts.
    assert [a - b for a, b in zip(counted(), before, strict=True)] == [2, 2, 1]


def test_multi_inference_answers_in_order(stub: Any) -> None:
    for order in (BOTH, BOTH[::-1]):
        answer = stub.MultiInference(tasks(*order, version=123), timeout=20)
        assert [result.model_spec.signature_name for result in answer.results] == [
            signature for _, signature, _ in order
        ]
        kinds = {result.WhichOneof("result"): result for result in answer.results}
        regressed = kinds["regression_result"].regression_result.regressions
        assert [found.value for found in regressed] == [2.5, 3.0]
        classified = kinds["classification_result"].classification_result
        assert pairs(classified) == [[("", 2.5)], [("", 3.0)]]
        for result in answer.results:
            assert (result.model_spec.name, result.model_spec.version.value) == (
                "m",
                123,
            )


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (tasks(), CODE.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (
            tasks(("no", "a", CLASSIFY)),
            CODE.NOT_FOUND,
            "Servable not found for request: Latest(no)",
        ),
        (
            tasks(BOTH[0], ("kinds", "classify", CLASSIFY)),
            CODE.INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model "
            "name.",
        ),
        (
            tasks(BOTH[0], BOTH[0]),
            CODE.INVALID_ARGUMENT,
            "Duplicate evaluation of signature: regress_x_to_y",
        ),
        (
            tasks(("m", "zz", CLASSIFY)),
            CODE.INVALID_ARGUMENT,
            "Requested signature not found in model graph: zz",
        ),
        (
            tasks(("m", "regress_x_to_y", "tensorflow/serving/predict")),
            CODE.UNIMPLEMENTED,
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (tasks(*BOTH, asked=given()), CODE.INVALID_ARGUMENT, "Input is empty."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_multi_inference_is_refused(
    stub: Any, message: Any, code: Any, text: str
) -> None:
    assert refused(stub.MultiInference, message) == (code, text)


def test_classify_and_regress_over_rest(port: int) -> None:
    body = b'{"signature_name":"%s_x_to_y","examples":[{"x":1.0},{"x":[2e0]}]}'
    answer = ask(port, "POST", "/v1/models/m:classify", body % b"classify")
    assert (answer.status, answer.body) == (
        200,
        b'{\n    "results": [[["", 2.5]], [["", 3.0]]\n    ]\n}',
    )
    for version in ("", "/versions/123", "/labels/stable"):
        target = f"/v1/models/m{version}:regress"
        answer = ask(port, "POST", target, body % b"regress")
        assert (answer.status, answer.body) == (
            200,
            b'{\n    "results": [2.5, 3.0]\n}',
        )
    body = (
        b'{"signature_name":"classify","context":{"city":{"b64":"T3Nsbw=="}},'
        b'"examples":[{"x":0.25},{"x":0.5,"city":"\xff"}]}'
    )
    answer = ask(port, "POST", "/v1/models/kinds:classify", body)
    assert answer.body == (
        b'{\n    "results": [[["Oslo", 0.25], ["0.2", 0.75]], '
        b'[["\xff", 0.5], ["0.5", 0.5]]\n    ]\n}'
    )


NOT_THERE = "Servable not found for request: Latest(no)"
MIXED = "Unexpected element type in feature: x expecting type: int64"


@pytest.mark.parametrize("verb", ["classify", "regress"])
@pytest.mark.parametrize(
    ("model", "body", "status", "text"),
    [
        ("no", b'{"examples":[{"x":1.0}]}', 404, NOT_THERE),
        # All of the body comes before the model.
        ("no", b'{"examples":[{"x":[1,2.0]}]}', 400, MIXED),
        ("no", b"[", 400, "JSON Parse error: "),
        ("no", b'{"examples":[]}', 400, "JSON Value: {"),
        (
            "m",
            b'{"instances":[1]}',
            400,
            'JSON Value: {\n    "instances": [1]\n} When method is classify, key '
            "'examples' is expected and was not found",
        ),
        (
            "m",
            b'{"signature_name":"zz","examples":[{}]}',
            400,
            "No signature was found with the name: zz",
        ),
    ],
)
def test_rest_errors(
    port: int, verb: str, model: str, body: bytes, status: int, text: str
) -> None:
    answer = ask(port, "POST", f"/v1/models/{model}:{verb}", body)
    assert (answer.status, answer.json["error"][: len(text)]) == (status, text)


def test_integer_is_no_float_feature(port: int) -> None:
    body = b'{"signature_name":"regress_x_to_y","examples":[{"x":1}]}'
    answer = ask(port, "POST", "/v1/models/m:regress", body)
    assert answer.status == 400
    assert "expected type: float" in answer.json["error"]


def test_default_signature_seldom_fits(port: int) -> None:
    answer = ask(port, "POST", "/v1/models/m:regress", b'{"examples":[{"x":1.0}]}')
    assert answer.status == 400
    assert answer.json["error"].startswith("No regression inputs found in SignatureDef")
