"""What a worker does that does not lead: it takes part in the fits of another."""

from data.events import Stretch
from trainer.distributed.crew import Crew
from trainer.distributed.helper import Helper
from trainer.distributed.orders import columns_at, fold_of
from trainer.distributed.workers import Workers
from trainer.experiment import Experiment
from trainer.fitting.fitter import Fitter
from trainer.fitting.learned import Learned
from trainer.fitting.ranking_examples import Examples


def follow(crew: Crew, experiment: Experiment) -> None:
    """Take part in every fit of the process that leads, until there are no more."""
    if isinstance(crew, Helper):
        crew.serve()
    elif isinstance(crew, Workers):
        _follow(crew, experiment)


def _follow(crew: Workers, experiment: Experiment) -> None:
    while (order := crew.receive()) is not None:
        folds = experiment.prepared.folds()
        prepared = next(p for p in folds if fold_of(p) == order["fold"])
        fitter = Fitter(prepared, experiment.config, experiment.out)
        stretch = Stretch(**order["stretch"])
        everything = order["everything"]
        log = prepared.as_happened if everything else stretch.of(prepared.events)
        stage = {"folder": order["folder"], "logs": crew.place(order["folder"])}
        start = order["start"] and Learned.read(order["start"])
        if order["kind"] == "retrieval":
            fitter.retrieval(
                stretch,
                stage,
                order["title"],
                log=log,
                epochs=order["epochs"],
                start=start,
            )
        else:
            fitter.ranking(
                log,
                Examples(columns_at(order["examples"]), {}),
                stage,
                order["title"],
                validates=order["validates"],
                epochs=order["epochs"],
                affinity_weight=order["affinity_weight"],
                start=start,
            )
