"""What Vertex AI is asked for: its REST API's own requests, version 1."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from data.errors import ConfigError
from trainer.jobs.config import PipelineConfig, ResourcesConfig
from trainer.jobs.extra import need

VertexKind = Literal["pipeline", "schedule", "custom"]
PORTS = {"pipeline": "pipelineJobs", "schedule": "schedules", "custom": "customJobs"}

_PROJECT = re.compile(r"[a-z][-a-z0-9]{4,28}[a-z0-9]|[0-9]+")
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_BUCKET = re.compile(r"gs://[a-z0-9][-_.a-z0-9]{1,61}[a-z0-9](/.*)?")


def check_place(project: str, region: str, bucket: str) -> None:
    """Raise ConfigError for a name that Google Cloud would refuse."""
    for option, value, pattern, example in (
        ("--project", project, _PROJECT, "my-project"),
        ("--region", region, _REGION, "europe-west4"),
        ("--bucket", bucket, _BUCKET, "gs://my-bucket/tandem"),
    ):
        if not pattern.fullmatch(value):
            raise ConfigError(f"{option} {value!r}: expected such as {example}.")


def check_for_vertex(config: PipelineConfig) -> None:
    """Raise ConfigError for what runs on Kubernetes only.

    Vertex pulls images from registries by their full name, mounts no claims, and names
    accelerators by its own list.
    """
    if "/" not in config.image:
        raise ConfigError(
            f"[pipeline] image is {config.image!r}, expected a registry in front, such "
            "as europe-west4-docker.pkg.dev/my-project/tandem/trainer:1."
        )
    for name, wanted in {"resources": config.resources, **config.steps}.items():
        if wanted.gpus and "/" in wanted.accelerator:
            raise ConfigError(
                f"[pipeline] {name}: accelerator is {wanted.accelerator!r}, expected a "
                'name of Vertex AI\'s, such as "NVIDIA_TESLA_T4".'
            )


def pipeline_job(
    config: PipelineConfig,
    spec: Mapping[str, Any],
    bucket: str,
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a PipelineJob. In: `spec`: the compiled pipeline."""
    job: dict[str, Any] = {
        "displayName": config.name,
        "labels": {"app": "tandem"},
        "pipelineSpec": dict(spec),
        "runtimeConfig": {
            "gcsOutputDirectory": f"{bucket.rstrip('/')}/pipelines",
            "parameterValues": dict(parameters),
            "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        },
    }
    if config.service_account:
        job["serviceAccount"] = config.service_account
    return job


def schedule(
    config: PipelineConfig, job: Mapping[str, Any], parent: str
) -> dict[str, Any]:
    """Return a Schedule that runs a PipelineJob, one at a time."""
    return {
        "displayName": config.name,
        "cron": f"TZ={config.time_zone} {config.schedule}",
        "maxConcurrentRunCount": "1",
        "allowQueueing": False,
        "createPipelineJobRequest": {"parent": parent, "pipelineJob": dict(job)},
    }


def custom_job(
    config: PipelineConfig, words: Sequence[str], bucket: str, step: str = "train"
) -> dict[str, Any]:
    """Return a CustomJob of one program, on all `workers` of it.

    Vertex sets TF_CONFIG: the first pool is the chief, the second the workers, the
    third the parameter servers. In: `words`: after `python -m`.
    """
    wanted = config.resources_of(step)
    pools = [_pool(config, wanted, words, 1)]
    if config.workers > 1:
        pools.append(_pool(config, wanted, words, config.workers - 1))
    if config.parameter_servers:
        plain = ResourcesConfig(cpus=wanted.cpus, memory=wanted.memory)
        pools.append(_pool(config, plain, words, config.parameter_servers))
    spec: dict[str, Any] = {
        "workerPoolSpecs": pools,
        "scheduling": {
            "timeout": f"{config.hours * 3600}s",
            # A worker that is lost takes the others along: all start again, from the
            # newest checkpoint.
            "restartJobOnWorkerRestart": len(pools) > 1,
        },
        "baseOutputDirectory": {"outputUriPrefix": f"{bucket.rstrip('/')}/jobs"},
    }
    if config.service_account:
        spec["serviceAccount"] = config.service_account
    return {"displayName": config.name, "labels": {"app": "tandem"}, "jobSpec": spec}


def request(
    kind: VertexKind, body: Mapping[str, Any], project: str, region: str
) -> dict[str, Any]:
    """Return what is sent and where to, as a person can read and curl can send it."""
    host = f"https://{region}-aiplatform.googleapis.com"
    place = f"{host}/v1/{parent_of(project, region)}/{PORTS[kind]}"
    return {"method": "POST", "url": place, "body": dict(body)}


def parent_of(project: str, region: str) -> str:
    """Return the resource that jobs are made in."""
    return f"projects/{project}/locations/{region}"


def submit(kind: VertexKind, body: Mapping[str, Any], project: str, region: str) -> str:
    """Send the request. Out: the name of what was made.

    Raises: ConfigError where google-cloud-aiplatform is not installed.
    """
    import json

    vertex = need("google.cloud.aiplatform_v1", "google-cloud-aiplatform")
    options = {"api_endpoint": f"{region}-aiplatform.googleapis.com"}
    parent, text = parent_of(project, region), json.dumps(body)
    if kind == "custom":
        jobs = vertex.JobServiceClient(client_options=options)
        made = jobs.create_custom_job(
            parent=parent, custom_job=vertex.CustomJob.from_json(text)
        )
    elif kind == "schedule":
        schedules = vertex.ScheduleServiceClient(client_options=options)
        made = schedules.create_schedule(
            parent=parent, schedule=vertex.Schedule.from_json(text)
        )
    else:
        pipelines = vertex.PipelineServiceClient(client_options=options)
        made = pipelines.create_pipeline_job(
            parent=parent, pipeline_job=vertex.PipelineJob.from_json(text)
        )
    return str(made.name)


def _pool(
    config: PipelineConfig,
    wanted: ResourcesConfig,
    words: Sequence[str],
    replicas: int,
) -> dict[str, Any]:
    machine: dict[str, Any] = {"machineType": config.machine}
    if wanted.gpus:
        machine |= {
            "acceleratorType": wanted.accelerator,
            "acceleratorCount": wanted.gpus,
        }
    return {
        "machineSpec": machine,
        "replicaCount": str(replicas),
        "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
        "containerSpec": {
            "imageUri": config.image,
            "command": ["python3", "-m"],
            "args": list(words),
        },
    }
