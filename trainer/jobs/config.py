"""`[pipeline]`: where a job runs when it does not run here, and what it may take."""

import re
from dataclasses import dataclass, field

from data.errors import ConfigError

# What Kubernetes, Kubeflow Pipelines and Vertex AI all take.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?")
_MEMORY = re.compile(r"[1-9][0-9]*(Mi|Gi)")
_LONGEST_WAIT_S = 3600
_OF_ONE_PROCESS = ("none", "mirrored")


@dataclass(frozen=True, kw_only=True)
class ResourcesConfig:
    """What a step asks for.

    `memory`: as in "8Gi". `accelerator`: the kind of `gpus`, "nvidia.com/gpu" on
    Kubernetes, a name such as "NVIDIA_TESLA_T4" on Vertex.
    """

    cpus: float = 2.0
    memory: str = "8Gi"
    gpus: int = 0
    accelerator: str = "nvidia.com/gpu"

    def __post_init__(self) -> None:
        if self.cpus <= 0:
            raise ConfigError(f"cpus is {self.cpus}, expected above 0.")
        if not _MEMORY.fullmatch(self.memory):
            raise ConfigError(
                f"memory is {self.memory!r}, expected a whole number with Mi or Gi, "
                'such as "8Gi".'
            )
        if self.gpus < 0:
            raise ConfigError(f"gpus is {self.gpus}, expected 0 or more.")


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """The job's name, image, times and resources.

    `schedule`: a cron line of five fields in `time_zone`. `retries`: how often a
    step that failed is tried again, the first time after `retry_wait_s` seconds; a
    refusal is no failure. `resources` of every step, those named in `steps` aside.

    On Kubernetes: `namespace`, `service_account`, and `volume`, a claim that is
    mounted at /tandem; "" where folders are on an object store. `workers`, the one
    that leads among them, and `parameter_servers` of distributed training. `hours`
    after which a CronJob's job, a TFJob or a CustomJob is ended. On Vertex: `machine`.
    """

    name: str = "tandem-retrain"
    image: str = "tandem-trainer:0.1.0"
    schedule: str = "0 3 * * *"
    time_zone: str = "Etc/UTC"
    retries: int = 2
    retry_wait_s: int = 60
    caching: bool = True
    namespace: str = "tandem"
    service_account: str = ""
    volume: str = ""
    workers: int = 2
    parameter_servers: int = 0
    machine: str = "n1-standard-8"
    hours: int = 24
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    steps: dict[str, ResourcesConfig] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("name", "namespace"):
            if not _NAME.fullmatch(getattr(self, key)):
                raise ConfigError(
                    f"{key} is {getattr(self, key)!r}, expected at most 52 of a-z, "
                    "0-9 and '-', a letter first."
                )
        tag = self.image.rpartition("/")[2]
        if "@sha256:" not in self.image and tag.partition(":")[2] in ("", "latest"):
            raise ConfigError(
                f"image is {self.image!r}, expected a tag other than latest, or a "
                "digest: what runs tomorrow is to be what runs today."
            )
        if len(self.schedule.split()) != 5:
            raise ConfigError(
                f"schedule is {self.schedule!r}, expected five fields of cron, such "
                'as "0 3 * * *".'
            )
        if self.retries < 0 or self.parameter_servers < 0:
            raise ConfigError(
                f"retries is {self.retries} and parameter_servers "
                f"{self.parameter_servers}: expected 0 or more."
            )
        if not 0 <= self.retry_wait_s <= _LONGEST_WAIT_S:
            raise ConfigError(
                f"retry_wait_s is {self.retry_wait_s}, expected 0 to {_LONGEST_WAIT_S}."
            )
        if self.workers < 1 or self.hours < 1:
            raise ConfigError(
                f"workers is {self.workers} and hours {self.hours}: expected above 0."
            )

    def check_roles(self, strategy: str) -> None:
        """Raise ConfigError unless a [train] strategy has the roles that it wants."""
        wants = strategy == "parameter_server"
        if wants != (self.parameter_servers > 0):
            expected = "1 or more" if wants else 'strategy = "parameter_server", or 0'
            raise ConfigError(
                f"[pipeline] parameter_servers is {self.parameter_servers} with "
                f'[train] strategy = "{strategy}": expected {expected}.'
            )
        if wants and self.workers == 1:
            raise ConfigError(
                "[pipeline] parameter_servers without workers: expected workers = 2 or "
                "more; the first of them leads."
            )
        if self.workers > 1 and strategy in _OF_ONE_PROCESS:
            raise ConfigError(
                f"[pipeline] workers is {self.workers} with [train] strategy = "
                f'"{strategy}", which is of one process: expected workers = 1, or '
                'strategy = "multi_worker".'
            )

    def resources_of(self, step: str) -> ResourcesConfig:
        """Return what a step asks for."""
        return self.steps.get(step, self.resources)
