"""Runs the whole job here, or one step of it, and says what came of it."""

from typing import Any

from data import files
from data.console import say
from trainer.errors import GateRefused
from trainer.retrain.job import Steps, begin, check_not_overtaken
from trainer.retrain.publishing import check_server
from trainer.retrain.report import write_job_report
from trainer.retrain.request import Request
from trainer.retrain.state import Job
from trainer.retrain.steps import NAMES, NOTHING, PASSED, REFUSED, STEPS


def retrain(request: Request, *, in_pipeline: bool = False) -> str:
    """Do whatever of the job is not done. Out: the verdict.

    Raises: GateRefused, with one sentence, when the data or the candidate are refused;
    what serves is untouched then. `in_pipeline`: the verdict alone tells it.
    """
    check_server(request)
    job, verdict, reason = begin(request)
    if job is None:
        say(f"No new data: {reason}. Nothing was published.")
        return verdict
    was_published = job.manifest("publish") is not None
    for step in STEPS:
        if verdict != PASSED:
            break
        if step.name != NAMES[0]:
            verdict, found = _run(request, job, step.name)
            reason = found or reason
        say(f"{step.name}: {verdict if step.judges else 'done'}")
    write_job_report(request.places, job)
    if verdict == REFUSED:
        _refuse(job, reason, in_pipeline)
    else:
        version = job.needed("publish")["version"]
        if was_published:
            say(
                f"Version {version} was published of these files before and was rolled "
                "back since. Nothing was published: name them beside later files to "
                "try again."
            )
        else:
            say(f"Version {version} was published: {reason}")
    return verdict


def run_step(
    request: Request, name: str, *, job: str = "", result: str = "", quiet: bool = False
) -> str:
    """Do one step, and write what a pipeline hands on. Out: the verdict.

    In: `job`: whose; by default the one of the request's inputs. Raises: as `retrain`.
    """
    if name == NAMES[0] or not job:
        begun, verdict, reason = begin(request)
    else:
        begun, verdict, reason = request.places.job(job), PASSED, ""
        check_not_overtaken(request.places, begun)
    if begun is None:
        say(f"No new data: {reason}. Nothing was published.")
        _write_result(result, {"verdict": NOTHING, "job": "", "reason": reason})
        return verdict
    if name != NAMES[0]:
        verdict, reason = begun.verdict_before(name)
        if verdict == PASSED:
            verdict, reason = _run(request, begun, name)
    _write_result(result, step_result(begun, name, verdict, reason))
    write_job_report(request.places, begun)
    say(f"{name}: {verdict}")
    if verdict == REFUSED:
        _refuse(begun, reason, quiet)
    return verdict


def _run(request: Request, job: Job, name: str) -> tuple[str, str]:
    """Do a step. Out: its verdict and the reason."""
    try:
        found = Steps(request, job).run(name)
    except GateRefused as err:  # The refit's index: again it would be the same.
        return REFUSED, str(err)
    return found.get("verdict", PASSED), found.get("reason", "")


def _refuse(job: Job, reason: str, in_pipeline: bool) -> None:
    told = f"Refused: {reason} Nothing was published. Job {job.name}: {job.place()}"
    if not in_pipeline:
        raise GateRefused(told)
    say(told)


def _write_result(place: str, result: dict[str, Any]) -> None:
    if place:
        files.write_json(place, result)


def step_result(job: Job, name: str, verdict: str, reason: str) -> dict[str, Any]:
    """Return what a pipeline is told of a step: see `steps.Step`."""
    result: dict[str, Any] = {"verdict": verdict, "job": job.name, "reason": reason}
    metrics, folders = {}, {}
    if (found := job.manifest(name)) is None:  # Not done, or refused under way.
        step = next(step for step in STEPS if step.name == name)
        result |= dict.fromkeys(set(step.values) - set(result), "")
    elif name == "ingest":
        folders["dataset"] = found["folder"]
        metrics["counts"] = found["counts"]
    elif name == "prepare":
        folders["data"] = job.place("prepare", "data")
    elif name == "train":
        run = found["runs"]["evaluation"]
        folders["model"] = files.join(job.out, "runs", run)
    elif name == "evaluate":
        figures = files.read_json(job.place("evaluate", "evaluation.json"))
        metrics["metrics"] = {
            f"{model} {figures['metric']}": one["mean"]
            for model, one in figures["others"].items()
        }
        result["pages"] = {"report": job.place("evaluate", "report.html")}
    elif name == "gate":
        checks = files.read_json(job.place("gate", "decision.json"))["checks"]
        metrics["decision"] = {
            one["name"]: one["value"] for one in checks if one["value"] is not None
        }
    elif name == "publish":
        result["version"] = str(found["version"])
        folders["servables"] = files.join(job.out, "models")
    return {**result, "metrics": metrics, "folders": folders}
