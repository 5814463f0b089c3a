"""What the exported servables are asked, by name."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.events import TEST
from tests.integration.support import Calls, EvaluatedJob

NOBODY = "nobody at all"
MANY = 150  # More than there are items.
SERVABLES = ("recommender", "retrieval")


def users_of_the_test_part(job: EvaluatedJob) -> list[str]:
    """List the users of the test part's queries."""
    return list(job.prepared.user_ids[job.prepared.queries(TEST).users])


def warm_items(job: EvaluatedJob) -> list[str]:
    """List the items that have a successor: those with events to learn from."""
    return sorted(job.planted.successor)


def ordinary_user(job: EvaluatedJob) -> str:
    """Return a user of many events."""
    return users_of_the_test_part(job)[0]


def items_table(job: EvaluatedJob) -> pd.DataFrame:
    """Read the raw items by id."""
    return _read(job.planted.folder / "items.csv").set_index("item_id")


def with_history(
    users: list[str],
    history: list[list[str]] | None = None,
    exclude: list[list[str]] | None = None,
    k: int | list[int] = 10,
) -> dict[str, Any]:
    """Make the inputs of `with_history`; lists that are not given are padding."""
    none = [[""]] * len(users)
    return {
        "user_id": users,
        "history": none if history is None else history,
        "exclude": none if exclude is None else exclude,
        "k": [k] * len(users) if isinstance(k, int) else k,
    }


def with_context(users: list[str], **inputs: Any) -> dict[str, Any]:
    """Make the inputs of `with_context`; what is not given is unknown."""
    lists = {name: [[""]] * len(users) for name in ("boost", "bury")}
    rest = {"time": [0] * len(users), "device": [""] * len(users)}
    given = {n: inputs.pop(n) for n in list(inputs) if n in (*lists, *rest)}
    return {**with_history(users, **inputs), **lists, **rest, **given}


def add_calls(calls: Calls, job: EvaluatedJob) -> None:
    """Ask for everything that the tests look at."""
    for servable in SERVABLES:
        _add_lists(calls, job, servable)
        _add_refusals(calls, job, servable)
    _add_ranking(calls, job)
    _add_items(calls, job)
    everyone = list(job.prepared.user_ids[1:])
    inputs = with_history(everyone, k=MANY)
    calls.add("refitted/all", "refitted", "with_history", **inputs)


def _add_lists(calls: Calls, job: EvaluatedJob, servable: str) -> None:
    def add(name: str, signature: str, **inputs: Any) -> None:
        calls.add(f"{servable}/{name}", servable, signature, **inputs)

    users, user = users_of_the_test_part(job), ordinary_user(job)
    everyone = [*job.prepared.user_ids[1:], NOBODY, ""]
    add("default", "serving_default", user_id=users)
    add("one", "serving_default", user_id=[user])
    add("k 50", "with_history", **with_history(users, k=50))
    add("k 50 of one", "with_history", **with_history([user], k=50))
    add("everything", "with_history", **with_history(everyone, k=MANY))
    add("strangers", "serving_default", user_id=[NOBODY, ""])
    add("nobody", "serving_default", user_id=[])
    widths = with_history([user, user], k=[3, 7])
    add("two widths", "with_history", **widths)
    warm = warm_items(job)
    after_one = with_history([NOBODY] * len(warm), history=[[i] for i in warm])
    add("after one", "with_history", **after_one)
    histories = {
        "unknown ids": ["no such item", "nor this"],
        "empty": ["", ""],
        "known": [warm[0], warm[1]],
        "padded": ["", warm[0], "", warm[1], ""],
        "with unknown": ["no such item", warm[0], warm[1]],
        "repeated": [warm[0], warm[0], warm[1], warm[1], warm[1]],
        "once": [warm[0], warm[1]],
        "long": [*warm[:30], *warm[:2]],
        "its end": [*warm[12:30], *warm[:2]],
    }
    for name, history in histories.items():
        inputs = with_history([user, NOBODY], history=[history, history])
        add(f"history {name}", "with_history", **inputs)
    own = [own_history(job, u) for u in users]
    add("own history", "with_history", **with_history(users, history=own))
    backwards = [[*filter(None, reversed(h))] for h in own]
    backwards = [
        [*h, *[""] * (len(o) - len(h))] for h, o in zip(backwards, own, strict=True)
    ]
    add("backwards", "with_history", **with_history(users, history=backwards))
    half = list(job.prepared.item_ids[1::2])
    ids = [*half, half[0], "", "no such item"]
    excluded = with_history([user, NOBODY], exclude=[ids, ids], k=MANY)
    add("exclude", "with_history", **excluded)
    all_ids = list(job.prepared.item_ids[1:])
    nothing = with_history([user, NOBODY], exclude=[all_ids, all_ids])
    add("exclude all", "with_history", **nothing)
    add("context", "with_context", **with_context([user, NOBODY]))
    add("no context", "with_history", **with_history([user, NOBODY]))
    shown = with_context(users[:8], k=50, device=["tv"] * 8)
    add("tv", "with_context", **shown)
    shown = with_context(users[:8], k=50, device=["no such device"] * 8)
    add("unknown device", "with_context", **shown)
    unseen = open_items(job, user)
    lists = {
        "boost": [[unseen[-1], unseen[5], unseen[-1], "no such item"]] * 2,
        "bury": [[unseen[0], unseen[1]]] * 2,
    }
    for name, value in lists.items():
        inputs = with_context([user, NOBODY], k=MANY, **{name: value})
        add(name, "with_context", **inputs)
    both = with_context([user], boost=[unseen[:2]], bury=[unseen[:1]])
    add("boost and bury", "with_context", **both)
    met = [seen_items(job, user)[0], next(iter(sorted(job.planted.unavailable)))]
    add("boost the forbidden", "with_context", **with_context([user], boost=[met]))


def _add_refusals(calls: Calls, job: EvaluatedJob, servable: str) -> None:
    user = ordinary_user(job)
    bad = {
        "k 0": with_history([user], k=0),
        "k -1": with_history([user, user], k=[10, -1]),
        "k 151": with_history([user, user], k=[10, 151]),
        "rows of history": {**with_history([user, user]), "history": [[""]]},
        "rows of exclude": {**with_history([user]), "exclude": [[""], [""]]},
        "rows of k": {**with_history([user, user]), "k": [10]},
    }
    for name, inputs in bad.items():
        calls.add(f"{servable}/{name}", servable, "with_history", **inputs)
    for name in ("time", "device", "boost", "bury"):
        inputs = with_context([user, user])
        inputs[name] = inputs[name][:1]
        calls.add(f"{servable}/rows of {name}", servable, "with_context", **inputs)


def _add_ranking(calls: Calls, job: EvaluatedJob) -> None:
    users, items = users_of_the_test_part(job), warm_items(job)
    add = calls.add
    row = [items] * len(users)
    add("ranking", "ranking", "serving_default", user_id=users, item_id=row)
    inputs = {"user_id": users[:1], "item_id": [items]}
    add("ranking one", "ranking", "serving_default", **inputs)
    some = [items[0], "no such item", "", items[1]]
    inputs = {"user_id": [users[0], NOBODY], "item_id": [some, some]}
    add("ranking unknown", "ranking", "serving_default", **inputs)
    inputs["history"] = [["", "no such item"]] * 2
    add("ranking history of none", "ranking", "with_history", **inputs)
    liked = [[i for i in items if job.planted.item_taste[i] == 0][:5]]
    inputs = {"user_id": [NOBODY], "item_id": [items], "history": liked}
    add("ranking history", "ranking", "with_history", **inputs)
    inputs = {"user_id": users[:2], "item_id": [items]}
    add("ranking rows", "ranking", "serving_default", **inputs)
    inputs = {"user_id": users[:1], "item_id": [items], "history": [[""], [""]]}
    add("ranking rows of history", "ranking", "with_history", **inputs)


def _add_items(calls: Calls, job: EvaluatedJob) -> None:
    ids = list(job.prepared.item_ids[1:])
    some = [*ids[:3], "no such item", ""]
    calls.add("describe", "recommender", "describe", item_id=[some, some[::-1]])
    for servable in SERVABLES:
        inputs = {"item_id": [*ids, "no such item", ""]}
        calls.add(f"{servable}/similar", servable, "similar_items", **inputs)
    users = [*users_of_the_test_part(job), NOBODY]
    calls.add("embed_user", "retrieval", "embed_user", user_id=users)
    words = [" ".join(words) for words in job.planted.words]
    texts = [*words, "", "xyzzy!"]
    for servable in SERVABLES:
        calls.add(f"{servable}/search", servable, "search", text=[*texts, " \t"])
    calls.add("embed_text", "retrieval", "embed_text", text=texts)
    table = items_table(job).loc[ids]
    calls.add("embed_item", "retrieval", "embed_item", **item_columns(table))
    nothing = {"genres": [[""]], "year": [float("nan")], "title": [""], "blurb": [""]}
    calls.add("embed_item of nothing", "retrieval", "embed_item", **nothing)
    bare = item_columns(table) | {
        "genres": [[""]] * len(ids),
        "year": [float("nan")] * len(ids),
    }
    calls.add("embed_item of text", "retrieval", "embed_item", **bare)


def item_columns(table: Any) -> dict[str, list[Any]]:
    """Make the inputs of `embed_item` out of raw rows."""
    genres = [cell.split("|") for cell in table["genres"]]
    width = max(map(len, genres))
    return {
        "title": list(table["title"]),
        "blurb": list(table["blurb"]),
        "genres": [row + [""] * (width - len(row)) for row in genres],
        "year": [float(cell) if cell else float("nan") for cell in table["year"]],
    }


def own_history(job: EvaluatedJob, user: str, width: int = 20) -> list[str]:
    """List a user's newest events before the test part, oldest first, padded."""
    log = job.prepared.events
    row = list(job.prepared.user_ids).index(user)
    keep = (log.user == row) & (log.time < job.prepared.cut(TEST))
    newest = job.prepared.item_ids[log.item[keep][-width:]].tolist()
    return [*newest, *[""] * (width - len(newest))]


def seen_items(job: EvaluatedJob, user: str, *, ever: bool = False) -> list[str]:
    """List what a user met before the test part, or ever, from the raw table."""
    frame = _read(job.planted.folder / "interactions.csv")
    keep = frame["user_id"] == user
    if not ever:
        keep &= frame["timestamp"].astype(int) < job.prepared.cut(TEST)
    return sorted(set(frame.loc[keep, "item_id"]))


@functools.cache
def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, dtype=str)


def open_items(job: EvaluatedJob, user: str) -> list[str]:
    """List the servable items that a user had not met before the test part."""
    met = set(seen_items(job, user)) | job.planted.unavailable
    return [i for i in job.prepared.item_ids[1:] if i not in met]


def list_of(answer: dict[str, np.ndarray], row: int = 0) -> list[str]:
    """Return one answered list without its padding."""
    return [item for item in answer["item_id"][row].tolist() if item]
