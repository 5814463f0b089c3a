"""Skew on the command line."""

import click

from data.cli import tell_errors
from trainer.command import STATUSES, quieten
from trainer.skew import MOST


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "--model",
    "folder",
    required=True,
    metavar="DIR",
    help="The models that answered: OUT/models, or OUT itself.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="skew.KEY=VALUE",
    help="Another tolerance than the version's; may be repeated.",
)
@click.option(
    "--most",
    type=click.IntRange(1),
    default=MOST,
    show_default=True,
    help="Requests that are looked at, drawn evenly from all.",
)
@click.option("--json", "place", default="", metavar="FILE", help="Not OUT/skew.json.")
@tell_errors(STATUSES)
def skew(
    logs: tuple[str, ...],
    folder: str,
    overrides: tuple[str, ...],
    most: int,
    place: str,
) -> None:
    """Compare logged requests with what training computes for them.

    LOG is a TFRecord file of PredictionLog, as a server with logging_config writes it,
    or a folder of such. Exit status 3: something differs by more than is tolerated.
    """
    from trainer.catalogue.exported import find_models
    from trainer.skew.job import compare

    models = find_models(folder)
    quieten()
    compare(logs, models, overrides=overrides, most=most, place=place)
