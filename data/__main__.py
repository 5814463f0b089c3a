"""The door to the data: `python -m data COMMAND`."""

from collections.abc import Iterable
from pathlib import Path

import click
from rich.table import Table

from data.cli import REFUSED, tell_errors
from data.console import OUTPUT, complain, say
from data.errors import ConfigError, DataError, SchemaDrift
from data.files import join, write_json
from data.options import stale_lock
from data.schema import DataConfig, data_config
from data.settings import read_toml

TOML = click.argument("toml", type=click.Path(path_type=Path))
SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="TABLE.KEY=VALUE",
    help="Override a field of the TOML; may be repeated.",
)
OUT = click.option("--out", help="Where to, instead of artifacts/<TOML's stem>/data.")


@click.group()
def main() -> None:
    """Turn tables into a prepared data set."""


@main.command()
@click.argument("names", nargs=-1, required=True)
@tell_errors()
def fetch(names: tuple[str, ...]) -> None:
    """Fetch data sets or weights that the catalog names."""
    from data.fetch import fetch as fetch_one

    for name in names:
        say(str(fetch_one(name)))


@main.command()
@click.option("--interactions", required=True, metavar="FILE", help="Who met what.")
@click.option("--items", metavar="FILE", help="What the items are like.")
@click.option("--users", metavar="FILE", help="What the users are like.")
@click.option("--output", "-o", "out", required=True, metavar="TOML", help="Where to.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--user", metavar="COLUMN", help="The column of users, if not found.")
@click.option("--item", metavar="COLUMN", help="The column of items.")
@click.option("--time", metavar="COLUMN", help="The column of times.")
@click.option("--label", metavar="COLUMN", help="The column that rates.")
@tell_errors()
def init(
    interactions: str,
    items: str | None,
    users: str | None,
    out: str,
    force: bool,
    **columns: str | None,
) -> None:
    """Draft a TOML from tables: a guess with its reasons, to train or to mend."""
    from data.init.draft import Request
    from data.init.draft import init as draft

    wanted = {role: name for role, name in columns.items() if name is not None}
    draft(
        Request(
            interactions=interactions,
            items=items,
            users=users,
            out=out,
            force=force,
            wanted=wanted,
        )
    )


@main.command()
@TOML
@SET
@tell_errors()
def check(toml: Path, overrides: tuple[str, ...]) -> None:
    """Check the tables; write nothing."""
    from data.prepare import check as check_tables

    config = _config(toml, overrides)
    report = check_tables(config, toml)
    for name, table in config.tables().items():
        say(f"{table.path}: {report.num_rows[name]:,} rows")
    for line in report.losses():
        say(line)
    warnings = f"{len(report.warnings)} warning{'s'[: len(report.warnings) != 1]}"
    if report.errors:
        lines = [f"Error: {error}" for error in report.errors]
        errors = f"{len(lines)} error{'s'[: len(lines) != 1]}"
        lines.append(f"{errors} to mend, {warnings}.")
        raise DataError("\n".join(lines))
    say(f"{toml}: the tables can be prepared; {warnings}.")


@main.command()
@TOML
@SET
@OUT
@tell_errors()
def describe(toml: Path, overrides: tuple[str, ...], out: str | None) -> None:
    """Tell and draw what the data set is like; prepares it first if need be."""
    from data.describe import describe as description_of
    from data.fetch import notes_on
    from data.pages.description import write_description
    from data.prepare import prepare as prepare_tables

    config = _config(toml, overrides)
    prepared = prepare_tables(config, toml, out or default_out(toml))
    found = description_of(prepared)
    for section in found.sections:
        OUTPUT.print(_as_table(section.title, section.rows))
    for warning in found.warnings:
        say(f"Warning: {warning}")
    page = join(out or str(Path(default_out(toml)).parent), "description.html")
    title, notes = config.catalog or toml.stem, notes_on(config.catalog)
    write_description(page, prepared, found, title=title, notes=notes)
    say(page)


@main.command()
@TOML
@SET
@OUT
@tell_errors()
def prepare(toml: Path, overrides: tuple[str, ...], out: str | None) -> None:
    """Turn the tables into a prepared data set."""
    from data.prepare import prepare as prepare_tables

    config = _config(toml, overrides)
    prepared = prepare_tables(config, toml, out or default_out(toml))
    counts = prepared.manifest["counts"]
    say(
        f"{prepared.folder}: {counts['events']:,} events of {counts['users']:,} users "
        f"and {counts['items']:,} items, fingerprint {prepared.fingerprint}"
    )


@main.command()
@TOML
@SET
@click.option("--new", multiple=True, metavar="FILE", help="New interactions.")
@click.option("--new-items", multiple=True, metavar="FILE", help="New rows of items.")
@click.option("--new-users", multiple=True, metavar="FILE", help="New rows of users.")
@click.option("--dataset", required=True, metavar="DIR", help="The growing data set.")
@click.option("--parent", metavar="FINGERPRINT", help="The state to grow; the current.")
@click.option("--no-move", is_flag=True, help="Leave DIR/current.json as it is.")
@stale_lock
@tell_errors({SchemaDrift: REFUSED})
def ingest(
    toml: Path,
    overrides: tuple[str, ...],
    new: tuple[str, ...],
    new_items: tuple[str, ...],
    new_users: tuple[str, ...],
    dataset: str,
    parent: str | None,
    no_move: bool,
    stale_minutes: float,
) -> None:
    """Append new rows to a data set, in a folder of its own; one at a time."""
    from data.ingest.job import ingest as append
    from data.ingest.telling import lines_of
    from data.locks import locked

    config, stale_s = _config(toml, overrides), 60 * stale_minutes
    # Two that grew the same state would each make theirs current: rows would go.
    with locked(dataset, stale_after_s=stale_s, another="--dataset"):
        result = append(
            config,
            toml,
            new,
            dataset,
            new_items=new_items,
            new_users=new_users,
            parent=parent,
            move=not no_move,
            overrides=overrides,
        )
    for line in lines_of(result):
        say(line)


@main.command()
@TOML
@SET
@click.option("--dataset", required=True, metavar="NEW", help="A folder, or a TOML.")
@click.option("--against", metavar="OLD", help="A folder, or a TOML; NEW's parent.")
@click.option("--out", help="Where to, instead of artifacts/<TOML's stem>.")
@tell_errors()
def validate(
    toml: Path,
    overrides: tuple[str, ...],
    dataset: str,
    against: str | None,
    out: str | None,
) -> None:
    """Compare what a data set has grown by with what it was; exit 3 if refused."""
    from data.drift import VALIDATION, parent_of
    from data.drift import validate as compare
    from data.drift.telling import lines_of, table_of

    config = _config(toml, overrides)
    old = against or parent_of(dataset) or str(toml)
    found = compare(dataset, old, config.drift)
    place = join(out or str(Path(default_out(toml)).parent), VALIDATION)
    write_json(place, found.to_json())
    if found.findings:
        OUTPUT.print(table_of(found))
    for line in lines_of(found):
        say(line)
    say(place)
    if found.refused:
        complain(f"Refused: {found.reason}")
        raise SystemExit(REFUSED)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", default=7, show_default=True)
@tell_errors()
def planted(folder: Path, seed: int) -> None:
    """Write a small data set whose right answer is known."""
    from data.planted import write_planted

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder}: expected an absent or an empty folder. Name another one."
        )
    say(f"{write_planted(folder, seed=seed).toml}")


def default_out(toml: Path) -> str:
    """Return where the data set of an experiment is prepared to."""
    return str(Path("artifacts") / toml.stem / "data")


def _config(toml: Path, overrides: Iterable[str]) -> DataConfig:
    return data_config(read_toml(toml, tuple(overrides)), toml)


def _as_table(title: str, rows: list[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


if __name__ == "__main__":
    main(prog_name="python -m data")
