"""The door to training: `python -m trainer COMMAND`."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import click

from data.cli import tell_errors
from data.errors import ConfigError
from data.locks import locked
from data.options import stale_lock
from trainer.command import STATUSES, quieten
from trainer.config import SEVERAL, read_experiment
from trainer.distributed.cluster import check_alone
from trainer.distributed.supervisor import supervise
from trainer.experiment import Experiment
from trainer.jobs.commands import pipeline, submit
from trainer.retrain.commands import retrain, rollback
from trainer.skew.commands import skew


def experiment_command(run: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which experiment, and run it alone.

    In: `run`: takes the experiment, and by name the command's options of its own.
    """

    @click.argument("toml", type=click.Path(path_type=Path))
    @click.option("--out", help="Where to, instead of artifacts/<TOML's stem>.")
    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="TABLE.KEY=VALUE",
        help="Override a field of the TOML; may be repeated.",
    )
    @click.option(
        "--warm-start",
        "start_from",
        default="",
        metavar="MODELS",
        help="Begin with the weights of published models, or of a run: OUT/runs/ID.",
    )
    @stale_lock
    @tell_errors(STATUSES)
    def command(
        toml: Path,
        out: str | None,
        overrides: tuple[str, ...],
        start_from: str,
        stale_minutes: float,
        **options: Any,
    ) -> None:
        config = read_experiment(toml, overrides)
        folder = out or str(Path("artifacts") / toml.stem)
        quieten()
        experiment = Experiment(
            config=config, path=toml, out=folder, start_from=start_from
        )
        lock = partial(locked, folder, stale_after_s=60 * stale_minutes)
        if config.train.strategy in SEVERAL:
            _run_together(experiment, lock, partial(run, experiment, **options))
            return
        check_alone(os.environ)
        with lock():
            run(experiment, **options)

    command.__doc__ = run.__doc__
    command.__name__ = run.__name__
    return command


def _run_together(
    experiment: Experiment,
    lock: Callable[[], AbstractContextManager[None]],
    run: Callable[[], None],
) -> None:
    """Run a command on the worker that leads; the others take part in its fits."""
    from trainer.distributed.team import team

    with team(experiment.config.train) as crew:
        if crew.leads:
            with lock():
                run()
        else:
            from trainer.stages.follow import follow

            follow(crew, experiment)


@click.group()
def main() -> None:
    """Train, evaluate and export an experiment described by a TOML file."""


@main.command()
@experiment_command
def train(experiment: Experiment) -> None:
    """Do everything that is not done yet: data, models, report, refit, export."""
    from trainer.experiment import train as run

    run(experiment)


@main.command()
@click.option(
    "--against",
    multiple=True,
    metavar="FOLDER",
    help="Compare with what was evaluated there; may be repeated.",
)
@experiment_command
def evaluate(experiment: Experiment, against: tuple[str, ...]) -> None:
    """Fit on the training part and write report.json and report.html.

    With --against, also comparison.json and comparison.html: all runs and baselines
    in one table, each two compared query by query.
    """
    from trainer.experiment import compare
    from trainer.experiment import evaluate as run

    if against:
        compare(experiment, against)
    else:
        run(experiment)


@main.command()
@experiment_command
def export(experiment: Experiment) -> None:
    """Refit and publish a new version of the servables."""
    from trainer.experiment import evaluate as first
    from trainer.experiment import export as run

    first(experiment)
    run(experiment)


@main.command("supervise", context_settings={"ignore_unknown_options": True})
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--restarts",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How often all start again after one was lost.",
)
@click.option(
    "--servers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Parameter servers beside them; the first worker leads and takes no steps.",
)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
@tell_errors()
def supervise_command(
    workers: int, restarts: int, servers: int, arguments: tuple[str, ...]
) -> None:
    """Run a command as several workers of this machine.

    As in: python -m trainer supervise --workers 2 -- train TOML --out OUT. If one is
    lost, all start again, from the newest checkpoint.
    """
    command = [sys.executable, "-m", "trainer", *arguments]
    if servers and workers < 2:
        raise ConfigError(
            f"--servers {servers} with --workers {workers}: expected 2 workers or "
            "more, of which the first leads and takes no steps."
        )
    strategy = "parameter_server" if servers else "multi_worker"
    command += ["--set", f"train.strategy={strategy}"]
    status = supervise(command, workers=workers, restarts=restarts, servers=servers)
    raise SystemExit(status)


def change_command(run: Callable[[str, str], Any]) -> Callable[..., None]:
    """Give a command a table of items and the models whose catalogue it changes.

    In: `run`: takes the folder of the models and the path of the table.
    """

    @click.argument("table", metavar="ITEMS")
    @click.option(
        "--model",
        "folder",
        required=True,
        metavar="DIR",
        help="The models as an export leaves them: OUT/models, or OUT itself.",
    )
    @stale_lock
    @tell_errors(STATUSES)
    def command(table: str, folder: str, stale_minutes: float) -> None:
        from trainer.catalogue.exported import find_models, parent

        models = find_models(folder)
        quieten()
        with locked(parent(models), stale_after_s=60 * stale_minutes):
            run(models, table)

    command.__doc__ = run.__doc__
    command.__name__ = run.__name__
    return command


@main.command()
@change_command
def add_items(models: str, table: str) -> None:
    """Publish a version with new items, and with other rows of known ones.

    ITEMS has columns of the items' table: the id, and whatever is known.
    """
    from trainer.catalogue.changes import add_items as run

    run(models, table)


@main.command()
@change_command
def remove_items(models: str, table: str) -> None:
    """Publish a version that recommends some items no longer.

    ITEMS is a table with the column of ids, or one id a line.
    """
    from trainer.catalogue.changes import remove_items as run

    run(models, table)


main.add_command(pipeline)
main.add_command(submit)
main.add_command(retrain)
main.add_command(rollback)
main.add_command(skew)

if __name__ == "__main__":
    main(prog_name="python -m trainer")
