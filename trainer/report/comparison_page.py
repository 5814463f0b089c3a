"""The comparison of several runs: one page, one JSON file, one table."""

import os
from collections.abc import Sequence

from markupsafe import Markup

from data import files, pages
from data.console import OUTPUT, say
from data.queries import Targets
from trainer.evaluation.bootstrap import RESAMPLES
from trainer.evaluation.comparison import Compared, EvaluatedRun, compare
from trainer.evaluation.results import (
    Comparison,
    long_k,
    middle_k,
    other_targets,
    short_k,
    title,
)
from trainer.report import plots
from trainer.report.report import metric_columns
from trainer.report.tables import MetricTable, accuracy_table, bracketed, print_rows

TEMPLATE = "comparison.html.jinja"


def compare_runs(
    out: str, runs: Sequence[EvaluatedRun], *, seed: int = 0, resamples: int = RESAMPLES
) -> Compared:
    """Compare runs, print the table, and write comparison.json and .html into `out`.

    Raises: DataError when runs differ in data, split, part or queries.
    """
    found = compare(runs, seed=seed, resamples=resamples)
    write_comparison(out, found)
    print_comparison(found)
    return found


def write_comparison(folder: str, found: Compared) -> None:
    """Write `comparison.json` and `comparison.html`, which needs no other file."""
    files.write_json(files.join(folder, "comparison.json"), found.to_json())
    files.write_text(files.join(folder, "comparison.html"), _page(found))


def print_comparison(found: Compared) -> None:
    """Print all models in one table, and what the first one's models win or lose."""
    shown = _shown(found)
    number = found.asked[found.headline].counts()
    heading = f"{found.part}: {number['queries']:,} queries, mean [95 % interval]"
    table = metric_columns(heading, shown)
    print_rows(found.rows(found.headline), shown, table)
    OUTPUT.print(table, soft_wrap=False)
    other = other_targets(found.headline)
    if len(found.asked[other]):
        apart = found.asked[other].counts()
        shown = [*shown[:2], f"recall@{middle_k(found.ks)}"]
        heading = f"{other} items alone: {apart['queries']:,} queries"
        table = metric_columns(heading, shown)
        print_rows(found.rows(other), shown, table)
        OUTPUT.print(table, soft_wrap=False)
    for pair in best_against_others(found):
        say(pair.sentence)


def best_against_others(found: Compared) -> list[Comparison]:
    """Return how the highest of the main metric stands to each other model."""
    metric = found.metrics[0]
    best = _best(found)
    pairs = (found.pair(metric, best, name) for name in found.models)
    return [pair for pair in pairs if pair is not None]


def _best(found: Compared) -> str:
    means = {n: m[found.metrics[0]].mean for n, m in found.rows(found.headline).items()}
    return max(means, key=means.__getitem__)


def _shown(found: Compared) -> list[str]:
    k = short_k(found.ks)
    return [f"ndcg@{k}", f"hit_rate@{k}", found.metrics[1]]


def _page(found: Compared) -> str:
    environment = pages.environment(os.path.dirname(os.path.abspath(__file__)))
    other = other_targets(found.headline)
    best = _best(found)
    k, wide = short_k(found.ks), long_k(found.ks)
    rows = found.rows(found.headline)
    return environment.get_template(TEMPLATE).render(
        found=found,
        best=best,
        title=title,
        bracketed=bracketed,
        best_value=rows[best][found.metrics[0]],
        against=best_against_others(found),
        tables={n: accuracy_table(rows, n) for n in dict.fromkeys([k, wide])},
        others={n: accuracy_table(rows, n) for n in found.ks if n not in (k, wide)},
        apart=_apart(found, other),
        apart_targets=other,
        number=found.asked[found.headline].counts(),
        apart_number=found.asked[other].counts(),
        figures={title(metric): _figure(found, metric) for metric in found.metrics},
    )


def _apart(found: Compared, other: Targets) -> dict[int, MetricTable]:
    if not len(found.asked[other]):
        return {}
    ks = dict.fromkeys([short_k(found.ks), middle_k(found.ks)])
    return {k: accuracy_table(found.rows(other), k) for k in ks}


def _figure(found: Compared, metric: str) -> Markup:
    rows = [(n, m[metric]) for n, m in found.rows(found.headline).items()]
    place = found.metrics.index(metric)
    return Markup(plots.interval_plot(rows, name=f"means{place}"))
