"""What is asked of a retraining job."""

from dataclasses import dataclass
from pathlib import Path

from trainer.config import ExperimentConfig
from trainer.retrain.state import Places


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a job: the experiment, new files, where servers are.

    `dataset`: where the states of the data set are, if not in `out`; `stands_in`: a
    fit to the TOML's own tables is the champion, and not what serves.
    """

    config: ExperimentConfig
    toml: Path
    out: str
    new: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    server: str = ""
    dataset: str = ""
    stands_in: bool = False

    @property
    def places(self) -> Places:
        """Return where retraining keeps its files."""
        return Places(self.out, self.dataset)
