"""The steps of one job as functions: each leaves a folder, and does nothing twice."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data import files
from data.console import say
from data.errors import Locked
from data.ingest.given import given
from data.prepare import prepare
from data.schema import DataConfig, as_table
from trainer.catalogue.exported import Exported
from trainer.experiment import Experiment
from trainer.retrain import newdata
from trainer.retrain.champion import Published, StandIn, champion_version
from trainer.retrain.figures import read_figures
from trainer.retrain.gate import Decision, decide
from trainer.retrain.publishing import dataset_of, job_of_newest, publish
from trainer.retrain.request import Request
from trainer.retrain.rollback import finish_rollback
from trainer.retrain.state import JOB, Job, Places, tree_hash
from trainer.retrain.steps import NOTHING, PASSED, REFUSED

JOB_VERSION = 2  # Raised when the same inputs would make another job.
DECISION, FINDINGS = "decision.json", "findings.json"


@dataclass(frozen=True)
class Steps:
    """The steps of a job, by name in `run`."""

    request: Request
    job: Job

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return what the job was begun with."""
        return self.job.facts

    @cached_property
    def serving(self) -> Exported | None:
        """Return the version that served when the job began."""
        version = self.facts["champion"]
        if version is None:
            return None
        return Exported(self.request.places.models, version)

    @cached_property
    def champion(self) -> Published | StandIn | None:
        """Return whom the candidate is compared with."""
        if self.request.stands_in:
            former = Experiment(
                config=self.request.config,
                path=self.request.toml,
                out=self.request.out,
                data=self.job.relative("former"),
            )
            return StandIn(former)
        return None if self.serving is None else Published(self.serving)

    @cached_property
    def experiment(self) -> Experiment:
        """Return the candidate's experiment, on the data set as it has grown."""
        ingested = self.job.needed("ingest")
        self.job.needed("prepare")
        return Experiment(
            config=dataclasses.replace(self.request.config, data=self._data(ingested)),
            path=Path(ingested["toml"]),
            out=self.request.out,
            data=self.job.relative("prepare", "data"),
            start_from=self._start(),
        )

    def _start(self) -> str:
        """Return what the fits begin with: they take of it what they may know."""
        if self.request.config.retrain.start == "scratch":
            return ""
        if isinstance(self.champion, StandIn):  # What serves knows the replayed weeks.
            former = self.champion.experiment
            run = former.evaluation
            if run.metrics is None:  # A run is taken for one by what it says of itself.
                run.end({"run": run.id, "stages": former.fitted.facts})
            return files.join(former.out, "runs", run.id)
        return "" if self.serving is None else self.serving.place()

    def _data(self, ingested: dict[str, Any]) -> DataConfig:
        return newdata.read_state(ingested["toml"])

    def run(self, name: str) -> dict[str, Any]:
        """Do a step unless it is done. Out: its manifest."""
        done = self.job.manifest(name)
        if done is not None:
            say(f"{name}: done before, nothing changed.")
            return done
        steps: dict[str, Callable[[], None]] = {
            "validate": self.validate,
            "prepare": self.prepare,
            "train": self.train,
            "evaluate": self.evaluate,
            "gate": self.gate,
            "publish": self.publish,
        }
        steps[name]()
        return self.job.needed(name)

    def validate(self) -> None:
        """Compare the grown data set with the former one."""
        since = time.monotonic()
        ingested = self.job.needed("ingest")
        findings: list[dict[str, Any]] = []
        reason = ingested["refused"]
        if not reason:
            findings, reason = newdata.judge(ingested["folder"], ingested["former"])
        with self.job.writing("validate", since) as step:
            step.write(FINDINGS, findings)
            step.facts = {"verdict": REFUSED if reason else PASSED, "reason": reason}
        for one in findings:
            if one["severity"] != "note":
                say(f"{one['severity']}: {one['place']}: {one['said']}.")

    def prepare(self) -> None:
        """Prepare the data set as it has grown."""
        ingested = self.job.needed("ingest")
        with self.job.writing("prepare") as step:
            folder = files.join(step.folder, "data")
            found = prepare(self._data(ingested), Path(ingested["toml"]), folder)
            counts = found.manifest["counts"]
            step.facts = {"fingerprint": found.fingerprint, "counts": counts}
            step.outputs = {
                name: files.sha256(files.join(folder, name))
                for name in files.listdir(folder)
                if name != "manifest.json"  # It says when.
            }

    def train(self) -> None:
        """Fit both models on the training part."""
        from trainer.retrain.weights import weights_hash

        since = time.monotonic()
        experiment = self.experiment
        facts = experiment.fitted.facts
        run = experiment.evaluation
        with self.job.writing("train", since) as step:
            step.facts = {"runs": experiment.run_ids()}
            step.write("fits.json", {n: facts[n]["curve"] for n in STAGES})
            retrieval = files.join(experiment.out, "runs", facts["retrieval"]["run"])
            step.outputs = {
                "retrieval": weights_hash(
                    files.join(retrieval, "checkpoints", "retrieval")
                ),
                "ranking": weights_hash(
                    files.join(run.folder, "checkpoints", "ranking")
                ),
            }

    def evaluate(self) -> None:
        """Measure the candidate and the champion on the newest test window."""
        from trainer.retrain.measuring import evaluate_candidate

        self.job.needed("train")
        with self.job.writing("evaluate") as step:
            evaluate_candidate(self.experiment, self.champion, self.serving, step)

    def gate(self) -> None:
        """Decide, and record the decision in the job and in the run."""
        self.job.needed("evaluate")
        validated = self.job.needed("validate")
        figures = read_figures(self.job.place("evaluate"))
        figures["data_refused"] = validated["reason"]
        found = decide(figures, self.request.config.gate, standing=self._standing())
        run = self.job.needed("train")["runs"]["evaluation"]
        record = {"job": self.job.name, **found.to_json()}
        with self.job.writing("gate") as step:
            step.write(DECISION, found.to_json(), stable=False)
            step.facts = {"verdict": found.verdict, "reason": found.reason}
            step.outputs = {"verdict": files.fingerprint(found.verdict)}
            beside = files.join(self.request.out, "runs", run, DECISION)
            files.write_json(beside, record)

    def _standing(self) -> float:
        """Return the champion's metric as a multiple of the fixed reference's."""
        if self.serving is None or self.request.stands_in:
            return 1.0
        record = self.serving.manifest.get("retrain", {})
        return float(record.get("decision", {}).get("standing", 1.0))

    def publish(self) -> None:
        """Refit on all events, publish, and have the server's labels moved."""
        self.job.needed("gate")
        decision = files.read_json(self.job.place("gate", DECISION))
        publish(self.job, self.request, lambda: self.experiment, decision)

    @property
    def decision(self) -> Decision | None:
        """Return the gate's decision as a record, None before."""
        place = self.job.place("gate", DECISION)
        return None if not files.exists(place) else files.read_json(place)


STAGES = ("retrieval", "ranking")


def begin(request: Request) -> tuple[Job | None, str, str]:
    """Do the first step: name the job by its inputs, and take the new rows in.

    Out: the job, None where nothing is new; the verdict and its reason.
    """
    places = request.places
    finish_rollback(places.models, server=request.server, config=request.config.retrain)
    if unfinished := _unfinished(places):
        # A replay's data set is another one than that of the job of today.
        dataset = dataset_of(places.models, unfinished.name) or request.dataset
        theirs = dataclasses.replace(request, dataset=dataset)
        version = Steps(theirs, unfinished).run("publish")["version"]
        say(f"Job {unfinished.name} was cut short: version {version} is published now.")
    if not request.new:
        return None, NOTHING, "no new files were named"
    former = newdata.current_state(places.dataset)
    champion = champion_version(places.models)
    job = places.job(_name(request, former, champion))
    done = job.manifest("ingest")
    if done is None:
        since = time.monotonic()
        grown = newdata.grow(
            request.config.data,
            request.toml,
            request.new,
            places.dataset,
            parent=former,
            overrides=request.overrides,
        )
        if not grown.refused and not grown.name:
            return None, NOTHING, _why_nothing(grown.counts)
        job.begin({"champion": champion, "former": former, "new": list(request.new)})
        with job.writing("ingest", since) as step:
            old = former and newdata.place_of(places.dataset, former)[0]
            step.facts = {
                "verdict": REFUSED if grown.refused else PASSED,
                "reason": grown.refused,
                "former": old or str(request.toml),
                **as_table(grown),
            }
            if grown.folder:
                names = [n for n in files.listdir(grown.folder) if ".parquet" in n]
                step.outputs = {
                    name: files.sha256(files.join(grown.folder, name)) for name in names
                }
        done = job.needed("ingest")
    return job, done["verdict"], done["reason"]


def _why_nothing(counts: Mapping[str, int]) -> str:
    """Tell why new files brought nothing new."""
    if known := counts.get("known_files"):
        return f"{known:,} file{'s'[: known != 1]} ingested before"
    if not counts.get("rows"):
        return "there is no row in what was named"
    told = ("duplicates", "that were there"), ("refused", "that cannot be used")
    left = ", ".join(f"{counts[k]:,} {says}" for k, says in told if counts.get(k))
    return f"no new rows among {counts['rows']:,} ({left})"


def _name(request: Request, former: str | None, champion: int | None) -> str:
    config = request.config
    tables = {n: as_table(getattr(config, n)) for n in ("evaluation", "export", "gate")}
    start: Any = config.retrain.start
    if start == "warm":
        start = as_table(config.warm_start)
    table = config.data.interactions
    sums = sorted(given("interactions", table, path).sha256 for path in request.new)
    return files.fingerprint(
        JOB_VERSION,
        sums,
        as_table(config.data),
        former,
        champion if not request.stands_in else "stand-in",
        config.model_tables(),
        tables,
        start,
    )


def _unfinished(places: Places) -> Job | None:
    """Return the job of the newest version if it was killed before it was through.

    All servables have that version, so that what is left of it is quickly done.
    """
    name = job_of_newest(places.models)
    if name is None or not files.exists(places.job(name).place(JOB)):
        return None
    job = places.job(name)
    return None if job.manifest("publish") is not None else job


def check_not_overtaken(places: Places, job: Job) -> None:
    """Raise Locked if a version or rows came since a job began that it knows not of.

    Its steps may run in processes of their own, with others between them.
    """
    serves, newest = champion_version(places.models), job_of_newest(places.models)
    if newest == job.name:
        return
    current, facts = newdata.current_state(places.dataset), job.facts
    ingested = (job.manifest("ingest") or {}).get("name")
    if serves == facts["champion"] and current in (facts["former"], ingested):
        return
    raise Locked(
        f"{job.place()}: begun beside version {facts['champion'] or 'none'}, but job "
        f"{newest} has worked here since, and version {serves} serves now: what this "
        "one compares no longer holds. Begin it again with the same files (--step "
        "ingest)."
    )


def hashes(job: Job, steps: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return what each step made, by the hashes of what equal inputs make equal."""
    found = {name: job.manifest(name) for name in steps}
    return {name: dict(m["outputs"]) for name, m in found.items() if m is not None}


__all__ = ["Steps", "begin", "hashes", "tree_hash"]
