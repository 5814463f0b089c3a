"""The ends of a job that are not our bugs, beside those of the data package."""


class ExportError(ValueError):
    """A model cannot be exported or published as asked."""


class TrainingError(ValueError):
    """A fit went wrong in a way that its settings can mend."""


class GateRefused(Exception):
    """A gate refused what was made; what serves stays untouched."""


class WorkerLost(Exception):
    """Another worker of the same fit is gone; all are to start again."""
