"""The gate: whether a candidate may take the champion's place, and why.

Pure arithmetic on what `evaluate` has measured, so that a decision can be made again
from its record.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data.schema import as_table
from trainer.config import GateConfig
from trainer.evaluation.results import title
from trainer.retrain.steps import PASSED, REFUSED

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Check:
    """One condition: what was found, what was demanded, and both as a sentence."""

    name: str
    value: float | None
    bound: float | None
    passed: bool
    says: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict with all that led to it.

    `standing`: the candidate's metric as a multiple of the first champion's, each
    step of the chain a paired comparison on one window.
    """

    verdict: str
    reason: str
    checks: tuple[Check, ...]
    figures: Mapping[str, Any]
    thresholds: Mapping[str, Any]
    standing: float

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"format": FORMAT, **as_table(self)}


def decide(
    figures: Mapping[str, Any], config: GateConfig, *, standing: float = 1.0
) -> Decision:
    """Judge a candidate.

    In: `figures`: of `evaluate`: `users`; `candidate`, the interval of the metric;
    `champion` and `difference` likewise, None without one; `baseline` the paired
    difference to the floor's, None if it was not measured; `guards`, by name the
    candidate's and the champion's numbers; `cold`, the paired difference of recall.
    `data_refused`, `refused`: why the data or the export were, `answers_known`: how
    many answers the champion had seen. `standing`: the champion's, see `Decision`.
    """
    after = _standing_after(figures, standing)
    checks = (
        *_honest(figures),
        *_floors(figures, config),
        *_against_champion(figures, config, after),
        *_guards(figures, config),
    )
    failed = [check for check in checks if not check.passed]
    if failed:
        more = len(failed) - 1
        others = f" ({more} other check{'s'[: more != 1]} failed too)" if more else ""
        reason = f"{failed[0].says}{others}."
    else:
        reason = _why_promoted(figures, config)
    return Decision(
        verdict=REFUSED if failed else PASSED,
        reason=reason[0].upper() + reason[1:],
        checks=checks,
        figures=dict(figures),
        thresholds=as_table(config),
        standing=after,
    )


def _standing_after(figures: Mapping[str, Any], standing: float) -> float:
    if not figures["champion"]:
        return 1.0
    step = 1 + _relative(figures, "mean")
    # From nothing no multiple is told: the chain goes on from where it was.
    return standing * step if math.isfinite(step) else standing


def _why_promoted(figures: Mapping[str, Any], config: GateConfig) -> str:
    mean, name = figures["candidate"]["mean"], title(config.metric)
    if not figures["champion"]:
        return f"no champion yet, and {name} {mean:.4f} is above all floors."
    low, high = _relative(figures, "low"), _relative(figures, "high")
    return (
        f"{name} is {mean:.4f} against the champion's "
        f"{figures['champion']['mean']:.4f}, a difference of {low:+.1%} to {high:+.1%} "
        f"over {figures['users']:,} users, above the margin of {config.margin:+.1%}."
    )


def _relative(figures: Mapping[str, Any], bound: str) -> float:
    """Return a bound of the difference as a share of the champion's mean."""
    value, mean = figures["difference"][bound], figures["champion"]["mean"]
    if value is None:
        return -math.inf if bound == "low" else math.inf
    if mean <= 0:
        return 0.0 if value == 0 else math.copysign(math.inf, value)
    return float(value / mean)


def _honest(figures: Mapping[str, Any]) -> Iterator[Check]:
    """Check what must hold before any number counts."""
    data, graph = figures.get("data_refused", ""), figures.get("refused", "")
    known = figures.get("answers_known", 0)
    yield Check(
        name="data",
        value=None,
        bound=None,
        passed=not data,
        says=f"the new data were refused: {data.rstrip('.')}",
    )
    yield Check(
        name="fair",
        value=known,
        bound=0,
        passed=known == 0,
        says=f"{known:,} answers of the newest test window were known to the "
        "champion's fit, expected none: the new events are not newer than the old "
        "ones, or [data.split] is of a kind that no time parts",
    )
    yield Check(
        name="export",
        value=None,
        bound=None,
        passed=not graph,
        says=f"the candidate cannot be exported: {graph.rstrip('.')}",
    )


def _floors(figures: Mapping[str, Any], config: GateConfig) -> Iterator[Check]:
    users, mean = figures["users"], figures["candidate"]["mean"]
    name = title(config.metric)
    yield Check(
        name="users",
        value=users,
        bound=config.min_users,
        passed=users >= config.min_users,
        says=f"the newest test window asks for {users:,} users, expected at least "
        f"{config.min_users:,} ([gate] min_users)",
    )
    yield Check(
        name="floor",
        value=mean,
        bound=config.floor,
        passed=mean >= config.floor,
        says=f"{name} is {mean:.4f}, expected at least {config.floor:g} ([gate] floor)",
    )
    if config.floor_baseline and (found := figures.get("baseline")):
        high = found["high"] if found["high"] is not None else math.inf
        yield Check(
            name="floor_baseline",
            value=found["mean"],
            bound=0.0,
            passed=high >= 0,
            says=f"{config.floor_baseline} is better on {name} by "
            f"{-found['mean']:.4f}, for certain ([gate] floor_baseline)",
        )


def _against_champion(
    figures: Mapping[str, Any], config: GateConfig, standing: float
) -> Iterator[Check]:
    if not figures["champion"]:
        return
    low, mean = _relative(figures, "low"), _relative(figures, "mean")
    name = title(config.metric)
    yield Check(
        name="margin",
        value=_finite(low),
        bound=config.margin,
        passed=low > config.margin,
        says=f"{name} may be {-low:.1%} below the champion's (difference {mean:+.1%}, "
        f"lower bound {low:+.1%} over {figures['users']:,} users), expected above "
        f"{config.margin:+.1%} ([gate] margin)",
    )
    least = 1 + config.reference_margin
    yield Check(
        name="reference",
        value=_finite(standing),
        bound=least,
        passed=standing >= least,
        says=f"with all promotions since, {name} would be {standing:.1%} of the first "
        f"champion's, expected at least {least:.1%} ([gate] reference_margin)",
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _guards(figures: Mapping[str, Any], config: GateConfig) -> Iterator[Check]:
    guards = figures["guards"]
    yield from _kept(guards, "coverage", config.coverage_loss, "coverage_loss")
    yield from _kept(
        guards, "index_recall", config.index_recall_loss, "index_recall_loss"
    )
    yield from _at_most(guards, "latency_ms", config.latency_ratio, "latency_ratio")
    yield from _at_most(guards, "bytes", config.size_ratio, "size_ratio")
    cold = figures.get("cold")
    if cold and cold["champion"]:
        lost = -cold["difference"]["mean"] / cold["champion"]
        high = cold["difference"]["high"]
        sure = high is not None and high < 0
        yield Check(
            name="cold_recall",
            value=lost,
            bound=config.cold_recall_loss,
            passed=not (sure and lost > config.cold_recall_loss),
            says=f"recall of cold items fell by {lost:.1%}, for certain, expected at "
            f"most {config.cold_recall_loss:.1%} ([gate] cold_recall_loss)",
        )
    bounds = (
        ("latency_ms", config.max_latency_ms, "max_latency_ms"),
        ("bytes", float(config.max_bytes), "max_bytes"),
    )
    for name, bound, key in bounds:
        value = _of(guards, name, "candidate")
        if bound and value is not None:
            yield Check(
                name=key,
                value=value,
                bound=bound,
                passed=value <= bound,
                says=f"{WORDS[name]} is {value:,.4g}, expected at most {bound:,.4g} "
                f"([gate] {key})",
            )
    coverage = _of(guards, "coverage", "candidate")
    if config.min_coverage and coverage is not None:
        yield Check(
            name="min_coverage",
            value=coverage,
            bound=config.min_coverage,
            passed=coverage >= config.min_coverage,
            says=f"coverage is {coverage:.1%}, expected at least "
            f"{config.min_coverage:.1%} ([gate] min_coverage)",
        )


WORDS = {
    "coverage": "coverage",
    "index_recall": "the index's recall",
    "latency_ms": "one request's median in milliseconds",
    "bytes": "the servable's size in bytes",
}


def _of(guards: Mapping[str, Any], name: str, whose: str) -> float | None:
    value = guards.get(name, {}).get(whose)
    return None if value is None else float(value)


def _kept(
    guards: Mapping[str, Any], name: str, most: float, key: str
) -> Iterator[Check]:
    ours, theirs = _of(guards, name, "candidate"), _of(guards, name, "champion")
    if ours is None or not theirs:
        return
    lost = 1 - ours / theirs
    yield Check(
        name=name,
        value=lost,
        bound=most,
        passed=lost <= most,
        says=f"{WORDS[name]} fell from {theirs:.4g} to {ours:.4g}, by {lost:.1%}, "
        f"expected at most {most:.1%} ([gate] {key})",
    )


def _at_most(
    guards: Mapping[str, Any], name: str, most: float, key: str
) -> Iterator[Check]:
    ours, theirs = _of(guards, name, "candidate"), _of(guards, name, "champion")
    if ours is None or not theirs:
        return
    ratio = ours / theirs
    yield Check(
        name=name,
        value=ratio,
        bound=most,
        passed=ratio <= most,
        says=f"{WORDS[name]} rose from {theirs:,.4g} to {ours:,.4g}, {ratio:.2f} "
        f"times, expected at most {most:g} ([gate] {key})",
    )
