"""The stages of an experiment that need the models: fit, measure, deliver."""

from trainer.stages.deliver import refit_and_export
from trainer.stages.fit import fit_for_evaluation
from trainer.stages.measure import measure_and_report

__all__ = ["fit_for_evaluation", "measure_and_report", "refit_and_export"]
