"""The commands and their options."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.process_tree import require_proc
from benchmarks.serving.load_command import load
from benchmarks.serving.results import DEFAULT, Results, commit, conditions
from benchmarks.serving.server import BATCHING
from benchmarks.serving.table import part_lines, picture_of, write_page
from data.cli import tell_errors
from data.console import say

PARTS = ("sweep", "cost", "swap", "abuse")


@click.group(commands=[load])
def cli() -> None:
    """Send load to servers of TensorFlow Serving's API on this machine."""


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all measuring commands have."""
    for option in (
        click.option(
            "--models",
            type=click.Path(path_type=Path),
            help="Folder of an export [the newest below artifacts/]; it is copied.",
        ),
        click.option(
            "--results",
            type=click.Path(path_type=Path),
            default=DEFAULT,
            show_default=True,
            help="The figures; the page and the pictures lie beside it.",
        ),
        click.option("--seed", default=0, show_default=True),
    ):
        command = option(command)
    return command


def _write(
    results: Path, part: str, figures: dict[str, Any], began: dict[str, Any]
) -> None:
    parts = Results(results).record(part, figures, began)
    write_page(results.with_suffix(".md"), {part: parts[part]})
    say(part_lines(part, parts[part]))


@cli.command()
@click.option("--seconds", default=10.0, show_default=True, help="Of each way a round.")
@click.option("--rounds", default=5, show_default=True)
@click.option(
    "--batching",
    type=click.Path(path_type=Path, exists=True, resolve_path=True),
    default=BATCHING,
    help="Parameters file [the one that is shipped].",
)
@_shared
@tell_errors()
def cost(
    models: Path | None,
    results: Path,
    seed: int,
    seconds: float,
    rounds: int,
    batching: Path,
) -> None:
    """CPU time and throughput of the server, beside the model in process."""
    from benchmarks.serving.cost import measure_cost

    require_proc()
    began = conditions()
    figures = measure_cost(
        models, seconds=seconds, rounds=rounds, batching=batching, seed=seed
    )
    _write(results, "cost", figures, began)


@cli.command()
@click.option("--seconds", default=100.0, show_default=True, help="Of load.")
@click.option("--swaps", default=3, show_default=True)
@_shared
@tell_errors()
def swap(
    models: Path | None, results: Path, seed: int, seconds: float, swaps: int
) -> None:
    """New versions of all servables under load: what requests notice of it."""
    from benchmarks.serving.plots import plot_swap
    from benchmarks.serving.swap import measure_swaps

    began = conditions()
    figures, outcome = measure_swaps(models, seconds=seconds, swaps=swaps, seed=seed)
    plot_swap(outcome, figures, picture_of(results, "swap"))
    _write(results, "swap", figures, began)


@cli.command()
@click.option("--minutes", default=2.0, show_default=True, help="10 for the record.")
@_shared
@tell_errors()
def abuse(models: Path | None, results: Path, seed: int, minutes: float) -> None:
    """Bad requests of all kinds among good ones: does it crash, does it leak?"""
    from benchmarks.serving.abuse import measure_abuse
    from benchmarks.serving.plots import plot_abuse

    require_proc()
    began = conditions()
    figures = measure_abuse(models, minutes=minutes, seed=seed)
    plot_abuse(figures, picture_of(results, "abuse"))
    _write(results, "abuse", figures, began)


@cli.command()
@click.option("--seconds", default=5.0, show_default=True, help="Of each load.")
@_shared
@tell_errors()
def sweep(models: Path | None, results: Path, seed: int, seconds: float) -> None:
    """One to 64 clients over gRPC and REST, and rates up to what the server takes."""
    from benchmarks.serving.plots import plot_sweep
    from benchmarks.serving.sweep import measure_sweep

    require_proc()
    began = conditions()
    figures = measure_sweep(models, seconds=seconds, seed=seed)
    plot_sweep(figures, picture_of(results, "sweep"))
    _write(results, "sweep", figures, began)


@cli.command(name="all")
@click.option("--minutes", default=10.0, show_default=True, help="Of abuse.")
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Some parts.")
@click.option("--resume", is_flag=True, help="Keep what this very commit has measured.")
@_shared
@click.pass_context
@tell_errors()
def everything(
    context: click.Context,
    models: Path | None,
    results: Path,
    seed: int,
    minutes: float,
    only: tuple[str, ...],
    resume: bool,
) -> None:
    """Measure all parts, one after the other; each is kept as soon as it is done."""
    shared = {"models": models, "results": results, "seed": seed}
    for part, command in zip(PARTS, (sweep, cost, swap, abuse), strict=True):
        if part not in (only or PARTS):
            continue
        if resume and Results(results).has(part, commit()):
            say(f"{part}: measured before")
            continue
        more = {"minutes": minutes} if command is abuse else {}
        context.invoke(command, **shared, **more)
