"""The `query` command: one user's recommendations, for a person or a program."""

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from serving.client import Client, GrpcClient, Recommendation, RestClient


def open_client(grpc: str | None, rest: str | None) -> Client:
    """Return the client for a server: gRPC unless only a REST address is given."""
    if rest is not None:
        return RestClient(rest)
    return GrpcClient(grpc) if grpc is not None else GrpcClient()


def as_json(user: str, items: list[Recommendation]) -> str:
    """Return the answer for programs."""
    rows = [
        {
            "rank": rank,
            "item_id": item.item_id,
            "title": item.title,
            "score": item.score,
            "columns": dict(item.columns),
        }
        for rank, item in enumerate(items, start=1)
    ]
    document = {"user_id": user, "items": rows}
    return json.dumps(document, ensure_ascii=False, indent=2)


def print_table(user: str, items: list[Recommendation]) -> None:
    """Print the answer for people."""
    console = Console()
    if not items:
        console.print(f"No item to recommend to user {user}.", markup=False)
        return
    table = Table(title=_plain(f"For user {user}"), title_justify="left")
    table.add_column("rank", justify="right")
    table.add_column("title", overflow="fold")
    table.add_column("item id", overflow="fold")
    table.add_column("score", justify="right")
    for rank, item in enumerate(items, start=1):
        table.add_row(
            str(rank), _plain(item.title), _plain(item.item_id), f"{item.score:.4f}"
        )
    console.print(table)


def _plain(text: str) -> Text:
    # Titles may hold square brackets, which rich would read as markup.
    return Text(text)
