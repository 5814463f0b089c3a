"""The quality report: one page for people, one JSON file for machines."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup
from rich.markup import escape
from rich.table import Table

from data import files, pages
from data.console import OUTPUT, say
from trainer.evaluation.results import (
    Comparison,
    Evaluation,
    long_k,
    middle_k,
    other_targets,
    protocol,
    short_k,
    title,
)
from trainer.report import plots
from trainer.report.tables import (
    MetricTable,
    accuracy_table,
    beyond_table,
    bracketed,
    head_table,
    print_rows,
)

HISTORY_SHOWN, NEXT_SHOWN = 5, 10
TEMPLATE = "report.html.jinja"


@dataclass(frozen=True, kw_only=True)
class ExampleUser:
    """One user's recommendations beside what the user chose next.

    `history`: titles, oldest first; the last five are shown. `recommended`: titles
    with scores, best first. `next`: titles of what came after the request.
    """

    user: str
    history: Sequence[str]
    recommended: Sequence[tuple[str, float]]
    next: Sequence[str]


def write_report(
    folder: str,
    evaluation: Evaluation,
    *,
    curves: Mapping[str, Sequence[Mapping[str, float]]],
    examples: Sequence[ExampleUser],
    about: Mapping[str, Any],
) -> None:
    """Write `report.json` and `report.html`, which needs no other file and no script.

    In: `curves`: by model, rows with "epoch", "loss" and "val_..."; `about`: facts
    on the data set, the configuration and the versions, each a value or a mapping
    of values, which becomes a section of its own.
    """
    found = evaluation.to_json()
    found["headline"] = [one.sentence for one in _ordered(evaluation)]
    found["curves"] = {name: [dict(row) for row in c] for name, c in curves.items()}
    found["examples"] = [asdict(example) for example in examples]
    found["about"] = dict(about)
    files.write_json(files.join(folder, "report.json"), found)
    page = _page(evaluation, curves, examples, about)
    files.write_text(files.join(folder, "report.html"), page)


def print_table(evaluation: Evaluation) -> None:
    """Print the main metrics and who wins, in at most 100 columns."""
    k, wide = short_k(evaluation.ks), long_k(evaluation.ks)
    shown = [f"ndcg@{k}", f"hit_rate@{k}", f"recall@{wide}"]
    c = evaluation.counts
    heading = (
        f"{evaluation.part}: {c['queries']:,} queries, {c['servable']:,} items, "
        "mean [95 % interval]"
    )
    table = metric_columns(heading, [*shown, "coverage"])
    for name, model in evaluation.models.items():
        cells = [escape(bracketed(model.intervals[metric])) for metric in shown]
        coverage = f"{model.totals[f'coverage@{k}']:.1%}"
        mark = "" if name in evaluation.baselines else "bold"
        table.add_row(name, *cells, coverage, style=mark)
    OUTPUT.print(table, soft_wrap=False)
    _print_apart(evaluation)
    for head, found in evaluation.head_intervals.items():
        values = (f"{title(name)} {bracketed(one)}" for name, one in found.items())
        say(f"{head}: {', '.join(values)}")
    for comparison in _told(evaluation):
        say(comparison.sentence)
    for name, reason in evaluation.skipped.items():
        say(f"{name} was left out: {reason}")


def metric_columns(heading: str, names: Sequence[str]) -> Table:
    """Return an empty table for a terminal: models, then metrics."""
    table = Table(title=heading, title_justify="left")
    table.add_column("model", no_wrap=True)
    for name in names:
        table.add_column(title(name), justify="right")
    return table


def _print_apart(found: Evaluation) -> None:
    """Print how well the relevant items are found that the headline is not about."""
    if not len(found.apart):
        return
    k, middle = short_k(found.ks), middle_k(found.ks)
    shown = [f"ndcg@{k}", f"hit_rate@{k}", f"recall@{middle}"]
    targets, number = other_targets(found.headline), found.apart.counts()
    heading = (
        f"{targets} items alone: {number['relevant']:,} to find in "
        f"{number['queries']:,} queries"
    )
    table = metric_columns(heading, shown)
    print_rows(found.by_items(targets), shown, table)
    OUTPUT.print(table, soft_wrap=False)


def _told(found: Evaluation) -> list[Comparison]:
    """Return what a terminal has room for: the headline, ours, and every defeat."""
    strongest = found.best(found.baselines)
    return [
        one
        for one in _ordered(found)
        if one.difference.sign < 0
        or one.baseline in found.ours
        or (one.metric == found.main_metric and one.baseline == strongest)
    ]


def _ordered(found: Evaluation) -> list[Comparison]:
    """Return the comparisons, the one that the headline is about first.

    That is what is served, the last of ours, against the strongest baseline.
    """
    served, strongest = found.ours[-1:], found.best(found.baselines)

    def place(one: Comparison) -> tuple[bool, bool, bool]:
        return (
            one.metric != found.main_metric,
            one.model not in served,
            one.baseline != strongest,
        )

    return sorted(found.comparisons, key=place)


def _page(
    found: Evaluation,
    curves: Mapping[str, Sequence[Mapping[str, float]]],
    examples: Sequence[ExampleUser],
    about: Mapping[str, Any],
) -> str:
    environment = pages.environment(os.path.dirname(os.path.abspath(__file__)))
    k, wide = short_k(found.ks), long_k(found.ks)
    comparisons = _ordered(found)
    best = found.best(tuple(found.models))
    models = {name: m.intervals for name, m in found.models.items()}
    return environment.get_template(TEMPLATE).render(
        found=found,
        k=k,
        best=best,
        comparisons=comparisons,
        behind=[c for c in comparisons if c.difference.sign < 0],
        title=title,
        bracketed=bracketed,
        tables={n: accuracy_table(models, n) for n in dict.fromkeys([k, wide])},
        others={n: accuracy_table(models, n) for n in found.ks if n not in (k, wide)},
        apart=_apart_tables(found),
        apart_targets=other_targets(found.headline),
        heads=head_table(found.head_intervals) if found.head_intervals else None,
        beyond={n: beyond_table(found, n) for n in found.ks},
        shares=found.popularity_shares(),
        figures=_figures(found, comparisons, curves),
        examples=[_shown(example) for example in examples],
        facts={n: v for n, v in about.items() if not isinstance(v, Mapping)},
        sections={n: v for n, v in about.items() if isinstance(v, Mapping)},
        protocol=protocol(found),
    )


def _apart_tables(found: Evaluation) -> dict[int, MetricTable]:
    """Return how the items are found that the headline is not about, by k."""
    if not len(found.apart):
        return {}
    models = found.by_items(other_targets(found.headline))
    ks = dict.fromkeys([short_k(found.ks), middle_k(found.ks)])
    return {k: accuracy_table(models, k) for k in ks}


def _shown(example: ExampleUser) -> dict[str, Any]:
    """Mark the hits, and put those first among what came next."""
    titles = {title for title, _ in example.recommended}
    hits = [title for title in example.next if title in titles]
    missed = [title for title in example.next if title not in titles]
    ordered = hits + missed
    return {
        "user": example.user,
        "history": list(example.history)[-HISTORY_SHOWN:],
        "recommended": [(t, f"{s:.4g}", t in hits) for t, s in example.recommended],
        "next": [(t, t in titles) for t in ordered[:NEXT_SHOWN]],
        "num_more": max(len(ordered) - NEXT_SHOWN, 0),
        "num_hits": len(hits),
    }


def _figures(
    found: Evaluation,
    comparisons: Sequence[Comparison],
    curves: Mapping[str, Sequence[Mapping[str, float]]],
) -> dict[str, dict[str, Markup]]:
    exposure = {n: m.exposure[found.servable] for n, m in found.models.items()}
    metrics = (found.main_metric, f"recall@{long_k(found.ks)}")
    drawn = {
        "means": {
            title(metric): plots.interval_plot(
                [(name, m.intervals[metric]) for name, m in found.models.items()],
                name=f"means{place}",
            )
            for place, metric in enumerate(metrics)
        },
        "differences": {
            title(metric): plots.interval_plot(
                [
                    (f"{c.model} minus {c.baseline}", c.difference)
                    for c in comparisons
                    if c.metric == metric
                ],
                difference=True,
                name=f"difference{place}",
            )
            for place, metric in enumerate(dict.fromkeys(c.metric for c in comparisons))
        },
        "curves": {
            name: plots.learning_curves(rows, name=f"curve{place}")
            for place, (name, rows) in enumerate(curves.items())
            if rows
        },
        "lorenz": {"exposure": plots.lorenz_curves(exposure, name="lorenz")},
    }
    return {
        group: {name: Markup(svg) for name, svg in svgs.items()}
        for group, svgs in drawn.items()
    }
