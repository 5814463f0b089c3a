"""Classify, Regress and MultiInference from request bytes to response bytes.

The model has been looked up before; gRPC's messages are the light ones, so that none
of this needs TensorFlow.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from serving import messages
from serving.modelserver import classify_regress
from serving.modelserver.codec.examples import Examples, read_examples
from serving.modelserver.codec.request import Request, parse_request
from serving.modelserver.codec.results import render_classes, render_regressions
from serving.modelserver.lifecycle import Servable
from serving.modelserver.multi_inference import Task, multi_inference
from serving.modelserver.predict import DEFAULT_SIGNATURE
from serving.modelserver.result_tensors import Classes
from serving.modelserver.worker.frames import Exchanged
from serving.tensors import Array

_Result = TypeVar("_Result")


def classify(
    servable: Servable, version: int, request: bytes, *, check_method: bool = False
) -> bytes:
    """Answer a ClassificationRequest with a ClassificationResponse.

    Raises: StatusError: see `classify_regress.classify`.
    """
    asked = messages.ClassificationRequest.FromString(request)
    found = classify_regress.classify(
        servable,
        asked.model_spec.signature_name,
        _examples(asked.input),
        check_method=check_method,
    )
    response = messages.ClassificationResponse()
    _fill_classes(response.result, found)
    _fill_spec(response.model_spec, asked.model_spec, version)
    return bytes(response.SerializeToString())


def regress(
    servable: Servable, version: int, request: bytes, *, check_method: bool = False
) -> bytes:
    """Answer a RegressionRequest with a RegressionResponse.

    Raises: StatusError: see `classify_regress.regress`.
    """
    asked = messages.RegressionRequest.FromString(request)
    found = classify_regress.regress(
        servable,
        asked.model_spec.signature_name,
        _examples(asked.input),
        check_method=check_method,
    )
    response = messages.RegressionResponse()
    _fill_regressions(response.result, found)
    _fill_spec(response.model_spec, asked.model_spec, version)
    return bytes(response.SerializeToString())


def answer_multi_inference(
    servable: Servable,
    version: int,
    request: bytes,
    *,
    check_method: bool = False,
    observe: Callable[[int], None] = lambda count: None,
) -> bytes:
    """Answer a MultiInferenceRequest with a MultiInferenceResponse.

    In: `observe`: told the number of examples of a request that succeeds.
    Raises: StatusError: see `multi_inference.multi_inference`.
    """
    asked = messages.MultiInferenceRequest.FromString(request)
    tasks = [
        Task(
            model=task.model_spec.name,
            signature=task.model_spec.signature_name,
            method=task.method_name,
        )
        for task in asked.tasks
    ]
    examples = _examples(asked.input)
    results = multi_inference(servable, tasks, examples, check_method=check_method)
    observe(len(examples))
    response = messages.MultiInferenceResponse()
    for task, result in zip(asked.tasks, results, strict=True):
        entry = response.results.add()
        _fill_spec(entry.model_spec, task.model_spec, version)
        if isinstance(result, Classes):
            _fill_classes(entry.classification_result, result)
        else:
            _fill_regressions(entry.regression_result, result)
    return bytes(response.SerializeToString())


def rest_classify(
    servable: Servable, body: bytes, *, check_method: bool = False
) -> bytes:
    """Answer the JSON body of a classify call.

    Raises: StatusError: the body's errors before those of the model.
    """
    found = _rest(classify_regress.classify, servable, body, check_method)[-1]
    return render_classes(found.labels, found.scores)


def rest_regress(
    servable: Servable, body: bytes, *, check_method: bool = False
) -> bytes:
    """Answer the JSON body of a regress call.

    Raises: StatusError: the body's errors before those of the model.
    """
    return render_regressions(
        _rest(classify_regress.regress, servable, body, check_method)[-1]
    )


def logged_rest_classify(
    servable: Servable,
    model: str,
    version: int,
    body: bytes,
    *,
    check_method: bool = False,
) -> Exchanged:
    """Answer the JSON body of a classify call; tell what gRPC would have carried.

    Raises: StatusError: as `rest_classify`.
    """
    asked = _rest(classify_regress.classify, servable, body, check_method)
    request = messages.ClassificationRequest()
    response = messages.ClassificationResponse()
    _fill_classes(response.result, asked[-1])
    answer = render_classes(asked[-1].labels, asked[-1].scores)
    return _exchanged(request, response, asked, model, version, answer)


def logged_rest_regress(
    servable: Servable,
    model: str,
    version: int,
    body: bytes,
    *,
    check_method: bool = False,
) -> Exchanged:
    """Answer the JSON body of a regress call; tell what gRPC would have carried.

    Raises: StatusError: as `rest_regress`.
    """
    asked = _rest(classify_regress.regress, servable, body, check_method)
    request = messages.RegressionRequest()
    response = messages.RegressionResponse()
    _fill_regressions(response.result, asked[-1])
    answer = render_regressions(asked[-1])
    return _exchanged(request, response, asked, model, version, answer)


def check_body(body: bytes) -> None:
    """Raise the error that a classify or regress body has, whatever the model.

    Upstream converts the whole body before it looks for the model: where there is no
    such model, this tells which of the two errors comes first.
    """
    read_examples(parse_request(body))


def _rest(
    call: Callable[..., _Result], servable: Servable, body: bytes, check_method: bool
) -> tuple[Request, Examples, _Result]:
    """Return what was asked, as it was given and as examples, and what was found."""
    request = parse_request(body)
    examples = read_examples(request)
    found = call(
        servable, request.signature, examples.texts(), check_method=check_method
    )
    return request, examples, found


def _examples(given: Any) -> list[bytes]:
    if given.WhichOneof("kind") == "example_list":
        return list(given.example_list.examples)
    found = given.example_list_with_context
    return Examples(examples=list(found.examples), context=found.context).texts()


def _exchanged(
    request: Any,
    response: Any,
    asked: tuple[Request, Examples, Any],
    model: str,
    version: int,
    answer: bytes,
) -> Exchanged:
    """Complete both messages by what was asked, and of whom."""
    _fill_asked(request, model, asked[0].signature, asked[1])
    _fill_spec(response.model_spec, request.model_spec, version)
    return Exchanged(
        request=request.SerializeToString(),
        response=response.SerializeToString(),
        answer=answer,
    )


def _fill_asked(request: Any, model: str, signature: str, given: Examples) -> None:
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if given.context:
        found = request.input.example_list_with_context
        found.context = given.context
    else:
        found = request.input.example_list
    found.examples.extend(given.examples)


def _fill_spec(spec: Any, asked: Any, version: int) -> None:
    spec.name = asked.name
    spec.version.value = version
    spec.signature_name = asked.signature_name or DEFAULT_SIGNATURE


def _fill_classes(result: Any, found: Classes) -> None:
    for labels, scores in zip(
        found.labels.tolist(), found.scores.tolist(), strict=True
    ):
        entry = result.classifications.add()
        for label, score in zip(labels, scores, strict=True):
            entry.classes.add(label=label, score=score)


def _fill_regressions(result: Any, values: Array) -> None:
    for value in values.tolist():
        result.regressions.add(value=value)
