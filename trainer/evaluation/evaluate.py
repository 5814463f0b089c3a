"""Measures models and baselines by one protocol and tells them apart.

Every scorer answers the same queries over the whole catalogue, what the user had
met and what cannot be served removed, ties against it. Means over the queries come
with 95 % intervals, and each of our models is compared with each baseline, and the
later stage with the earlier, by the paired difference. Relevant items without a
training event are told apart from those with one.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from data.console import progress
from data.errors import DataError
from data.events import TRAIN
from data.queries import PART_NAMES, Queries
from trainer.config import BASELINES
from trainer.evaluation import metrics, ranks
from trainer.evaluation.bootstrap import RESAMPLES, bootstrap
from trainer.evaluation.heads import HeadAnswers, head_intervals
from trainer.evaluation.metrics import KS, EvaluationData, Scorer, accuracy
from trainer.evaluation.ranks import Ranks
from trainer.evaluation.results import (
    Asked,
    Comparison,
    Evaluation,
    Measured,
    main_metrics,
    other_targets,
    short_k,
)

BATCH_QUERIES = 256
BATCH_SCORES = 1 << 25  # 128 MB of float32, whatever the size of the catalogue.


def evaluate(
    prepared: EvaluationData,
    part: int,
    scorers: Mapping[str, Scorer],
    *,
    ks: Sequence[int] = KS,
    baselines: Collection[str] = BASELINES,
    compared: Sequence[str] = (),
    item_vectors: np.ndarray | None = None,
    skipped: Mapping[str, str] | None = None,
    heads: Mapping[str, HeadAnswers] | None = None,
    split: str = "",
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Measure scorers on VALIDATION or TEST.

    In: `scorers`: by name, fitted on the training part. `baselines`: which names are
    baselines. `compared`: metrics of the paired differences; NDCG at the short k and
    recall at the long one if empty. `item_vectors`: (items + 1, d), for diversity.
    `skipped`: baselines that were not fitted, and why. `heads`: what the ranking
    model's heads said. `split`: how the events were parted, a sentence.
    Raises: DataError when the part has no query.
    """
    queries, apart = check_queries(prepared, part), _apart(prepared, part)
    measured = {}
    for name, scorer in scorers.items():
        with progress(f"evaluate {name}", len(queries) + len(apart)) as advance:
            found = measure(
                prepared,
                queries,
                scorer,
                ks=ks,
                name=name,
                item_vectors=item_vectors,
                advance=advance,
            )
            ranked = rank_only(prepared, apart, scorer, name, advance)
            measured[name] = dataclasses.replace(found, apart=ranked)
    evaluation = Evaluation(
        part=PART_NAMES[part],
        split=split,
        by_time=prepared.cut(part) is not None,
        headline=prepared.headline_targets,
        asked=Asked.of(queries),
        apart=Asked.of(apart),
        ks=tuple(ks),
        models=measured,
        baselines=tuple(name for name in scorers if name in baselines),
        comparisons=(),
        skipped=dict(skipped or {}),
        counts=_counts(prepared, queries),
        popularity=prepared.events.through(TRAIN).item_counts(prepared.num_items),
        chosen=_count(queries.relevant, prepared.num_items),
        servable=prepared.servable,
        heads=dict(heads or {}),
        seed=seed,
        resamples=resamples,
    )
    return _with_intervals(evaluation, compared)


def check_queries(prepared: EvaluationData, part: int) -> Queries:
    """Return a part's queries. Raises: DataError when there is none."""
    queries = prepared.queries(part)
    if len(queries) == 0:
        raise DataError(
            f"{PART_NAMES[part]}: no user with an earlier event and a new positive "
            f"({queries.num_cold_users} users without an earlier one, "
            f"{queries.num_cold_items} new positives without a training event), "
            "expected at least one. By time: take larger shares in [data.split]; "
            "leave_one_out asks about users with three events or more."
        )
    return queries


def _apart(prepared: EvaluationData, part: int) -> Queries:
    """Return the queries for the relevant items that the split is not about."""
    return prepared.queries(part, other_targets(prepared.headline_targets))


def pooled(found: Sequence[Evaluation], compared: Sequence[str] = ()) -> Evaluation:
    """Put evaluations of several folds together, what one user asked in all of them.

    Counts and lists add up; what is said of all lists together is the folds' mean.
    """
    if len(found) == 1:
        return found[0]
    last = found[-1]
    names = [n for n in last.models if all(n in one.models for one in found)]
    models = {name: _pooled([one.models[name] for one in found]) for name in names}
    asked = Asked.joined([one.asked for one in found])
    counts = {n: sum(one.counts[n] for one in found) for n in last.counts}
    counts |= {n: last.counts[n] for n in ("items", "servable")}
    counts["users"] = len(np.unique(asked.users))
    whole = dataclasses.replace(
        last,
        models=models,
        asked=asked,
        apart=Asked.joined([one.apart for one in found]),
        counts=counts,
        chosen=sum(one.chosen for one in found),  # type: ignore[arg-type]
        heads={
            head: HeadAnswers.joined([one.heads[head] for one in found])
            for head in last.heads
            if all(head in one.heads for one in found)
        },
    )
    return _with_intervals(whole, compared)


def _pooled(folds: Sequence[Measured]) -> Measured:
    last = folds[-1]
    return Measured(
        per_query={
            metric: np.concatenate([one.per_query[metric] for one in folds])
            for metric in last.per_query
        },
        ranks=Ranks.joined([one.ranks for one in folds]),
        apart=Ranks.joined([one.apart for one in folds]),
        exposure=sum(one.exposure for one in folds),  # type: ignore[arg-type]
        totals={
            metric: float(np.mean([one.totals[metric] for one in folds]))
            for metric in last.totals
        },
    )


def _counts(prepared: EvaluationData, queries: Queries) -> dict[str, int]:
    return {
        "queries": len(queries),
        "users": len(np.unique(queries.users)),
        "relevant": sum(map(len, queries.relevant)),
        "cold_users": queries.num_cold_users,
        "cold_items": queries.num_cold_items,
        "items": prepared.num_items,
        "servable": int(prepared.servable.sum()),
    }


def _count(items: Sequence[np.ndarray], num_items: int) -> np.ndarray:
    return np.bincount(np.concatenate(items), minlength=num_items + 1)


def _with_intervals(found: Evaluation, compared: Sequence[str]) -> Evaluation:
    compared = compared or main_metrics(found.ks)
    draws = {"seed": found.seed, "resamples": found.resamples}
    columns = {
        (name, metric): values
        for name, measured in found.models.items()
        for metric, values in measured.per_query.items()
    }
    pairs = {
        (metric, model, other): columns[model, metric] - columns[other, metric]
        for metric in compared
        for model, other in _pairs(found)
    }
    # One call, so that means and differences rest on the same draws.
    bounds = bootstrap({**columns, **pairs}, found.asked.users, **draws)
    apart = {
        (name, metric): values
        for name, measured in found.models.items()
        for metric, values in accuracy(measured.apart, found.ks).items()
    }
    others = bootstrap(apart, found.apart.users, **draws) if len(found.apart) else {}
    models = {
        name: dataclasses.replace(
            measured,
            intervals={m: bounds[name, m] for m in measured.per_query},
            apart_intervals={m: others[n, m] for n, m in others if n == name},
        )
        for name, measured in found.models.items()
    }
    comparisons = tuple(
        Comparison(metric=m, model=o, baseline=b, difference=bounds[m, o, b])
        for m, o, b in pairs
    )
    return dataclasses.replace(
        found,
        models=models,
        comparisons=comparisons,
        head_intervals=head_intervals(found.heads, **draws),
    )


def _pairs(found: Evaluation) -> list[tuple[str, str]]:
    """Return who is compared: ours with each baseline, then our later with earlier."""
    pairs = [(model, other) for model in found.ours for other in found.baselines]
    return pairs + [(b, a) for a, b in combinations(found.ours, 2)]


def masked_scores(
    prepared: EvaluationData, queries: Queries, scorer: Scorer, name: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places in the queries and the candidates' scores, a batch at a time.

    Out: int64 (b,) and float32 (b, items + 1), -inf for what is no candidate.
    Raises: ValueError when the scorer's have another shape or are NaN.
    """
    num_columns = prepared.num_items + 1
    step = min(BATCH_QUERIES, max(BATCH_SCORES // num_columns, 1))
    for first in range(0, len(queries), step):
        rows = np.arange(first, min(first + step, len(queries)))
        scores = _checked(scorer(queries, rows), (len(rows), num_columns), name)
        seen = [queries.seen[row] for row in rows]
        yield rows, ranks.mask(scores, prepared.servable, seen)


def mean_ndcg_of(
    prepared: EvaluationData, queries: Queries, scorer: Scorer, name: str, k: int = 10
) -> float:
    """Return the mean NDCG@k of a scorer's answers, 0 without a query."""
    total = 0.0
    for rows, scores in masked_scores(prepared, queries, scorer, name):
        relevant = [queries.relevant[row] for row in rows]
        found = ranks.ranks_of_relevant(scores, relevant)
        total += float(metrics.accuracy(found, [k])[f"ndcg@{k}"].sum())
    return total / max(len(queries), 1)


def measure(
    prepared: EvaluationData,
    queries: Queries,
    scorer: Scorer,
    *,
    ks: Sequence[int] = KS,
    name: str = "scorer",
    item_vectors: np.ndarray | None = None,
    advance: Callable[[float], None] | None = None,
) -> Measured:
    """Let one scorer answer all queries; `intervals` stays empty."""
    num_columns = prepared.num_items + 1
    information = _information(prepared)
    exposure = {k: np.zeros(num_columns, np.int64) for k in ks}
    batches: list[dict[str, np.ndarray]] = []
    ranked: list[Ranks] = []
    for rows, scores in masked_scores(prepared, queries, scorer, name):
        ranked.append(_ranks(queries, rows, scores))
        batch = accuracy(ranked[-1], ks)
        best = ranks.top_k(scores, max(ks))
        for k in ks:
            batch[f"novelty@{k}"] = metrics.novelty(best[:, :k], information)
            if item_vectors is not None:
                batch[f"diversity@{k}"] = metrics.diversity(best[:, :k], item_vectors)
            exposure[k] += np.bincount(best[:, :k].ravel(), minlength=num_columns)
        batches.append(batch)
        if advance is not None:
            advance(len(rows))
    return Measured(
        per_query={m: np.concatenate([b[m] for b in batches]) for m in batches[0]},
        ranks=Ranks.joined(ranked),
        exposure=np.where(prepared.servable, exposure[short_k(ks)], 0),
        totals=_totals(exposure, prepared.servable),
    )


def rank_only(
    prepared: EvaluationData,
    queries: Queries,
    scorer: Scorer,
    name: str,
    advance: Callable[[float], None] | None = None,
) -> Ranks:
    """Let one scorer answer queries; only where the relevant items stand is kept."""
    found = []
    for rows, scores in masked_scores(prepared, queries, scorer, name):
        found.append(_ranks(queries, rows, scores))
        if advance is not None:
            advance(len(rows))
    return Ranks.joined(found)


def _ranks(queries: Queries, rows: np.ndarray, scores: np.ndarray) -> Ranks:
    return ranks.ranks_of_relevant(scores, [queries.relevant[row] for row in rows])


def _information(prepared: EvaluationData) -> np.ndarray:
    log = prepared.events.through(TRAIN)
    width = prepared.num_items + 1
    pairs = np.unique(log.user.astype(np.int64) * width + log.item)
    users_of_item = np.bincount(pairs % width, minlength=width)
    return metrics.self_information(users_of_item, len(np.unique(log.user)))


def _totals(exposure: dict[int, np.ndarray], servable: np.ndarray) -> dict[str, float]:
    totals = {}
    for k, counts in exposure.items():
        totals[f"coverage@{k}"] = float((counts[servable] > 0).mean())
        totals[f"gini@{k}"] = metrics.gini(counts[servable])
    return totals


def _checked(scores: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    if scores.shape != shape:
        raise ValueError(f"{name}: scores of shape {scores.shape}, expected {shape}")
    if np.isnan(scores).any():
        raise ValueError(f"{name}: {np.isnan(scores).sum()} scores are NaN")
    return scores
