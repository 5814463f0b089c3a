"""A seeded generator of small data sets whose right answer is known.

Every user and every item has one of a few tastes. Users choose items of their taste
and rate them 4 or 5, and rate a few others 1 or 2. The words of an item's title tell
its taste, and nothing else in its row does: genres and year are noise. After an item
usually comes its successor, so that the order of a history matters. Some items have
no event before the test part: only their text tells who will like them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.planted.events import planted_events
from data.planted.tiny_bert import write_tiny_bert
from data.planted.truth import Plan, Planted

__all__ = ["Plan", "Planted", "write_planted", "write_tiny_bert"]

TASTE_WORDS, NEUTRAL_WORDS = 12, 24
REGION_SHARE = 0.8
GENRES = ("drama", "comedy", "science fiction", "noir", "kids")
REGIONS = ("north", "south", "east", "west")
# What breaks readers that split at commas, strip, take ids for numbers or for ASCII.
ODD_IDS = (
    *("{n:04d}", "{kind} {n}", '{kind} "{n}"'),
    *("O'{kind}, {n}", "{kind}ü{n}", "星{n}"),
)
CONSONANTS, VOWELS, NEUTRAL_VOWELS = "bdfgklmnprstvz", "aeiou", "aéiöu"

TOML = """\
# A planted data set: its right answer is known, see data/planted/.

[data.interactions]
path = "interactions.csv"

[data.interactions.columns]
user_id = { role = "user_id" }
item_id = { role = "item_id" }
rating = { role = "label" }
timestamp = { role = "time" }
device = { role = "context", kind = "categorical" }

[data.items]
path = "items.csv"

[data.items.columns]
item_id = { role = "item_id" }
title = { kind = "text", title = true }
blurb = { kind = "text" }
genres = { kind = "multi_categorical", separator = "|", display = true }
year = { kind = "numeric", display = true }
available = { role = "available" }

[data.users]
path = "users.csv"

[data.users.columns]
user_id = { role = "user_id" }
region = { kind = "categorical" }

[data.label]
positive = ">= 4"

[data.split]
kind = "temporal"
validation = 0.1
test = 0.1
"""


def write_planted(folder: Path, *, extra_toml: str = "", **plan: Any) -> Planted:
    """Write tables and a TOML that describes them, `planted.toml`.

    In: `extra_toml`: appended as it is, such as the trainer's tables; `plan`: the
    fields of `Plan`. Out: the truth. Equal plans write equal bytes.
    """
    planned = Plan(**plan)
    rng = np.random.default_rng(planned.seed)
    truth = _truth(planned, folder, rng)
    tables = {
        "items": _items(truth, rng),
        "users": _users(truth, rng),
        "interactions": planted_events(truth, rng),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    truth.toml.write_text(TOML + extra_toml, encoding="utf-8")
    return truth


def _truth(plan: Plan, folder: Path, rng: np.random.Generator) -> Planted:
    items, users = _ids("item", plan.num_items), _ids("user", plan.num_users)
    item_taste = _tastes(items, plan, rng)
    cold, rings = _parted_items(item_taste, plan, rng)
    successor = {ring[n - 1]: item for ring in rings for n, item in enumerate(ring)}
    words = _words(plan.num_tastes * TASTE_WORDS, VOWELS, rng)
    silent, late, bare = np.cumsum(
        [plan.num_silent_users, plan.num_late_users, plan.num_bare_users]
    )
    few = rng.permutation(users).tolist()
    return Planted(
        plan=plan,
        folder=folder,
        toml=folder / "planted.toml",
        user_taste=_tastes(users, plan, rng),
        item_taste=item_taste,
        successor=successor,
        silent_items=frozenset(cold[::3]),
        late_items=frozenset(cold) - frozenset(cold[::3]),
        better_items=frozenset(items[::2]),
        unavailable=frozenset(ring[0] for ring in rings),
        silent_users=frozenset(few[:silent]),
        late_users=frozenset(few[silent:late]),
        bare_users=frozenset(few[late:bare]),
        words=tuple(tuple(words[i :: plan.num_tastes]) for i in range(plan.num_tastes)),
        neutral_words=tuple(_words(NEUTRAL_WORDS, NEUTRAL_VOWELS, rng)),
    )


def _ids(kind: str, count: int) -> list[str]:
    return [ODD_IDS[n % len(ODD_IDS)].format(kind=kind, n=n) for n in range(count)]


def _tastes(ids: Sequence[str], plan: Plan, rng: np.random.Generator) -> dict[str, int]:
    tastes = rng.permutation(np.arange(len(ids)) % plan.num_tastes)
    return dict(zip(ids, tastes.tolist(), strict=True))


def _parted_items(
    item_taste: dict[str, int], plan: Plan, rng: np.random.Generator
) -> tuple[list[str], list[list[str]]]:
    num_cold = round(plan.num_items * plan.cold_share / plan.num_tastes)
    cold, rings = [], []
    for taste in range(plan.num_tastes):
        own = [item for item, t in item_taste.items() if t == taste]
        shuffled = rng.permutation(own).tolist()
        cold += shuffled[:num_cold]
        rings.append(shuffled[num_cold:])
    return cold, rings


def _words(count: int, vowels: str, rng: np.random.Generator) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = rng.integers(2, 4)
        letters = [
            letter
            for _ in range(syllables)
            for letter in (rng.choice(list(CONSONANTS)), rng.choice(list(vowels)))
        ]
        words["".join(letters)] = None
    return list(words)


def _items(truth: Planted, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for item, taste in truth.item_taste.items():
        own = rng.choice(truth.words[taste], 3, replace=False)
        neutral = rng.choice(truth.neutral_words, 3, replace=False)
        genres = rng.choice(GENRES, rng.integers(0, 4), replace=False)
        rows.append(
            {
                "item_id": item,
                "title": f"{own[0]} {neutral[0]}, {own[1]}".title(),
                # Some have no second text: titles alone must do.
                "blurb": f"{neutral[1]} {own[2]} {neutral[2]}" * (rng.random() < 0.7),
                "genres": "|".join(genres),
                "year": rng.integers(1950, 2020) if rng.random() < 0.9 else "",
                "available": "no" if item in truth.unavailable else "yes",
            }
        )
    return pd.DataFrame(rows)


def _users(truth: Planted, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for user, taste in truth.user_taste.items():
        told = rng.random() < REGION_SHARE
        region = REGIONS[(taste if told else rng.integers(4)) % len(REGIONS)]
        if user not in truth.bare_users:
            rows.append({"user_id": user, "region": region})
    return pd.DataFrame(rows)
