"""What is said before anything is fitted: mistakes, and what will be left out."""

from data.console import say
from data.errors import ConfigError
from data.events import TEST, VALIDATION, EventLog
from data.prepared import Prepared
from trainer.baselines import tune as baselines
from trainer.baselines.sizes import Sizes
from trainer.baselines.tune import Baseline
from trainer.config import EvaluationConfig
from trainer.evaluation.evaluate import check_queries
from trainer.experiment import Experiment
from trainer.models.ranking import Ratings


def check_evaluation(experiment: Experiment) -> None:
    """Refuse what cannot be measured, and say which baselines do not fit in memory.

    Raises: ConfigError when a k is larger than the catalogue, or lists are to be
    ordered by a label that is not there; DataError when nothing is left to test.
    """
    config, prepared = experiment.config.evaluation, experiment.prepared
    _check_ks(config, prepared)
    for fold in experiment.folds:
        check_queries(fold.prepared, TEST)
        if len(fold.prepared.queries(VALIDATION)) == 0:
            say(
                "validation: no user with an earlier event and a new positive, so "
                "that nothing can be chosen on it: epochs and settings are the first."
            )
    log = prepared.training().of(prepared.events)
    _check_labels(experiment, log)
    sizes = Sizes.of(log, prepared.num_items)
    _, skipped = baselines.without_too_large(grids_of(experiment), sizes)
    for name, reason in skipped.items():
        say(f"{name} will be left out: {reason}")


def grids_of(experiment: Experiment) -> dict[str, tuple[Baseline, ...]]:
    """Return the settings to try of each baseline that the report is to hold."""
    prepared = experiment.prepared
    return baselines.grids_for(
        prepared.training().of(prepared.events),
        prepared.num_items,
        time_is_known=prepared.time_is_known,
        names=experiment.config.evaluation.baseline_names,
    )


def _check_labels(experiment: Experiment, log: EventLog) -> None:
    if experiment.config.ranking.order_by == "rating" and Ratings.of(log) is None:
        raise ConfigError(
            '[ranking] order_by: "rating", and no training event has a number as its '
            'label: expected a column with role = "label" in '
            '[data.interactions.columns]. Add it, or take order_by = "like".'
        )


def _check_ks(config: EvaluationConfig, prepared: Prepared) -> None:
    number = int(prepared.servable.sum())
    larger = [k for k in config.ks if k > number]
    if not larger:
        return
    if config.ks == EvaluationConfig().ks:  # Nobody asked for them.
        say(f"{number} items can be served: lists of {larger} hold all of them.")
        return
    raise ConfigError(
        f"[evaluation] ks: {max(larger)} is above the {number:,} items that can be "
        f"served, expected at most {number:,}. Take smaller ones."
    )
