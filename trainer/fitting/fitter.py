"""Fits each model on a stretch of the events, with what it needs around it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from data import files
from data.console import say
from data.events import TEST, VALIDATION, EventLog, Stretch
from data.pipelines import Batch, Batches, array_batches, sequence_batches
from data.prepared import Prepared
from data.streaming import streamed_batches
from trainer.config import ExperimentConfig
from trainer.distributed.choice import crew_of
from trainer.distributed.crew import Crew
from trainer.distributed.orders import leave_columns, order_of
from trainer.errors import TrainingError
from trainer.evaluation.evaluate import mean_ndcg_of
from trainer.evaluation.scorers import RetrievalScorer
from trainer.fitting.boost import with_best_boost
from trainer.fitting.carried import carry, digest_of, ids_of, named_weights
from trainer.fitting.learned import Learned, Stage
from trainer.fitting.loop import Fit, Schedule, Validate, build, fit, take_best
from trainer.fitting.next_events import NextEvents, mean_ndcg
from trainer.fitting.questions import Questions
from trainer.fitting.ranking_examples import Examples
from trainer.fitting.ranking_validation import RankingValidation
from trainer.fitting.warm_start import shaping
from trainer.inputs.affinity import Affinity
from trainer.inputs.requests import RankingInputs, Requests
from trainer.models.base import CountedModel
from trainer.models.ranking import RankingModel
from trainer.models.retrieval import RetrievalModel
from trainer.models.text_presets import preset_files
from trainer.models.text_tower import TextTower
from trainer.models.towers import Texts

CHUNK = 250
VECTORS = "vectors.npy"
SHOWN = 10
Model = TypeVar("Model", bound=CountedModel)


@dataclass(frozen=True)
class Fitter:
    """Fits models of one configuration on one data set."""

    prepared: Prepared
    config: ExperimentConfig
    out: str

    @cached_property
    def crew(self) -> Crew:
        """Return who takes the steps of each fit."""
        return crew_of(self.config.train)

    @cached_property
    def text_tower(self) -> TextTower | None:
        """Return the text tower with its pretrained weights, if there is text."""
        has_text = bool(self.prepared.features.text.columns)
        wanted = self.config.text.preset and has_text
        return TextTower(self.config.text) if wanted else None

    @cached_property
    def _text_vectors(self) -> np.ndarray | None:
        """Encode each distinct text once, ever; the vectors are kept in `out`."""
        if not self.config.text.preset or not self.prepared.features.text.columns:
            return None
        text = self.config.text
        inputs = (
            preset_files(text.preset),
            text.max_tokens,
            self.prepared.texts.tolist(),
        )
        folder = files.join(self.out, "texts", files.fingerprint(*inputs))
        place = files.join(folder, VECTORS)  # On a store folders may stand empty.
        if not files.exists(place) and self.text_tower is not None:
            vectors = self.text_tower.encode(self.prepared.texts)
            with files.new_folder(folder) as beside:
                with files.open_file(files.join(beside, VECTORS), "wb") as file:
                    np.save(file, vectors)
        with files.open_file(place) as file:
            return np.load(file)  # type: ignore[no-any-return]

    def texts(self) -> Texts | None:
        """Return texts for one model; a fine-tuned one gets a tower of its own."""
        if self.config.text.trainable_layers == 0 or self.text_tower is None:
            vectors = self._text_vectors
            return None if vectors is None else Texts(vectors=vectors)
        tower = TextTower(self.config.text)
        return Texts(tower=tower, tokens=tower.token_table(self.prepared.texts))

    def retrieval(
        self,
        stretch: Stretch,
        stage: dict[str, str],
        title: str,
        *,
        log: EventLog | None = None,
        epochs: int | None = None,
        start: Learned | None = None,
    ) -> tuple[RetrievalModel, Fit]:
        """Fit the retrieval model on a stretch of the events.

        In: `log`: the events of that stretch, unless they are the evaluation's;
        `epochs`: how many; None asks validation when to stop. `start`: the fit whose
        weights it begins with, as `WarmStart.choose` has chosen it.
        """
        log = stretch.of(self.prepared.events) if log is None else log
        config, train = self.config.retrieval, self.config.train

        def make() -> RetrievalModel:
            tf.keras.utils.set_random_seed(train.seed)
            return RetrievalModel(
                prepared=self.prepared,
                log=log,
                texts=self.texts(),
                config=config,
                train=train,
            )

        if self.crew.commands:
            order = order_of("retrieval", self.prepared, stretch, log)
            self._send({**order, "epochs": epochs}, stage["folder"], title, start)
        model = self.crew.made(make)
        batches = self._windows(log, stretch)
        validate = None if epochs else self._validation(model, log)
        schedule = Schedule(
            epochs=epochs or config.epochs,
            patience=config.patience,
            learning_rate=config.learning_rate,
            # A refit of fewer epochs goes down the curve of the fit that chose them.
            decay_epochs=config.epochs if config.decay else 0,
            keeps_last=config.keep == "last",
            text_learning_rate=self.config.text.learning_rate,
            validate=validate,
            checkpoint_steps=train.checkpoint_steps,
        )
        warm = self.config.warm_start.epochs
        made = _Made("retrieval", log, epochs, warm, start)
        return self._fit(model, make, batches, schedule, title, stage, made)

    def _fit(
        self,
        model: Model,
        make: Callable[[], Model],
        batches: Batches,
        schedule: Schedule,
        title: str,
        stage: dict[str, str],
        made: "_Made",
    ) -> tuple[Model, Fit]:
        """Fit a model; what is returned is of one device and float32 in any case."""
        start = made.start and self._begun(model, batches, made.stage, made.start)
        if start is not None:
            warm = self.config.warm_start
            schedule = dataclasses.replace(
                schedule,
                epochs=made.epochs or made.warm_epochs,
                patience=warm.patience,
                decay_epochs=made.warm_epochs if schedule.decay_epochs else 0,
                learning_rate=schedule.learning_rate * warm.learning_rate,
            )
        found = fit(
            model,
            batches,
            schedule,
            title=title,
            describe=self._whose,
            crew=self.crew,
            **stage,
        )
        self.crew.ended()
        if not self.crew.leads:
            return model, found
        if not self.crew.keeps_models:
            model = make()
            build(model, batches)
            take_best(model, stage["folder"])
        if Learned.read(stage["folder"]) is None:
            self._learned(model, found, stage["folder"], made, start).write()
        return model, found

    def _send(
        self, order: dict[str, Any], folder: str, title: str, start: Learned | None
    ) -> None:
        """Tell other workers what is fitted now."""
        self.texts()  # Encoded and kept before the others ask for them.
        told = {"folder": folder, "title": title, "start": start and start.folder}
        self.crew.send({**order, **told}, folder)

    def _begun(
        self, model: CountedModel, batches: Batches, stage: Stage, start: Learned
    ) -> Learned | None:
        """Give a model the weights it begins with; None, said why, if none fit."""
        with self.crew.scope():
            build(model, batches)  # Creates its own.
        features, tables = self.prepared.features, shaping(self.config, stage)
        differences = start.differences(tables, features)
        fits = tables["text"] == start.tables["text"]
        wrong = [] if fits else ["the text tower is another one"]
        wrong = wrong or carry(model, start, ids_of(model, self.prepared), features)
        if not wrong:
            return start
        reason = (
            f"{start.folder}: its weights do not fit this {stage} model: "
            f"{'; '.join([*differences, *wrong[:2]])}"
        )
        if self.config.warm_start.otherwise == "refuse":
            raise TrainingError(
                f'{reason}. [warm_start] otherwise = "refuse": set back what differs, '
                'or take "scratch".'
            )
        say(f"From scratch: {reason}.")
        return None

    def _learned(
        self,
        model: CountedModel,
        found: Fit,
        folder: str,
        made: "_Made",
        start: Learned | None,
    ) -> Learned:
        """Say what a fit's weights stand for, and what they know."""
        prepared, test = self.prepared, self.prepared.cut(TEST)
        end = int(made.log.time.max()) + 1 if len(made.log) else 0
        chosen = max(end, prepared.end_time if test is None else test)
        if start is not None:
            end, chosen = max(end, start.end), max(chosen, start.chosen)
        return Learned(
            folder=folder,
            end=end,
            chosen=chosen,
            epochs=found.best_epoch if start is None else start.epochs,
            tables=shaping(self.config, made.stage),
            ids=ids_of(model, prepared),
            features=prepared.features,
            names=list(named_weights(model)),
            weights=digest_of(model),
            start="" if start is None else start.weights,
        )

    def _whose(self, batch: Batch) -> str:
        """Say which users' examples a batch holds."""
        users = np.unique(batch["user"].numpy())
        shown = ", ".join(repr(str(i)) for i in self.prepared.user_ids[users[:SHOWN]])
        more = ", ..." if len(users) > SHOWN else ""
        return f"of {len(users):,} users: {shown}{more}"

    def _windows(self, log: EventLog, stretch: Stretch) -> Batches:
        config, train = self.config.retrieval, self.config.train
        settings = {
            "max_length": config.history_length,
            "batch_size": config.batch_size,
            "seed": train.seed,
        }
        if len(log.read) <= train.events_in_memory:
            return sequence_batches(log.read, **settings)
        prepared = self.prepared
        return streamed_batches(
            prepared.shards(),
            dataclasses.replace(stretch, likes_alone=log.likes_alone),
            is_untied=prepared.is_untied,
            **settings,
        )

    def _next_events(self, log: EventLog) -> NextEvents:
        known = log.item_counts(self.prepared.num_items) > 0
        known |= self.prepared.asks_for_cold_items
        train = self.config.train
        return NextEvents(self.prepared, known, train.validation_events, train.seed)

    def _validation(self, model: RetrievalModel, log: EventLog) -> Validate | None:
        """Return what stops the fit: it asks what the evaluation will ask.

        Where a time parts the events that is what comes later, also of a model that is
        taught the next event: asked for that, it is at its best epochs earlier.
        """
        if self.prepared.cut(VALIDATION) is not None:
            return self._later_ndcg(model)
        return self._next_event_ndcg(model, log)

    def _later_ndcg(self, model: RetrievalModel) -> Validate | None:
        prepared, train = self.prepared, self.config.train
        asked = Questions.of(prepared, train.validation_events, train.seed)
        if len(asked) == 0:
            return None
        events, counted = prepared.events, prepared.counted
        queries = asked.queries(events)

        def validate() -> float:
            scorer = RetrievalScorer(model, prepared, events, counted=counted)
            return mean_ndcg_of(prepared, queries, scorer, "retrieval")

        return partial(with_best_boost, model, validate)

    def _next_event_ndcg(self, model: RetrievalModel, log: EventLog) -> Validate | None:
        asked = self._next_events(log)
        if len(asked) == 0:  # Nothing can stop it early, so it lasts its epochs.
            return None
        events, counted = self.prepared.events, self.prepared.counted

        def validate() -> float:
            scorer = RetrievalScorer(model, self.prepared, events, counted=counted)
            ranks = []
            for rows in _chunks(len(asked)):
                requests = _requests(asked, rows, scorer.length)
                scores = asked.mask(scorer.scores(requests), rows)
                ranks.append(asked.ranks(scores, rows))
            return mean_ndcg(np.concatenate(ranks)) if ranks else 0.0

        return validate

    def ranking(
        self,
        log: EventLog,
        examples: Examples,
        stage: dict[str, str],
        title: str,
        *,
        validation: RankingValidation | None = None,
        validates: bool = False,
        epochs: int | None = None,
        affinity_weight: float = 0.0,
        start: Learned | None = None,
    ) -> tuple[RankingModel, Fit]:
        """Fit the ranking model on examples.

        In: `validation`: what stops it, unless `epochs` says how many; `validates`:
        the worker that leads does that, not this one; `start`: as for `retrieval`.
        """
        config, train = self.config.ranking, self.config.train

        def make() -> RankingModel:
            tf.keras.utils.set_random_seed(train.seed + 1)
            return RankingModel(
                prepared=self.prepared,
                log=log,
                texts=self.texts(),
                config=config,
                train=train,
                affinity_weight=affinity_weight,
            )

        asks = epochs is None and validation is not None and len(validation) > 0
        if self.crew.commands:
            everything = len(log) == len(self.prepared.as_happened)
            stretch = Stretch() if everything else self.prepared.training()
            order = order_of(
                "ranking",
                self.prepared,
                stretch,
                log,
                epochs=epochs,
                validates=asks,
                affinity_weight=affinity_weight,
                examples=leave_columns(examples.columns, stage["folder"]),
            )
            self._send(order, stage["folder"], title, start)
        model = self.crew.made(make)
        batches = array_batches(
            examples.columns, batch_size=config.batch_size, seed=train.seed
        )
        validate: Validate | None = _elsewhere if validates else None
        if asks and validation is not None:
            validate = partial(validation.ndcg, model)
        schedule = Schedule(
            epochs=epochs or config.epochs,
            patience=config.patience,
            learning_rate=config.learning_rate,
            text_learning_rate=self.config.text.learning_rate,
            validate=validate,
            checkpoint_steps=train.checkpoint_steps,
        )
        warm = self.config.warm_start.ranking_epochs
        made = _Made("ranking", log, epochs, warm, start)
        return self._fit(model, make, batches, schedule, title, stage, made)

    def affinity(self, log: EventLog) -> Affinity:
        """Learn from a log which items are met by the same users."""
        dim = self.config.ranking.affinity_dim
        return Affinity.of(log, self.prepared.num_items, dim)

    def ranking_validation(
        self, retrieval: RetrievalScorer, inputs: RankingInputs
    ) -> RankingValidation:
        """Ask the validation part's questions of a retrieval model."""
        train = self.config.train
        asked = Questions.of(self.prepared, train.validation_events, train.seed)
        number = self.config.ranking.candidates
        return RankingValidation(retrieval, inputs, asked, number)


@dataclass(frozen=True)
class _Made:
    """What a fit is made of: its events, how many epochs, what it begins with."""

    stage: Stage
    log: EventLog
    epochs: int | None
    warm_epochs: int
    start: Learned | None


def _elsewhere() -> float:
    raise RuntimeError("validation is for the worker that leads")


def _chunks(number: int) -> list[np.ndarray]:
    return [np.arange(i, min(i + CHUNK, number)) for i in range(0, number, CHUNK)]


def _requests(asked: NextEvents, rows: np.ndarray, length: int) -> Requests:
    return Requests.of(
        asked.log, asked.users[rows], asked.counts[rows], asked.times[rows], length
    )
