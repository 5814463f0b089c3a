"""Builds the servables of a fitted experiment and publishes them as SavedModels."""

import dataclasses
import datetime
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from data import files
from data.changes import Changes
from data.console import say, step
from data.events import TEST, VALIDATION, EventLog
from data.prepared import Prepared
from data.schema import as_table
from trainer.catalogue.exported import CHANGES
from trainer.config import ExperimentConfig, IndexKind
from trainer.evaluation.scorers import RetrievalScorer
from trainer.export.manifest import (
    described,
    ops_beyond_stock,
    package_versions,
    size_of,
)
from trainer.export.model_card import model_card
from trainer.export.publish import SERVABLES, new_version, prune, publish, write_configs
from trainer.export.recall_gate import checked, index_queries
from trainer.export.servables import (
    RankingServable,
    RecommenderServable,
    RetrievalServable,
    Servable,
)
from trainer.export.warmup import examples, write_warmup
from trainer.inputs.affinity import Affinity
from trainer.inputs.requests import RankingInputs
from trainer.models.content import ContentGraph
from trainer.models.diversify import Diversifier, Diversity
from trainer.models.index import scann
from trainer.models.index.base import Index
from trainer.models.index.build import build_index
from trainer.models.index.prior import Prior
from trainer.models.ranking import RankingModel
from trainer.models.recommender import RankingGraph, RetrievalGraph
from trainer.models.retrieval import RetrievalModel
from trainer.models.state import Catalogue, Limits, UserState
from trainer.models.text_tower import TextTower
from trainer.models.trend import Trend

MANIFEST_FORMAT = 1


@dataclass(frozen=True)
class Fitted:
    """What is exported: both models, and the events that serving may know.

    `end_time`: Unix seconds; a request without a time is made then. `changes`: how the
    items differ from those that the models were fitted with.
    """

    prepared: Prepared
    log: EventLog
    end_time: int
    retrieval: RetrievalModel
    ranking: RankingModel
    affinity: Affinity
    calibration: tuple[float, float]
    text_tower: TextTower | None
    changes: Changes = field(default_factory=Changes)

    @property
    def compared(self) -> np.ndarray:
        """Tell which items' scores a candidate's are compared with. Out: bool (n,).

        What was servable when the models were fitted: an item's score must not change
        because another one came.
        """
        if not self.changes:
            return self.prepared.servable
        return dataclasses.replace(self.prepared, other_items=None).servable


def known_to_evaluated(prepared: Prepared) -> tuple[EventLog, int]:
    """Return the events that an export of the evaluated fit knows, and their end."""
    log, cut = prepared.events.through(VALIDATION), prepared.cut(TEST)
    return log, int(log.time.max()) + 1 if cut is None else cut


def export(
    fitted: Fitted,
    config: ExperimentConfig,
    models: str,
    about: dict[str, Any],
    *,
    prunes: bool = True,
) -> int:
    """Publish `retrieval`, `ranking` and `recommender` under one new version.

    In: `models`: the folder of the servables; `about`: what the manifests say beside
    what is known here (runs, metrics); `prunes`: whether older versions go at once,
    not once the labels that may name them are written. Out: the version.
    Raises: GateRefused, before anything is written, when an index finds too little.
    """
    version = new_version(models)
    # Vocabularies are written to files, which the SavedModels then keep as assets.
    with step("Exporting the servables"), tempfile.TemporaryDirectory() as scratch:
        builder = Builder(fitted, config, scratch)
        for name in SERVABLES:  # The gate, before anything is written.
            builder.index(builder.kind_of(name))
        savers = {name: builder.saver(name, version, about) for name in SERVABLES}
        publish(models, version, savers)
        if prunes:
            prune(models, config.export.keep_versions)
        write_configs(models)
    return version


class Builder:
    """Makes the parts that servables share, and saves each servable."""

    def __init__(self, fitted: Fitted, config: ExperimentConfig, scratch: str) -> None:
        self.fitted, self.config = fitted, config
        prepared, log = fitted.prepared, fitted.log
        self.vectors = fitted.retrieval.item_vectors(prepared.num_items)
        # Without state of users nobody is known: row 0 is all that stands in tables.
        users = np.arange(prepared.num_users * config.export.user_state + 1)
        self.user_vectors = fitted.retrieval.user_vectors(len(users) - 1)
        trend = Trend(prepared, log).at(fitted.end_time)
        self.index_vectors = fitted.retrieval.index_vectors(self.vectors, trend)
        inputs = RankingInputs.of(prepared, log, fitted.affinity)
        now = np.int64(fitted.end_time)
        limits = Limits(
            history=config.retrieval.history_length,
            seen=config.export.max_seen,
            user_state=config.export.user_state,
        )
        user_ids = ""
        if config.export.user_state:
            user_ids = _vocabulary(scratch, "user_ids.txt", prepared.user_ids)
        item_ids = _vocabulary(scratch, "item_ids.txt", prepared.item_ids)
        self.users = UserState(prepared, log, limits, user_ids)
        self.catalogue = Catalogue(prepared, item_ids)
        self.ranking = RankingGraph(
            model=fitted.ranking,
            parts=fitted.ranking.item_parts(prepared.num_items),
            users=fitted.ranking.user_vectors(len(users) - 1),
            item_statistics=inputs.items.at(np.arange(prepared.num_items + 1), now),
            user_statistics=inputs.users.at(users, now),
            affinity=fitted.affinity,
            profiles=fitted.affinity.profiles(log, users, log.user_counts()[users]),
            index_vectors=self.index_vectors,
            servable=fitted.compared,
            calibration=fitted.calibration,
            dtype=config.export.table_dtype,
        )
        self.prior = liked_shares(prepared, log)
        scorer = RetrievalScorer(fitted.retrieval, prepared, log, now=fitted.end_time)
        self.queries = index_queries(
            scorer, log, fitted.end_time, self.index_vectors, prepared.servable
        )
        self._indexes: dict[IndexKind, tuple[Index, dict[str, Any]]] = {}
        self.content = ContentGraph(
            features=prepared.features,
            items=fitted.retrieval.item_tower,
            text_tower=fitted.text_tower,
        )

    def kind_of(self, name: str) -> IndexKind:
        """Return the kind of a servable's index."""
        export = self.config.export
        is_first = name == "retrieval"
        return export.retrieval_index if is_first else export.recommender_index

    def index(self, kind: IndexKind) -> tuple[Index, dict[str, Any]]:
        """Build an index, once, and measure it. Raises: GateRefused."""
        if kind not in self._indexes:
            export = self.config.export
            tables = (self.index_vectors, self.fitted.prepared.servable)
            if kind == "scann" and not scann.is_available():
                say("ScaNN has no wheel for this platform: partitions take its place.")
            index = build_index(
                kind,
                *tables,
                queries=self.queries.tuning,
                k=max(export.recall_k, self.config.ranking.candidates),
                depth=self._usual_depth(),
                recall=export.recall_floor,
                dtype=export.table_dtype,
            )
            quality = index.settings() | checked(index, *tables, self.queries, export)
            self._indexes[kind] = index, quality
        return self._indexes[kind]

    def _usual_depth(self) -> int:
        """Return how deep most requests look: what a user has seen is often nearest.

        An index that is tuned to less answers them in two searches.
        """
        counts = self.fitted.log.user_counts()
        counts = counts[counts > 0]
        number = self.config.ranking.candidates
        return number + int(min(np.median(counts), number)) if len(counts) else number

    def retrieval_graph(self, kind: IndexKind) -> RetrievalGraph:
        """Build the first stage over an index of a kind."""
        prepared = self.fitted.prepared
        return RetrievalGraph(
            model=self.fitted.retrieval,
            vectors=self.vectors,
            user_vectors=self.user_vectors,
            index=self.index(kind)[0],
            index_vectors=self.index_vectors,
            dtype=self.config.export.table_dtype,
            prior=Prior(self.prior, prepared.servable),
            users=self.users,
            servable=prepared.servable,
            end_time=self.fitted.end_time,
        )

    def servable(self, name: str) -> Any:
        """Build a servable."""
        export, features = self.config.export, self.fitted.prepared.features
        shared: dict[str, Any] = {"catalogue": self.catalogue, "features": features}
        shared["retrieval"] = self.retrieval_graph(self.kind_of(name))
        if name == "ranking":
            return RankingServable(ranking=self.ranking, **shared)
        shared |= {"content": self.content, "config": export}
        if name == "retrieval":
            return RetrievalServable(**shared)
        return RecommenderServable(
            ranking=self.ranking, diversifier=self._diversifier(), **shared
        )

    def _diversifier(self) -> Diversifier | None:
        export, prepared = self.config.export, self.fitted.prepared
        diversity = Diversity(mmr=export.mmr, cap=export.max_per_category)
        if diversity.is_off:
            return None
        codes = np.zeros((prepared.num_items + 1, 1), np.int32)
        if export.category:
            codes = prepared.item_features[export.category]
        return Diversifier(diversity, codes.reshape(len(codes), -1))

    def saver(self, name: str, version: int, about: dict[str, Any]) -> Any:
        """Return a function that saves a servable into a folder."""

        def save(folder: str) -> None:
            servable = self.servable(name)
            signatures = servable.signatures()
            options = tf.saved_model.SaveOptions(
                namespace_whitelist=["Scann", "TFText"],
                experimental_custom_gradients=False,  # Nobody trains a servable.
            )
            tf.saved_model.save(_read_by(servable), folder, signatures, options)
            inputs = examples(signatures, self.fitted.prepared, self.config.export)
            write_warmup(folder, name, inputs)
            manifest = self._manifest(name, version, folder, signatures, about)
            self.fitted.changes.write(files.join(folder, *CHANGES))
            files.write_text(files.join(folder, "MODEL_CARD.md"), model_card(manifest))
            files.write_json(files.join(folder, "manifest.json"), manifest)

        return save

    def _manifest(
        self,
        name: str,
        version: int,
        folder: str,
        signatures: dict[str, Any],
        about: dict[str, Any],
    ) -> dict[str, Any]:
        prepared, export = self.fitted.prepared, self.config.export
        index, quality = self.index(self.kind_of(name))
        return {
            "format": MANIFEST_FORMAT,
            "servable": name,
            "version": version,
            "created": datetime.datetime.now(datetime.UTC).isoformat(
                timespec="seconds"
            ),
            "data": {
                "fingerprint": prepared.fingerprint,
                "counts": prepared.manifest["counts"],
                "events_known": len(self.fitted.log),
                "end_time": self.fitted.end_time,
            },
            "catalogue_changes": self.fitted.changes.summary(prepared),
            "limits": {
                "k": export.k,
                "max_k": export.max_k,
                "max_history": export.max_history,
                "max_exclude": export.max_exclude,
            },
            "signatures": {s: described(f) for s, f in signatures.items()},
            "index": {
                "kind": index.kind,
                "items": int(prepared.servable.sum()),
                **quality,
            },
            "ops_beyond_stock": ops_beyond_stock(folder),
            "bytes": size_of(folder),
            "packages": package_versions(),
            "config": as_table(self.config),
            **about,
        }


def liked_shares(prepared: Prepared, log: EventLog) -> np.ndarray:
    """Return the share of users who liked each item. Out: float32 (items + 1,)."""
    liked, width = log.positive, prepared.num_items + 1
    # Who met an item again and again likes it once.
    pairs = np.unique(log.user[liked].astype(np.int64) * width + log.item[liked])
    users = max(int((log.user_counts() > 0).sum()), 1)
    return (np.bincount(pairs % width, minlength=width) / users).astype(np.float32)


def _read_by(servable: Servable) -> tf.Module:
    """Return a module with what a servable's graphs read, and nothing around it.

    To save a module asks it, and each on the way down, for all that is below: that
    takes longer than to write it. What is read keeps its path; tables that others read
    back have a name.
    """
    kinds = (tf.Variable, tf.saved_model.experimental.TrackableResource)
    view, tables = tf.train.TrackableView(servable), servable.tables()
    met = {id(table) for table in tables.values()}

    def below(whole: Any) -> Any:
        if id(whole) in met:
            return None
        met.add(id(whole))
        if isinstance(whole, kinds):
            return whole
        found = {name: below(part) for name, part in view.children(whole).items()}
        return {name: part for name, part in found.items() if part is not None} or None

    module = tf.Module(name=servable.name)
    module.tables, module.read = tables, below(servable)
    return module


def _vocabulary(folder: str, name: str, ids: np.ndarray) -> str:
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.writelines(f"{value}\n" for value in ids[1:])
    return path
