"""`python -m serving query`, on a fake server: what it prints, and how it ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from serving.__main__ import cli
from serving.client.results import Item, ModelVersion, Recommendation, Signature
from serving.query import Question
from serving.query_output import print_table
from serving.tensors import strings
from tests.serving.fakes import Models, Page, grpc_fake, http_fake
from tests.serving.support import free_ports
from tests.serving.test_clients_queries import SCORES, TEXTS, heads, models

LINE = "\u2502"


@contextmanager
def server() -> Iterator[tuple[Models, str]]:
    fake = models()
    with grpc_fake(fake.over_grpc) as target:
        yield fake, target


def query(*arguments: str, columns: int = 80, encoding: str = "utf-8") -> Result:
    runner = CliRunner(charset=encoding, env={"COLUMNS": str(columns)})
    return runner.invoke(cli, ["query", *arguments], prog_name="python -m serving")


def cells(text: str) -> list[list[str]]:
    """Return the rows of a table, without its lines."""
    lines = [line.split(LINE)[1:-1] for line in text.splitlines() if LINE in line]
    return [[cell.strip() for cell in line] for line in lines]


def test_each_question() -> None:
    with server() as (_, target):
        grpc = ("--grpc", target)
        assert cells(query("--user", "a", *grpc).stdout) == [
            ["1", "Title of a", "of a", "0.5000"]
        ]
        found = query("--user", "a", "--rank", "x", "--rank", "y", *grpc).stdout
        assert "like" in found
        assert cells(found)[0] == ["1", "Title y", "y", "0.1000", "0.1000"]
        assert cells(query("--similar", "a", *grpc).stdout)[0][1] == "Title of a"
        found = query("--describe", "a", "--describe", "b", *grpc).stdout
        assert cells(found) == [["a", "Title a"], ["b", "Title b"]]


def test_json_of_each_question() -> None:
    def document(*arguments: str) -> Any:
        return json.loads(query(*arguments, "--json", "--grpc", target).stdout)

    with server() as (_, target):
        row = {"item_id": "of a", "title": "Title of a", "score": 0.5, "columns": {}}
        items = [{"rank": 1, **row}]
        assert document("--user", "a") == {"user_id": "a", "items": items}
        assert document("--similar", "a") == {"item_id": "a", "items": items}
        ranked = document("--user", "a", "--rank", "x")
        assert ranked["items"][0]["columns"] == {"like": 0}
        one = {"item_id": "x", "title": "Title x", "columns": {}}
        assert document("--describe", "x") == {"items": [one]}


def test_what_a_user_is_asked_with() -> None:
    with server() as (fake, target):
        lists = ("--history", "1", "--history", "2", "--exclude", "3", "--boost", "4")
        more = ("--time", "1970-01-01T00:01", "--label", "stable", "--bury", "5")
        done = query("--user", "a", "--k", "3", *lists, *more, "--grpc", target)
    assert done.exit_code == 0
    (_, _, label, signature, inputs), _ = fake.asked
    assert (label, signature) == ("stable", "with_context")
    found = {name: array.reshape(-1).tolist() for name, array in inputs.items()}
    assert found["history"][:3] == [b"1", b"2", b""]
    assert [found[name][0] for name in ("exclude", "boost", "bury")] == [
        b"3",
        b"4",
        b"5",
    ]
    assert (found["k"], found["time"]) == ([3], [60])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give one of --user, --similar"),
        (["--user", "1", "--search", "x"], "got 2"),
        (["--search", "x", "--history", "1"], "--history goes with --user"),
        (["--similar", "1", "--k", "3"], "--k goes with --user"),
        (["--user", "1", "--rank", "2", "--k", "3"], "--k does not go with --rank"),
        (["--user", "1", "--rank", "x", "--boost", "2"], "does not go with --rank"),
        (["--user", "1", "--grpc", "a", "--rest", "b"], "not both"),
        (["--user", "1", "--version", "1", "--label", "b"], "not both"),
        (["--user", "1", "--time", "now"], "Unix seconds"),
        (["--user", "1", "--context", "hour"], "NAME=VALUE"),
        (["--user", "1", "--k", "0"], "0 is not in the range"),
        (["--user", "1", "--root-certificate", "no.pem"], "does not exist"),
    ],
    ids=str,
)
def test_usage(arguments: list[str], message: str) -> None:
    done = query(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())


@pytest.mark.parametrize("option", ["--grpc", "--rest"])
def test_nothing_listens(option: str) -> None:
    (port,) = free_ports(1)
    done = query("--user", "1", option, f"127.0.0.1:{port}")
    assert (done.exit_code, done.stdout) == (2, "")
    address = f"127.0.0.1:{port}"
    sentence = f"nothing listens at {address}. `make serve` starts a server."
    assert done.stderr == f"query: {sentence}\n"


def test_other_failures_are_a_sentence() -> None:
    def text(*arguments: str) -> str:
        done = query("--user", "1", *arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        return done.stderr

    with server() as (_, target):
        assert "has no context column 'a'" in text("--context", "a=1", "--grpc", target)
        assert "in HTTP/1.1" in text("--rest", target)
    with http_fake(lambda *_: Page()) as (target, _):
        assert "in gRPC" in text("--grpc", target)
    assert "Expected host:port" in text("--rest", "ftp://x")
    with http_fake(lambda *_: Page(body=b"hello")) as (target, _):
        done = query("--user", "1", "--rest", target)
        assert (done.exit_code, "not JSON" in done.stderr) == (1, True)


def test_nothing_found() -> None:
    with server() as (fake, target):
        empty = {"item_id": strings([[""]]), "score": np.array([[-1e30]], np.float32)}
        similar = fake.signatures["recommender"]["similar_items"][0]
        parts = {
            **fake.signatures["recommender"],
            "similar_items": (similar, lambda _: empty),
        }
        fake.signatures["recommender"] = parts
        done = query("--similar", "zz", "--grpc", target)
    assert (done.exit_code, done.stdout) == (0, "No item like zz.\n")


def test_an_unknown_item_has_no_score() -> None:
    def unknown(inputs: Any) -> Any:
        found = heads(inputs)
        return {**found, "score": np.full_like(found["score"], -1e30)}

    signature = Signature(
        inputs={"user_id": TEXTS, "item_id": TEXTS},
        outputs={"score": SCORES, "like": SCORES},
    )
    with server() as (fake, target):
        fake.signatures["ranking"] = {"serving_default": (signature, unknown)}
        done = query("--user", "u", "--rank", "zz", "--grpc", target)
    assert cells(done.stdout) == [["1", "Title zz", "zz", "-", "-"]]


def asked(**changes: Any) -> Question:
    fields = dict.fromkeys(Question.__dataclass_fields__)
    return Question(**{**fields, "k": 10, **changes})  # type: ignore[arg-type]


def printed(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    *titles: str,
) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    items = [Recommendation(item_id="1", score=0.5, title=title) for title in titles]
    print_table(asked(user="u"), items)
    return capsys.readouterr().out


def test_wide_characters_keep_the_columns_straight(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.cells import cell_len

    titles = ("千と千尋の神隠し", "Амели", "نور", "[b]bold[/b] :smile:", "plain")
    text = printed(capsys, monkeypatch, 60, *titles)
    widths = {cell_len(line) for line in text.splitlines() if line.strip()}
    assert len(widths) <= 2  # the title's line is not padded to the table's
    for title in titles:
        assert title in text


@pytest.mark.parametrize("columns", [12, 20, 39, 40, 50])
def test_narrow_terminals_fold_and_lose_nothing(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    title = "The Lord of the Rings: The Return of the King"
    text = printed(capsys, monkeypatch, columns, title)
    assert max(map(len, text.splitlines())) <= columns
    shown = "".join(row[1] for row in cells(text)) if LINE in text else text
    assert title.replace(" ", "") in "".join(shown.split())
    assert "0.5000" in text


def test_titles_do_not_drive_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    title = "a\x1b[31mred\x07\nb\u202ec"
    text = printed(capsys, monkeypatch, 80, title)
    assert not set(text) & set("\x1b\x07\u202e")
    assert "a\ufffd[31mred\ufffd\ufffdb\ufffdc" in text


def test_a_terminal_that_lacks_the_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (_, target):
        table = query("--user", "é", "--grpc", target, encoding="ascii")
        plain = query("--user", "é", "--grpc", target, "--json", encoding="ascii")
    assert (table.exit_code, plain.exit_code) == (0, 0)
    assert "Title of ?" in table.stdout
    assert json.loads(plain.stdout)["user_id"] == "é"


def test_states_of_versions(capsys: pytest.CaptureFixture[str]) -> None:
    failed = ModelVersion(
        version=2, state="END", error_code="NOT_FOUND", error_message="x"
    )
    print_table(asked(status="m"), [failed, ModelVersion(version=1, state="AVAILABLE")])
    rows = cells(capsys.readouterr().out)
    assert rows == [["2", "END", "NOT_FOUND: x"], ["1", "AVAILABLE", ""]]


def test_columns_of_items(capsys: pytest.CaptureFixture[str]) -> None:
    items = [Item(item_id="1", title="a", columns={"year": 1990}), Item(item_id="2")]
    print_table(asked(describe=("1", "2")), items)
    assert cells(capsys.readouterr().out) == [["1", "a", "1990"], ["2", "", ""]]
