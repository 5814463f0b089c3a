"""Compares logs with what training computes: says it, writes it, and refuses."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from data import files
from data.console import OUTPUT, say, step
from data.errors import DataError
from data.schema import as_table
from data.settings import build, lay_over
from trainer.catalogue.exported import Exported
from trainer.config import SkewConfig
from trainer.errors import GateRefused
from trainer.export.publish import SERVABLES, versions
from trainer.skew import MOST
from trainer.skew.computed import Computed
from trainer.skew.features import Comparison
from trainer.skew.figures import FORMAT, FeatureSkew, ScoreSkew, Skew
from trainer.skew.logs import Asked, Log, read_logs
from trainer.skew.scores import score_skew
from trainer.skew.served import Served

PLACE = "skew.json"
_NAME_WIDTH = 32


def compare(
    logs: Sequence[str],
    models: str,
    *,
    overrides: Sequence[str] = (),
    most: int = MOST,
    place: str = "",
) -> list[Skew]:
    """Compare logged requests with what training computes, version by version.

    In: `models`: the folder of the servables; `overrides`: "skew.key=value"; `most`:
    requests that are looked at; `place`: where the figures go, OUT/skew.json if "".
    Raises: DataError, ExportError: what a person has to mend; GateRefused: something
    is beyond the tolerances, after all is said and written.
    """
    published = {name: versions(models, name) for name in SERVABLES}
    with step("Reading the logs"):
        log = read_logs(logs, published, most)
    if not log.asked:
        left = ", ".join(f"{why}: {n:,}" for why, n in log.left_out.items())
        raise DataError(
            f"{', '.join(logs)}: none of {log.records:,} records asks for lists or "
            f"scores of a user ({left}). Log more requests."
        )
    by_version: dict[int, list[Asked]] = defaultdict(list)
    for asked in log.asked:
        by_version[asked.version].append(asked)
    found = []
    for version, requests in sorted(by_version.items()):
        exported = Exported(models, version)
        config = tolerances(exported, overrides)
        skew = compare_version(exported, requests, config)
        found.append(skew)
        show(skew)
    place = place or files.join(Exported(models, max(by_version)).out, PLACE)
    files.write_json(place, _document(logs, log, found, config))
    _tell(log, place)
    problems = [p for skew in found for p in skew.problems]
    if problems:
        raise GateRefused("Skew: " + ".\n      ".join(problems) + ".")
    say("No skew beyond the tolerances.")
    return found


def tolerances(exported: Exported, overrides: Sequence[str]) -> SkewConfig:
    """Return the [skew] table that a version was made with, and overrides over it."""
    table: dict[str, Any] = {"skew": as_table(exported.config.skew)}
    for override in overrides:
        lay_over(table, override)
    where = "--set" if overrides else exported.place()
    for name in table.keys() - {"skew"}:
        raise DataError(f"--set {name}: expected skew.KEY=VALUE.")
    return build(SkewConfig, table["skew"], f"{where} skew")


def compare_version(
    exported: Exported, asked: Sequence[Asked], config: SkewConfig
) -> Skew:
    """Compare the requests that one version answered.

    Raises: ExportError: its data set or its runs are not there any more.
    """
    with step(f"Reading the models of version {exported.version}"):
        computed = Computed.of(exported)
    comparison = Comparison(asked, Served(exported.place()), computed)
    with step(f"Comparing {len(asked):,} requests"):
        return Skew(
            version=exported.version,
            requests=len(asked),
            features=list(comparison.features()),
            scores=list(score_skew(asked, computed, config.max_score_difference)),
        ).judged(config)


def _document(
    logs: Sequence[str], log: Log, found: Sequence[Skew], config: SkewConfig
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "logs": list(logs),
        "records": log.records,
        "left_out": dict(log.left_out),
        "tolerances": as_table(config),
        "versions": [skew.to_json() for skew in found],
    }


def _tell(log: Log, place: str) -> None:
    if log.left_out:
        left = ", ".join(f"{why} {n:,}" for why, n in log.left_out.items())
        say(f"Not compared: {left}.")
    say(f"Figures: {place}")


def show(skew: Skew) -> None:
    """Print the tables of a version; what is beyond a tolerance is marked."""
    over = {problem.partition(":")[0] for problem in skew.problems}
    say(f"Version {skew.version}, {skew.requests:,} requests:")
    name = Column("feature", no_wrap=True, min_width=_NAME_WIDTH)
    table = Table(name, "values", "differ", "distance", "chance", "unknown")
    for feature in skew.features:
        table.add_row(*_of_feature(feature), style=_style(feature.name in over))
    OUTPUT.print(table)
    table = Table("score", "values", "beyond", "median", "90 %", "99 %", "largest")
    for score in skew.scores:
        table.add_row(*_of_score(score), style=_style(score.name in over))
    OUTPUT.print(table)


def _style(is_over: bool) -> str:
    return "bold red" if is_over else ""


def _of_feature(feature: FeatureSkew) -> list[str]:
    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    unknown = share(feature.unknown)
    if feature.unknown is not None:
        unknown += f" ({share(feature.unknown_before)} before)"
    return [
        escape(feature.name),
        f"{feature.rows:,}",
        share(feature.mismatch),
        number(feature.distance),
        number(feature.chance),
        unknown,
    ]


def _of_score(score: ScoreSkew) -> list[str]:
    numbers = [*score.quantiles.values(), score.largest]
    return [
        escape(score.name),
        f"{score.rows:,}",
        f"{score.mismatch:.2%}",
        *(f"{number:.1e}" for number in numbers),
    ]
