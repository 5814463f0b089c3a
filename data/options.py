"""Options that several commands have, said in one way."""

import click

from data.locks import STALE_AFTER_S

stale_lock = click.option(
    "--stale-lock",
    "stale_minutes",
    type=click.FloatRange(min=5),
    default=STALE_AFTER_S / 60,
    metavar="MINUTES",
    help="Take over a remote folder whose owner has been silent for so long.",
)
