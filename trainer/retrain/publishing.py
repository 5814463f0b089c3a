"""Publishes what the gate let through, and moves the labels of a server to it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from data import files
from data.console import say
from trainer.catalogue.exported import newest_version, parent
from trainer.config import RetrainConfig
from trainer.experiment import Experiment
from trainer.export.labels import read_labels, tell_unserved, told, write_labels
from trainer.export.publish import (
    SERVABLES,
    prune,
    remove_version,
    version_folder,
    versions,
    write_configs,
)
from trainer.retrain import newdata
from trainer.retrain.pruning import RECORD, prune_jobs, record_of
from trainer.retrain.request import Request
from trainer.retrain.state import Job


def publish(
    job: Job,
    request: Request,
    candidate: Callable[[], Experiment],
    decision: Mapping[str, Any],
) -> None:
    """Refit, publish under one number, move labels, prune, and close the job.

    In: `candidate`: opens the candidate's experiment; only where it is refitted.
    Killed at any point and run again it goes on: a version of this job that all
    servables have is not made twice, one that some have is removed.
    """
    from trainer.retrain.weights import tables_hash
    from trainer.stages.deliver import refit_and_export

    since = time.monotonic()
    places, config = request.places, request.config
    server = _server(request)
    version = _version_of(places.models, job.name)
    if version is None:
        _remove_partly_published(places.models, job.name)
        record = {
            "job": job.name,
            "champion": job.facts["champion"],
            "dataset": job.needed("ingest")["name"],
            "states": _within(places.out, places.dataset),
            "decision": dict(decision),
        }
        # The champion may be about to get a label, and is kept by that alone.
        version = refit_and_export(candidate(), {RECORD: record}, prunes=False)
    if server is not None:
        release(server, places.models, version, job.facts["champion"], config.retrain)
    else:
        tell_unserved(places.models, version, config.retrain.server_root)
    prune(places.models, config.export.keep_versions)
    write_configs(places.models)
    if not files.exists(places.reference):
        first = job.facts["champion"] or version
        files.write_json(places.reference, _reference(first, decision))
    newdata.make_current(places.dataset, job.needed("ingest")["name"])
    prune_jobs(places)
    with job.writing("publish", since) as step:
        step.facts = {"version": version, "labels": read_labels(places.models)}
        step.outputs = {
            name: tables_hash(version_folder(places.models, name, version))
            for name in SERVABLES
        }


def _within(out: str, folder: str) -> str:
    """Return a folder's place from `out` on, as it is elsewhere if it is not in it."""
    inside = f"{out.rstrip('/')}/"
    return folder.removeprefix(inside)


def _reference(version: int, decision: Mapping[str, Any]) -> dict[str, Any]:
    figures = decision["figures"]
    whose = figures["champion"] or figures["candidate"]
    return {
        "version": version,
        "metric": figures["metric"],
        "model": figures["model"],
        "found": whose,
        "standing": 1.0,
    }


def job_of(models: str, servable: str, version: int) -> str | None:
    """Return the job that made a version; None if no job did."""
    name = record_of(version_folder(models, servable, version)).get("job")
    return None if name is None else str(name)


def dataset_of(models: str, job: str) -> str:
    """Return the folder of the data set's states that the newest version's job grew."""
    version = newest_version(models)
    if version is None or job_of(models, SERVABLES[0], version) != job:
        return ""
    record = record_of(version_folder(models, SERVABLES[0], version))
    states = record.get("states")
    return files.join(parent(models), states) if states else ""


def job_of_newest(models: str) -> str | None:
    """Return the job that made the newest version of all servables, if one did."""
    version = newest_version(models)
    return None if version is None else job_of(models, SERVABLES[0], version)


def _version_of(models: str, job: str) -> int | None:
    version = newest_version(models)
    if version is None or job_of(models, SERVABLES[0], version) != job:
        return None
    return version


def _remove_partly_published(models: str, job: str) -> None:
    """Remove what a killed publication left: not all servables have it."""
    for name in SERVABLES:
        for version in versions(models, name):
            if job_of(models, name, version) == job:
                remove_version(models, name, version)


def check_server(request: Request) -> None:
    """Ask the server that a request names, if any, before there is work to lose.

    Raises: ExportError, as publishing would: nothing answers, or other models' server.
    """
    _server(request)


def _server(request: Request) -> Any:
    if not request.server:
        return None
    from trainer.retrain.server import Server, root_of

    config = request.config.retrain
    root = root_of(request.places.models, config.server_root)
    return Server(request.server, root, config.wait_s)


def release(
    server: Any, models: str, version: int, champion: int | None, config: RetrainConfig
) -> None:
    """Have a server load a version, then give it the label, there and on disk."""
    from trainer.retrain.server import move_labels

    before = read_labels(models)
    after = {**before, "canary": version}
    if config.label == "stable":
        after["stable"] = version
    after.setdefault("stable", champion or version)
    move_labels(server, before, after)
    write_labels(models, after)
    say(f"Labels: {told(after)}")
