"""`python -m trainer pipeline` and `python -m trainer submit`."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from data import files
from data.cli import tell_errors
from data.console import say
from data.errors import ConfigError
from trainer.config import read_experiment
from trainer.jobs.config import PipelineConfig
from trainer.jobs.extra import need
from trainer.jobs.vertex import VertexKind

Options = Callable[[Callable[..., None]], Callable[..., None]]


def _experiment(out_help: str) -> Options:
    """Give a command the TOML, its overrides and the folder of the job."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        overrides = click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="TABLE.KEY=VALUE",
            help="Override a field of the TOML; may be repeated.",
        )
        out = click.option("--out", default="", help=out_help)
        toml = click.argument("toml", type=click.Path(path_type=Path))
        return toml(out(overrides(command)))

    return decorate


@click.command()
@_experiment("The job's folder, as its containers see it; a parameter's default.")
@click.option("-o", "--output", "place", help="The YAML to write.")
@tell_errors()
def pipeline(
    toml: Path, overrides: tuple[str, ...], out: str, place: str | None
) -> None:
    """Compile the retraining job for Kubeflow Pipelines and Vertex AI."""
    from trainer.jobs.pipeline import compile_pipeline

    config = read_experiment(toml, overrides).pipeline
    folder = out or str(Path("artifacts") / toml.stem)
    target = place or files.join(folder, "pipeline.yaml")
    with tempfile.TemporaryDirectory() as there:
        written = Path(there) / "pipeline.yaml"
        compile_pipeline(
            config,
            str(written),
            toml=toml.as_posix(),
            out=folder,
            overrides=_of_models(overrides),
        )
        files.write_bytes(target, written.read_bytes())
    say(f"Pipeline: {target}")


@click.group()
def submit() -> None:
    """Have the job run by Vertex AI, or print it for Kubernetes."""


@submit.command()
@_experiment("The job's folder on Cloud Storage; BUCKET/TOML's stem by default.")
@click.option("--project", required=True)
@click.option("--region", required=True, help="Such as europe-west4.")
@click.option("--bucket", required=True, help="Such as gs://my-bucket/tandem.")
@click.option("--new", multiple=True, metavar="FILE", help="New interactions.")
@click.option("--server", default="", metavar="HOST:PORT", help="What serves.")
@click.option(
    "--kind",
    type=click.Choice(["pipeline", "schedule", "custom"]),
    default="pipeline",
    show_default=True,
    help="The job now, the job by the clock, or distributed training alone.",
)
@click.option("--dry-run", is_flag=True, help="Print the request, send nothing.")
@tell_errors()
def vertex(
    toml: Path,
    overrides: tuple[str, ...],
    out: str,
    project: str,
    region: str,
    bucket: str,
    new: tuple[str, ...],
    server: str,
    kind: VertexKind,
    dry_run: bool,
) -> None:
    """Run on Vertex AI, as a PipelineJob, a Schedule of them or a CustomJob."""
    from trainer.jobs import vertex as requests

    requests.check_place(project, region, bucket)
    experiment = read_experiment(toml, overrides)
    config = experiment.pipeline
    requests.check_for_vertex(config)
    folder = out or f"{bucket.rstrip('/')}/{toml.stem}"
    inner = _of_models(overrides)
    if kind == "custom":
        config.check_roles(experiment.train.strategy)
        words = _train(toml, folder, inner)
        body = requests.custom_job(config, words, bucket)
    else:
        if not new:
            raise ConfigError("--new: missing. Name the files of new interactions.")
        spec = _compiled(config, toml, folder, inner)
        given = {"new": list(new), "out": folder, "server": server}
        body = requests.pipeline_job(config, spec, bucket, given)
        if kind == "schedule":
            parent = requests.parent_of(project, region)
            body = requests.schedule(config, body, parent)
    if dry_run:
        click.echo(json.dumps(requests.request(kind, body, project, region), indent=2))
        return
    say(f"Made: {requests.submit(kind, body, project, region)}")


@submit.command()
@_experiment("The job's folder, as its containers see it.")
@click.option("--new", multiple=True, metavar="FILE", help="New interactions.")
@click.option("--server", default="", metavar="HOST:PORT", help="What serves.")
@click.option(
    "--kind",
    type=click.Choice(["cronjob", "tfjob"]),
    default="cronjob",
    show_default=True,
    help="The job by the clock, or training on several machines.",
)
@click.option("--dry-run", is_flag=True, help="Print the manifest; there is no other.")
@tell_errors()
def kubernetes(
    toml: Path,
    overrides: tuple[str, ...],
    out: str,
    new: tuple[str, ...],
    server: str,
    kind: str,
    dry_run: bool,
) -> None:
    """Print a manifest for `kubectl apply -f -`."""
    from trainer.jobs import kubernetes as manifests

    if not dry_run:
        raise ConfigError(
            "Only kubectl talks to the cluster. Run this with --dry-run and pipe it: "
            "... --dry-run | kubectl apply -f -"
        )
    experiment = read_experiment(toml, overrides)
    config = experiment.pipeline
    folder = out or (f"{manifests.MOUNT}/{toml.stem}" if config.volume else "")
    if not folder:
        raise ConfigError(
            "--out: missing. Name a folder that outlives the pod, such as "
            "gs://my-bucket/tandem, or set [pipeline] volume to a claim."
        )
    inner = _of_models(overrides)
    if kind == "tfjob":
        config.check_roles(experiment.train.strategy)
        manifest = manifests.tf_job(config, _train(toml, folder, inner))
    else:
        if not new:
            raise ConfigError("--new: missing. Name the files of new interactions.")
        manifest = manifests.cron_job(
            config, _retrain(toml, folder, inner, new, server)
        )
    yaml = need("yaml", "PyYAML")
    click.echo(yaml.safe_dump(manifest, sort_keys=False), nl=False)


def _compiled(
    config: PipelineConfig, toml: Path, out: str, overrides: Sequence[str]
) -> Mapping[str, Any]:
    from trainer.jobs.pipeline import compile_pipeline

    yaml = need("yaml", "PyYAML")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pipeline.yaml"
        compile_pipeline(
            config, str(place), toml=toml.as_posix(), out=out, overrides=overrides
        )
        found: dict[str, Any] = yaml.safe_load(place.read_text(encoding="utf-8"))
    return found


def _train(toml: Path, out: str, overrides: Sequence[str]) -> list[str]:
    return ["trainer", "train", toml.as_posix(), "--out", out, *_set(overrides)]


def _retrain(
    toml: Path, out: str, overrides: Sequence[str], new: Sequence[str], server: str
) -> list[str]:
    words = ["trainer", "retrain", toml.as_posix(), "--out", out, *_set(overrides)]
    words += [word for one in new for word in ("--new", one)]
    return [*words, *(("--server", server) if server else ())]


def _set(overrides: Sequence[str]) -> list[str]:
    return [word for one in overrides for word in ("--set", one)]


def _of_models(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that matter inside: where it runs is settled outside."""
    return [one for one in overrides if not one.strip().startswith("pipeline.")]
