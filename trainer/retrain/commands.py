"""The retraining job on the command line."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from data.cli import tell_errors
from data.errors import ConfigError
from data.locks import locked
from data.options import stale_lock
from trainer.command import STATUSES, quieten
from trainer.config import SEVERAL, TrainConfig, read_experiment
from trainer.distributed.cluster import check_alone
from trainer.retrain.state import Places
from trainer.retrain.steps import NAMES


@contextlib.contextmanager
def _alone(out: str, stale_minutes: float) -> Iterator[None]:
    """Hold an experiment's folder, and the data set that `data ingest` grows alone."""
    stale_s = 60 * stale_minutes
    with locked(out, stale_after_s=stale_s):
        with locked(Places(out).dataset, stale_after_s=stale_s):
            yield


@click.command()
@click.argument("toml", type=click.Path(path_type=Path))
@click.option("--out", help="Where to, instead of artifacts/<TOML's stem>.")
@click.option("--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE")
@click.option("--new", multiple=True, metavar="FILE", help="New interactions.")
@click.option("--replay", is_flag=True, help="Take the last weeks for new data.")
@click.option("--server", default="", metavar="HOST:PORT", help="Move its labels.")
@click.option("--step", type=click.Choice(NAMES), help="Do one step alone.")
@click.option("--job", default="", help="Whose step, as the first step names it.")
@click.option("--result", default="", metavar="FILE", help="What a step hands on.")
@click.option("--in-pipeline", is_flag=True, help="A refusal is a verdict: exit 0.")
@stale_lock
@tell_errors(STATUSES)
def retrain(
    toml: Path,
    out: str | None,
    overrides: tuple[str, ...],
    new: tuple[str, ...],
    replay: bool,
    server: str,
    step: str | None,
    job: str,
    result: str,
    in_pipeline: bool,
    stale_minutes: float,
) -> None:
    """Retrain with new interactions; publish, or refuse and say why.

    Exit status 3: refused, what serves is untouched. Run again with the same files it
    does nothing; cut short it goes on where it was.
    """
    _check_together(replay=replay, new=new, step=step, job=job, result=result)
    from trainer.retrain.driver import retrain as run
    from trainer.retrain.driver import run_step
    from trainer.retrain.request import Request

    config = read_experiment(toml, overrides)
    _check_one_process(config.train)
    folder = out or str(Path("artifacts") / toml.stem)
    quieten()
    with _alone(folder, stale_minutes):
        request = Request(
            config=config,
            toml=toml,
            out=folder,
            new=new,
            overrides=overrides,
            server=server,
        )
        if replay:
            from trainer.retrain.replay import replay as replayed

            replayed(request, in_pipeline=in_pipeline)
        elif step is None:
            run(request, in_pipeline=in_pipeline)
        else:
            run_step(request, step, job=job, result=result, quiet=in_pipeline)


def _check_together(
    *, replay: bool, new: tuple[str, ...], step: str | None, job: str, result: str
) -> None:
    """Raise UsageError for options of which one would be passed over."""
    for name, is_given in (("--job", bool(job)), ("--result", bool(result))):
        if is_given and step is None:
            raise click.UsageError(
                f"{name} is of a single --step, and there is none. Name the step, or "
                f"leave {name} out."
            )
    for name, is_given in (("--new", bool(new)), ("--step", step is not None)):
        if replay and is_given:
            raise click.UsageError(
                f"--replay takes no {name}: the last weeks of the data set are the "
                "new data, and all steps are done. Leave one of both out."
            )


def _check_one_process(train: TrainConfig) -> None:
    """Raise ConfigError where several processes would do the job: it knows of none."""
    if train.strategy in SEVERAL:
        raise ConfigError(
            f'[train] strategy is "{train.strategy}", which train, evaluate and export '
            "take and retrain does not. Add --set train.strategy=none, or mirrored."
        )
    check_alone(os.environ, can_share=False)


@click.command()
@click.option("--models", "folder", required=True, metavar="DIR", help="OUT/models.")
@click.option("--to", type=int, metavar="VERSION", help="Not the one before.")
@click.option("--server", default="", metavar="HOST:PORT", help="Move its labels.")
@click.option("--server-root", default="", metavar="DIR", help="DIR as it sees it.")
@click.option("--keep-data", is_flag=True, help="Leave the data set as it has grown.")
@stale_lock
@tell_errors(STATUSES)
def rollback(
    folder: str,
    to: int | None,
    server: str,
    server_root: str,
    keep_data: bool,
    stale_minutes: float,
) -> None:
    """Make a former version the served one again, of all servables together.

    The data set goes back to what that version was made of.
    """
    from trainer.catalogue.exported import find_models, parent
    from trainer.config import RetrainConfig
    from trainer.retrain.rollback import rollback as run

    models = find_models(folder)
    config = RetrainConfig(server_root=server_root)
    with _alone(parent(models), stale_minutes):
        run(models, to, server=server, config=config, keep_data=keep_data)
