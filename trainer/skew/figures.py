"""What a comparison found, and whether that is within the tolerances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.schema import as_table
from trainer.config import SkewConfig

FORMAT = 1
QUANTILES = (0.5, 0.9, 0.99)


def share(found: Sequence[bool]) -> float | None:
    """Return the share that holds; None of nothing."""
    return float(np.mean(found)) if len(found) else None


@dataclass(frozen=True, kw_only=True)
class FeatureSkew:
    """One feature of some requests. What was not compared is None.

    `rows`: how many values were looked at; `mismatch`: the share that is not what
    training computes for the same request; `distance`, `chance`: how far their
    distribution lies from that of training's events, and how far chance alone would
    put it, 0 to 1; `unknown`, `unknown_before`: the share that no vocabulary has, and
    that share among the newest events of the data set.
    """

    name: str
    rows: int
    mismatch: float | None = None
    distance: float | None = None
    chance: float | None = None
    unknown: float | None = None
    unknown_before: float | None = None

    def problems(self, config: SkewConfig) -> Iterator[str]:
        """Yield what is beyond a tolerance, in words."""
        if self.mismatch is not None and self.mismatch > config.max_mismatch:
            yield (
                f"{self.name}: {self.mismatch:.1%} of {self.rows:,} values are not "
                f"what training computes, expected at most {config.max_mismatch:.1%} "
                "([skew] max_mismatch)"
            )
        if self.rows < config.min_rows:
            return
        if self.distance is not None and self.chance is not None:
            beyond = self.distance - self.chance
            if beyond > config.max_distance:
                yield (
                    f"{self.name}: distributed otherwise than in training by "
                    f"{self.distance:.2f}, of which chance gives {self.chance:.2f}; "
                    f"expected at most {config.max_distance:.2f} beyond it ([skew] "
                    "max_distance)"
                )
        if self.unknown is not None and self.unknown_before is not None:
            beyond = self.unknown - self.unknown_before
            if beyond > config.max_unknown:
                yield (
                    f"{self.name}: {self.unknown:.1%} of {self.rows:,} values are "
                    f"unknown, {self.unknown_before:.1%} in the newest events; "
                    f"expected at most {config.max_unknown:.1%} more ([skew] "
                    "max_unknown)"
                )


@dataclass(frozen=True, kw_only=True)
class ScoreSkew:
    """One output of some requests: how far the answers lie from what Python computes.

    `mismatch`: the share of scores that differ by more than the tolerance; `largest`
    and `quantiles` of the absolute differences.
    """

    name: str
    rows: int
    mismatch: float
    largest: float
    quantiles: dict[str, float]

    @classmethod
    def of(
        cls, name: str, served: np.ndarray, computed: np.ndarray, tolerance: float
    ) -> "ScoreSkew":
        """Compare. In: float32 (n,) each, n above 0."""
        apart = np.abs(served.astype(np.float64) - computed)
        apart = np.where(np.isfinite(apart), apart, np.inf)
        return cls(
            name=name,
            rows=len(apart),
            mismatch=float((apart > tolerance).mean()),
            largest=float(apart.max()),
            quantiles={
                f"{q:g}": float(np.quantile(apart, q, method="higher"))
                for q in QUANTILES
            },
        )

    def problems(self, config: SkewConfig) -> Iterator[str]:
        """Yield what is beyond a tolerance, in words."""
        if self.mismatch > config.max_mismatch:
            yield (
                f"{self.name}: {self.mismatch:.1%} of {self.rows:,} scores differ by "
                f"more than {config.max_score_difference:g} (the largest by "
                f"{self.largest:.3g}), expected at most {config.max_mismatch:.1%} "
                "([skew] max_mismatch, max_score_difference)"
            )


@dataclass(frozen=True, kw_only=True)
class Skew:
    """All that was found about the requests that one version answered."""

    version: int
    requests: int
    features: Sequence[FeatureSkew]
    scores: Sequence[ScoreSkew]
    problems: list[str] = field(default_factory=list)

    def judged(self, config: SkewConfig) -> "Skew":
        """Fill in what is beyond the tolerances, features before scores."""
        for feature in self.features:
            self.problems.extend(feature.problems(config))
        for score in self.scores:
            self.problems.extend(score.problems(config))
        return self

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        table: dict[str, Any] = as_table(self)
        for score in table["scores"]:
            largest = score["largest"]
            score["largest"] = largest if np.isfinite(largest) else None
            score["quantiles"] = {
                q: v if np.isfinite(v) else None for q, v in score["quantiles"].items()
            }
        return table
