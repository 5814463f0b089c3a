"""Removes what no version needs any more: prepared data and states of the data set.

A job's records stay, they are small: what it decided, and the report. The prepared
data of a job stay as long as its version, withdrawn or not: items are added by them,
and the next candidate is compared through them.
"""

from typing import Any

from data import files
from data.states.folders import CURRENT, current, read_manifest
from trainer.export.publish import SERVABLES, version_folder, versions
from trainer.retrain.champion import champion_version
from trainer.retrain.state import JOB, Job, Places
from trainer.retrain.steps import REFUSED

RECORD = "retrain"  # What a version's manifest says of the job that made it.


def record_of(folder: str) -> dict[str, Any]:
    """Return what a version's folder says of the job that made it, {} if none did."""
    place = files.join(folder, "manifest.json")
    return dict(files.read_json(place).get(RECORD, {})) if files.exists(place) else {}


def prune_jobs(places: Places) -> None:
    """Remove the data of jobs without a version, and jobs that nothing takes up.

    A job is taken up again only beside the champion that it was begun with. Of the
    data set's states stay the current one, the one before it, those of versions and
    of jobs that can be taken up.
    """
    records = _records(places.models)
    with_version = {record.get("job") for record in records}
    states = {record.get("dataset") for record in records}
    champion = champion_version(places.models)
    for name in places.jobs():
        job = places.job(name)
        _remove_left(job)
        if name in with_version:
            continue
        if _is_over(job):
            files.remove_folder(job.place("prepare", "data"))
        elif job.has_begun and job.facts["champion"] == champion:
            states.add((job.manifest("ingest") or {}).get("name"))
        else:
            _remove_overtaken(job)
    _prune_states(places.dataset, states)


def _remove_overtaken(job: Job) -> None:
    """Remove what a job has made; its next step, if one comes, is told why."""
    if not job.has_begun:
        files.remove_folder(job.place())
        return
    for name in files.listdir(job.place()):
        if name != JOB:
            files.remove_folder(job.place(name))


def _records(models: str) -> list[dict[str, Any]]:
    """Read which jobs made the versions that are kept."""
    folders = [
        version_folder(models, name, version)
        for name in SERVABLES
        for version in versions(models, name)
    ]
    for name in () if files.is_remote(models) else SERVABLES:
        beside = files.listdir(files.join(models, name))
        hidden = [one for one in beside if one.endswith(".withdrawn")]
        folders += [files.join(models, name, one) for one in hidden]
    return [found for folder in folders if (found := record_of(folder))]


def _is_over(job: Job) -> bool:
    """Tell whether a job was published or refused."""
    if job.manifest("publish") is not None:
        return True
    judged = (job.manifest(step) or {} for step in ("ingest", "validate", "gate"))
    return any(one.get("verdict") == REFUSED for one in judged)


def _remove_left(job: Job) -> None:
    """Remove what killed runs left of steps: one job at a time works here."""
    for name in files.listdir(job.place()):
        if name.startswith(".") and name.endswith((".tmp", ".old")):
            files.remove_folder(job.place(name))


def _prune_states(dataset: str, kept: set[Any]) -> None:
    newest = current(dataset)
    if newest is None:
        return
    kept |= {newest, read_manifest(dataset, newest)["parent"]}
    for name in files.listdir(dataset):
        if not name.startswith(".") and name not in {*kept, CURRENT}:
            files.remove_folder(files.join(dataset, name))
