"""The ranking model's examples: what the retrieval stage would have shown then.

A request of the newest part of the training data is answered by a retrieval model that
was fitted on earlier events only. Its candidates are what the user met afterwards,
retrieved or not, and negatives, most of them from that model's first answers.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from data.console import progress
from data.events import TEST, VALIDATION, EventLog
from data.features import DAY_S
from data.prepared import Prepared
from trainer.config import RankingConfig
from trainer.evaluation.scorers import RetrievalScorer
from trainer.fitting.asked import (
    Asked,
    later_events,
    next_events,
    shown_only,
)
from trainer.inputs.affinity import Affinity
from trainer.inputs.requests import RankingInputs, Requests

CHUNK = 512


@dataclass(frozen=True)
class Source:
    """A retrieval model and the time before which all events of its fit lie.

    Whatever its scorer counts, the trend of the examples is that of their log.

    It makes examples of requests from `cut` to before `end`, Unix seconds, which know
    nothing from `end` on. `affinity`: fitted to the same events as the model.
    `horizon_s`: what is liked so long after a request is the answer; 0 asks for the
    next event alone.
    """

    scorer: RetrievalScorer
    affinity: Affinity
    cut: int
    end: int
    horizon_s: int = 0


@dataclass(frozen=True)
class Examples:
    """Examples as columns with one first dimension, and where they come from.

    `user` int32 (n,); `item` int32 (n, c), first what was met afterwards; `history`
    int32 (n, l); `time`, `last_time` int64 (n,); `user_statistics` (n, s),
    `item_statistics` (n, c, s), `standing` (n, c, p), `affinity`, `like`, `weight`,
    `stands_for`, `rating`, `rating_weight` float32 (n, c); `context.name` codes.
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


def horizon_of(prepared: Prepared, config: RankingConfig) -> int:
    """Return how long after a request what is liked counts, in seconds.

    0 is the next event alone.
    """
    begin, end = prepared.cut(VALIDATION), prepared.cut(TEST)
    by_time = begin is not None and end is not None
    if config.answers == "next" or (config.answers == "auto" and not by_time):
        return 0
    if config.horizon_days:
        return max(int(config.horizon_days * DAY_S), 1)
    span = prepared.end_time - int(prepared.events.time.min())
    return end - begin if begin is not None and end is not None else span


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
    # Without times a count of all events would hold the examples' own answers.
    counted = log if prepared.time_is_known else log.earlier_than(source.cut)
    inputs = RankingInputs.of(prepared, log, source.affinity, counted=counted)
    source = replace(source, scorer=source.scorer.counting(prepared, counted))
    rng = np.random.default_rng((seed, source.cut))
    asked = _asked(prepared, log, source, config, rng)
    chunks = []
    with progress("Choosing negatives from the index", len(asked)) as advance:
        for start in range(0, len(asked), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(asked)))
            chunks.append(_candidates(inputs, source, config, asked.where(rows), rng))
            advance(len(rows))
    columns = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    from_index = int(columns.pop("num_from_index").sum())
    at_random = int(columns.pop("num_random").sum())
    facts = {
        "examples": len(asked),
        "likes": int((columns["like"] * (columns["weight"] > 0)).sum()),
        "retrieval_cut": source.cut,
        "first_example_time": int(asked.time.min()),
        "negatives_from_index": from_index,
        "negatives_at_random": at_random,
        "share_from_index": from_index / max(from_index + at_random, 1),
    }
    return Examples(columns, facts)


def _asked(
    prepared: Prepared,
    log: EventLog,
    source: Source,
    config: RankingConfig,
    rng: np.random.Generator,
) -> Asked:
    begin, end = source.cut, source.end
    shown = shown_only(prepared, log, begin, end)
    asked = None
    if source.horizon_s:
        asked = later_events(log, begin, end, source.horizon_s, config, rng)
    if asked is None or len(asked) == 0:
        places = np.flatnonzero((log.time >= begin) & (log.time < end))
        if len(places) > config.max_examples:
            places = np.sort(rng.choice(places, config.max_examples, replace=False))
        asked = next_events(log, places)
    elif len(asked) > config.max_examples:
        kept = rng.choice(len(asked), config.max_examples, replace=False)
        asked = asked.where(np.sort(kept))
    return Asked.joined([asked, shown]) if len(shown) else asked


def _candidates(
    inputs: RankingInputs,
    source: Source,
    config: RankingConfig,
    asked: Asked,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    log, length = inputs.log, source.scorer.length
    requests = Requests.of(log, asked.user, asked.count, asked.time, length)
    scores, cosines = source.scorer.both(requests)
    allowed = np.broadcast_to(inputs.prepared.servable, scores.shape).copy()
    everything = log.user_counts()[asked.user]
    met = log.places_between(asked.user, np.zeros_like(everything), everything)
    allowed[met[0], log.item[met[1]]] = False
    np.put_along_axis(allowed, asked.item, False, axis=1)  # Impressions are in no log.
    near = _from_index(scores, allowed, config, rng)
    far = _at_random(allowed, config.random_negatives, rng)
    item = np.concatenate([asked.item, near, far], axis=1).astype(np.int32)
    blank = np.zeros((len(asked), near.shape[1] + far.shape[1]), np.float32)
    weight = (item > 0).astype(np.float32)
    weight[:, : asked.item.shape[1]] = asked.weight
    columns = {
        "item": item,
        "like": np.concatenate([asked.like, blank], axis=1, dtype=np.float32),
        "weight": weight,
        "stands_for": _stands_for(asked.item, near, far, allowed, config),
        "rating": np.concatenate([np.nan_to_num(asked.label), blank], axis=1),
        "rating_weight": np.concatenate([asked.rated, blank], axis=1),
        "num_from_index": (near > 0).sum(axis=1),
        "num_random": (far > 0).sum(axis=1),
        **{f"context.{n}": codes for n, codes in asked.context.items()},
    }
    return columns | inputs.columns(requests, item, scores, cosines)


def _stands_for(
    met: np.ndarray,
    near: np.ndarray,
    far: np.ndarray,
    allowed: np.ndarray,
    config: RankingConfig,
) -> np.ndarray:
    """Return how many items each candidate stands for, a near negative for one.

    What was met is all there and stands for itself; negatives are a few of many.
    Otherwise retrieval's first answers would be the only thing that is never liked,
    and the model would learn to turn its order round. Out: float32 (b, c).
    """
    number = allowed.sum(axis=1)
    first = np.minimum(number, config.candidates)
    of_near = np.maximum(first / np.maximum((near > 0).sum(axis=1), 1), 1)
    of_far = np.maximum((number - first) / np.maximum((far > 0).sum(axis=1), 1), 1)
    widths = [part.shape[1] for part in (met, near, far)]
    shares = np.stack([1 / of_near, np.ones(len(met)), of_far / of_near], axis=1)
    return np.repeat(shares, widths, axis=1).astype(np.float32)


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
