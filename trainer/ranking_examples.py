"""The ranking model's examples: what the retrieval stage would have shown then.

Every event of the newest part of the training data is a request at its own time. Its
candidates are the event's item and negatives, most of them from the first answers of
a retrieval model that was fitted on earlier events only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from data.console import progress
from data.events import EventLog
from data.prepared import Prepared
from trainer.config import RankingConfig
from trainer.ranking_inputs import RankingInputs, Requests
from trainer.scorers import RetrievalScorer

CHUNK = 512


@dataclass(frozen=True)
class Source:
    """A retrieval model and the time before which all events of its fit lie.

    It makes examples of events from `cut` to before `end`, Unix seconds.
    """

    scorer: RetrievalScorer
    cut: int
    end: int


@dataclass(frozen=True)
class Examples:
    """Examples as columns with one first dimension, and where they come from.

    `user` int32 (n,); `item` int32 (n, c); `history` int32 (n, l); `time`,
    `last_time` int64 (n,); `user_statistics` (n, s), `item_statistics` (n, c, s),
    `retrieval_score`, `like`, `weight`, `rating`, `rating_weight` float32 (n, c);
    `context.name` codes.
    """

    columns: dict[str, np.ndarray]
    facts: dict[str, Any]

    @classmethod
    def joined(cls, parts: list["Examples"]) -> "Examples":
        """Put examples of several sources together."""
        columns = {
            name: np.concatenate([p.columns[name] for p in parts])
            for name in parts[0].columns
        }
        return cls(columns, {"sources": [p.facts for p in parts]})


def build_examples(
    prepared: Prepared,
    log: EventLog,
    source: Source,
    config: RankingConfig,
    seed: int,
) -> Examples:
    """Make the examples of a log's events in a source's time.

    In: `log`: all events that may be known, the examples' own included; items that a
    user meets anywhere in it are no negatives of that user.
    """
    places = np.flatnonzero((log.time >= source.cut) & (log.time < source.end))
    inputs = RankingInputs.of(prepared, log)
    rng = np.random.default_rng((seed, source.cut))
    if len(places) > config.max_examples:
        places = np.sort(rng.choice(places, config.max_examples, replace=False))
    asked = _Asked.of(prepared, log, places, source)
    chunks = []
    with progress("Choosing negatives from the index", len(asked.user)) as advance:
        for start in range(0, len(asked.user), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(asked.user)))
            chunks.append(_candidates(inputs, source, config, asked, rows, rng))
            advance(len(rows))
    columns = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    from_index = int(columns.pop("num_from_index").sum())
    at_random = int(columns.pop("num_random").sum())
    facts = {
        "examples": len(asked.user),
        "retrieval_cut": source.cut,
        "first_example_time": int(asked.time.min()),
        "negatives_from_index": from_index,
        "negatives_at_random": at_random,
        "share_from_index": from_index / max(from_index + at_random, 1),
    }
    return Examples(columns, facts)


@dataclass(frozen=True)
class _Asked:
    """Requests to make examples of: events, and impressions that were not chosen."""

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    count: np.ndarray
    like: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    context: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, prepared: Prepared, log: EventLog, places: np.ndarray, source: Source
    ) -> "_Asked":
        shown = prepared.impressions
        keep = (shown["time"] >= source.cut) & (shown["time"] < source.end)
        user, item, time = (shown[n][keep] for n in ("user", "item", "time"))
        extra = len(user)
        context = {
            name: np.r_[codes[places], np.zeros((extra, *codes.shape[1:]), codes.dtype)]
            for name, codes in log.context.items()
        }
        return cls(
            user=np.r_[log.user[places], user],
            item=np.r_[log.item[places], item],
            time=np.r_[log.time[places], time],
            count=np.r_[log.before[places], log.counts_before(user, time)],
            like=np.r_[log.positive[places], np.zeros(extra, bool)],
            label=np.r_[log.label[places], np.full(extra, np.nan, np.float32)],
            weight=np.r_[log.weight[places], np.ones(extra, np.float32)],
            context=context,
        )


def _candidates(
    inputs: RankingInputs,
    source: Source,
    config: RankingConfig,
    asked: _Asked,
    rows: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    scorer, log, prepared = source.scorer, inputs.log, inputs.prepared
    user, time = asked.user[rows], asked.time[rows]
    count = asked.count[rows].astype(np.int64)
    requests = Requests.of(log, user, count, time, scorer.length)
    scores = scorer.scores(requests)
    allowed = np.broadcast_to(prepared.servable, scores.shape).copy()
    for i, u in enumerate(user):
        allowed[i, log.item[log.start[u] : log.start[u + 1]]] = False
    allowed[np.arange(len(rows)), asked.item[rows]] = False
    near = _from_index(scores, allowed, config, rng)
    far = _at_random(allowed, config.random_negatives, rng)
    item = np.concatenate([asked.item[rows, None], near, far], axis=1).astype(np.int32)
    usable = item > 0
    positive = np.zeros(item.shape, np.float32)
    positive[:, 0] = asked.like[rows]
    label = np.zeros(item.shape, np.float32)
    label[:, 0] = np.nan_to_num(asked.label[rows])
    rated = np.zeros(item.shape, np.float32)
    rated[:, 0] = np.isfinite(asked.label[rows]) * asked.weight[rows]
    weight = usable.astype(np.float32)
    weight[:, 0] = asked.weight[rows]
    score = np.take_along_axis(scores, item, axis=1)
    facts = {
        "num_from_index": (near > 0).sum(axis=1),
        "num_random": (far > 0).sum(axis=1),
    }
    columns = {"item": item, "like": positive, "weight": weight, **facts}
    columns |= {"rating": label, "rating_weight": rated, "retrieval_score": score}
    columns |= {f"context.{n}": codes[rows] for n, codes in asked.context.items()}
    return columns | inputs.columns(requests, item)


def _from_index(
    scores: np.ndarray,
    allowed: np.ndarray,
    config: RankingConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    masked = np.where(allowed, scores, -np.inf)
    width = min(config.candidates, scores.shape[1] - 1)
    top = np.argpartition(-masked, width - 1, axis=1)[:, :width]
    draw = rng.random(top.shape)
    draw[~np.isfinite(np.take_along_axis(masked, top, axis=1))] = np.inf
    chosen = np.argsort(draw, axis=1)[:, : config.index_negatives]
    items = np.take_along_axis(top, chosen, axis=1)
    items[~np.isfinite(np.take_along_axis(draw, chosen, axis=1))] = 0
    missing = config.index_negatives - items.shape[1]
    return np.pad(items, [(0, 0), (0, max(missing, 0))])


def _at_random(
    allowed: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    drawn = rng.integers(1, allowed.shape[1], (len(allowed), number))
    return np.where(np.take_along_axis(allowed, drawn, axis=1), drawn, 0)
