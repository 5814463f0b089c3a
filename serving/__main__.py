"""`python -m serving`: a local server, a query, a model config file."""

import sys
from pathlib import Path

import click

from serving.model_list import ModelListError, model_config_text, newest_models_folder

_OUR_BUG = 1
_USER_MISTAKE = 2
# What a server answers to a query that the person who asked has to change.
_MENDABLE = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNAVAILABLE"}


@click.group()
def cli() -> None:
    """Serve exported models, and ask a server."""


@cli.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def modelserver(flags: tuple[str, ...]) -> None:
    """Serve models over TensorFlow Serving's API (--help lists its flags)."""
    from serving.modelserver.main import run

    run(flags)


@cli.command()
@click.option("--user", required=True, help="User id; an unknown one is no error.")
@click.option("--k", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--grpc", metavar="HOST:PORT", help="gRPC address [127.0.0.1:8500].")
@click.option("--rest", metavar="HOST:PORT", help="Ask over REST, at this address.")
@click.option("--json", "as_text", is_flag=True, help="Print JSON in place of a table.")
def query(user: str, k: int, grpc: str | None, rest: str | None, as_text: bool) -> None:
    """Print one user's recommendations from a running server."""
    from serving import query as queries
    from serving.client import ServingError

    if grpc is not None and rest is not None:
        raise click.UsageError("Give --grpc or --rest, not both.")
    try:
        with queries.open_client(grpc, rest) as client:
            items = client.recommend(user, k=k)
    except ServingError as err:
        click.echo(f"query: {err.message}", err=True)
        sys.exit(_USER_MISTAKE if err.code in _MENDABLE else _OUR_BUG)
    if as_text:
        click.echo(queries.as_json(user, items))
    else:
        queries.print_table(user, items)


@cli.command()
@click.option("--root", required=True, help="Where the server finds the models.")
@click.option("--models", type=click.Path(path_type=Path), help="Local models folder.")
@click.option("--scann", is_flag=True, help="For servers that have ScaNN's op.")
def config(root: str, models: Path | None, scann: bool) -> None:
    """Print the model config file for models that lie under another root."""
    try:
        folder = models or newest_models_folder(Path.cwd())
        click.echo(model_config_text(folder, root, scann=scann), nl=False)
    except ModelListError as err:
        click.echo(f"config: {err}", err=True)
        sys.exit(_USER_MISTAKE)


if __name__ == "__main__":
    cli(prog_name="python -m serving")
