"""The `query` command: ask a running server, for a person or a program."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from serving.question import Question

if TYPE_CHECKING:
    from serving.client import Client

_OUR_BUG = 1
_USER_MISTAKE = 2
_INTERRUPTED = 130
# What a server answers to a query that the person who asked has to change.
_MENDABLE = {
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
}
_QUESTIONS = ("user", "similar", "search", "describe", "status")
_OF_USER = ("history", "exclude", "time", "context", "boost", "bury", "k")
_IDS: dict[str, Any] = {"multiple": True, "metavar": "ITEM"}
_FILE = click.Path(exists=True, dir_okay=False)


def _time(_: click.Context, __: click.Parameter, text: str | None) -> Any:
    """Read Unix seconds, or ISO 8601; UTC where that names no zone."""
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"expected Unix seconds or 2026-01-31T12:00, got {text!r}."
        raise click.BadParameter(message) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _context(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> Any:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"expected NAME=VALUE, got {pair!r}.")
        found[name] = value
    return found


@click.command()
@click.option("--user", metavar="ID", help="Items for a user; unknown is no error.")
@click.option("--rank", help="With --user: order these items instead.", **_IDS)
@click.option("--similar", metavar="ITEM", help="Items like an item.")
@click.option("--search", metavar="TEXT", help="Items like a phrase.")
@click.option("--describe", help="Titles and columns of items.", **_IDS)
@click.option("--status", metavar="MODEL", help="States of a model's versions.")
@click.option(
    "--k", type=click.IntRange(min=1), metavar="N", help="How many [the model's k]."
)
@click.option("--history", help="What the user met, oldest first; repeat.", **_IDS)
@click.option("--exclude", help="Leave out; repeat.", **_IDS)
@click.option("--boost", help="Put first; repeat.", **_IDS)
@click.option("--bury", help="Leave out; repeat.", **_IDS)
@click.option("--time", callback=_time, help="Unix seconds or ISO 8601 (UTC).")
@click.option(
    *("--context", "context"),
    multiple=True,
    callback=_context,
    metavar="NAME=VALUE",
    help="A column of the request; repeat.",
)
@click.option(
    "--version", type=click.IntRange(min=0), metavar="N", help="Not the newest."
)
@click.option("--label", help="The version under a label.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.001),
    default=10.0,
    metavar="SECONDS",
    help="For the whole query [10].",
)
@click.option("--grpc", metavar="HOST:PORT", help="gRPC address [127.0.0.1:8500].")
@click.option("--rest", metavar="HOST:PORT", help="Ask over REST, at this address.")
@click.option("--tls", is_flag=True, help="Encrypted gRPC (REST: --rest https://...).")
@click.option("--root-certificate", type=_FILE, help="Who vouches for the server.")
@click.option("--client-certificate", type=_FILE, help="The client's own.")
@click.option("--client-key", type=_FILE, help="And its key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
def query(as_json: bool, **options: Any) -> None:
    """Ask a running server: one of --user, --similar, --search, --describe, --status.

    Exit status 2 says that the question, or the address, has to change.
    """
    from serving import query_output as output

    names = Question.__dataclass_fields__
    question = Question(**{name: options.pop(name) for name in names})
    _check(question, options)
    with _told():
        with _opened(**options) as client:
            answer = _answer(client, question)
        (output.print_json if as_json else output.print_table)(question, answer)


def _check(question: Question, options: dict[str, Any]) -> None:
    given = [name for name in _QUESTIONS if getattr(question, name)]
    if len(given) != 1:
        names = ", ".join(f"--{name}" for name in _QUESTIONS)
        raise click.UsageError(f"Give one of {names}; got {len(given)}.")
    for name in ("rank", *_OF_USER):
        if given != ["user"] and getattr(question, name):
            raise click.UsageError(f"--{name} goes with --user.")
    for name in _OF_USER[1:]:
        if question.rank and getattr(question, name):
            raise click.UsageError(f"--{name} does not go with --rank.")
    for one, other in (("grpc", "rest"), ("version", "label")):
        if options[one] is not None and options[other] is not None:
            raise click.UsageError(f"Give --{one} or --{other}, not both.")
    if (options["client_certificate"] is None) != (options["client_key"] is None):
        raise click.UsageError("--client-certificate and --client-key go together.")


def _opened(
    grpc: str | None,
    rest: str | None,
    timeout: float,
    version: int | None,
    label: str | None,
    tls: bool,
    **files: str | None,
) -> "Client":
    """Return the client for a server: gRPC unless only a REST address is given."""
    from serving.client import GrpcClient, RestClient, Tls

    certificates = None
    if tls or any(files.values()):
        certificates = Tls(
            root_certificate=files["root_certificate"],
            certificate=files["client_certificate"],
            key=files["client_key"],
        )
    kind: Callable[..., Client] = GrpcClient if rest is None else RestClient
    named = [address for address in (grpc, rest) if address is not None]
    return kind(
        *named, tls=certificates, timeout_s=timeout, version=version, label=label
    )


def _answer(client: "Client", question: Question) -> list[Any]:
    """Return the rows of the answer."""
    if question.status:
        return client.status(question.status)
    if question.describe:
        return client.describe(question.describe)
    if question.similar:
        return client.similar(question.similar)
    if question.search:
        return client.search(question.search)
    assert question.user is not None  # _check
    if question.rank:
        return client.rank(
            question.user, question.rank, history=question.history or None
        )
    given: Any = {name: getattr(question, name) or None for name in _OF_USER}
    return client.recommend(question.user, **given)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what a person can mend into a sentence and an exit status."""
    from serving.client import ServingError

    try:
        yield
    except ServingError as err:
        click.echo(f"query: {err.sentence}", err=True)
        sys.exit(_USER_MISTAKE if err.code in _MENDABLE else _OUR_BUG)
    except (ValueError, OSError) as err:
        # An address, or a file, of which no client can be made.
        click.echo(f"query: {err}", err=True)
        sys.exit(_USER_MISTAKE)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
