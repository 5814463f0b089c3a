"""One process of several that fit a retrieval model, for `test_workers` beside it.

`python -m tests.integration.one_worker TOML OUT STRATEGY`, with TF_CONFIG set.
"""

import json
import os
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["KERAS_BACKEND"] = "tensorflow"

from data.cli import tell_errors
from trainer.command import STATUSES
from trainer.config import read_experiment
from trainer.distributed.cluster import VARIABLE
from trainer.distributed.team import team
from trainer.experiment import Experiment
from trainer.fitting.fitter import Fitter
from trainer.stages.follow import follow

TITLE = "Training retrieval"


def fit(experiment: Experiment, out: Path) -> None:
    """Fit a model, and write down its curve and its items' vectors."""
    prepared = experiment.prepared
    fitter = Fitter(prepared, experiment.config, str(out))
    stage = {"folder": str(out / "fit"), "logs": str(out / "logs")}
    model, found = fitter.retrieval(prepared.training(), stage, TITLE)
    vectors = model.item_vectors(prepared.num_items).tolist()
    result = {"curve": found.curve, "best": found.best_epoch, "vectors": vectors}
    (out / "result.json").write_text(json.dumps(result))


@tell_errors(STATUSES)
def main(toml: Path, out: Path, strategy: str) -> None:
    """Lead, or follow."""
    config = read_experiment(toml, [f"train.strategy={strategy}"])
    experiment = Experiment(config=config, path=toml, out=str(out))
    role = json.loads(os.environ[VARIABLE])["task"]["type"]
    with team(config.train) as crew:
        with (out / f"{role}.pids").open("a") as file:
            print(os.getpid(), file=file)
        fit(experiment, out) if crew.leads else follow(crew, experiment)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
