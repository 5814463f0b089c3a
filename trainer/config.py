"""The configuration of an experiment: one TOML into frozen dataclasses.

Every key is known and every value checked before any work starts. `[data]` belongs
to the data package; all other tables are described here, defaults included.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from data.errors import ConfigError, nearest
from data.features import FeatureSet
from data.schema import DataConfig, as_table
from data.settings import build, read_toml
from trainer.jobs.config import PipelineConfig

IndexKind = Literal["brute_force", "partitioned", "scann"]
TableDtype = Literal["float32", "float16"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Strategy = Literal["none", "mirrored", "multi_worker", "parameter_server"]
SEVERAL = ("multi_worker", "parameter_server")
"""Strategies of several processes, which TF_CONFIG names."""


def _positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value <= 0:
            raise ConfigError(f"{name} is {value}, expected above 0.")


def _share(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise ConfigError(f"{name} is {value}, expected from 0 to below 1.")


def _at_least_0(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value < 0:
            raise ConfigError(f"{name} is {value}, expected 0 or more.")


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The text tower: a BERT of keras-nlp.

    `preset`: a name of the catalog, a keras-nlp preset, a hub address or a local
    folder; "" switches text off. `trainable_layers`: the last so many Transformer
    layers are fine-tuned; 0 keeps the weights and encodes each text once.
    """

    preset: str = "all-minilm-l6-v2"
    max_tokens: int = 48
    trainable_layers: int = 0
    learning_rate: float = 2e-5

    def __post_init__(self) -> None:
        _positive(self, "max_tokens", "learning_rate")
        if self.trainable_layers < 0:
            raise ConfigError("trainable_layers is below 0.")


Encoder = Literal["gated", "transformer", "mean"]


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig:
    """The two towers and their training.

    `block`: what reads a history: Transformer blocks, those with gates, or the mean
    of its items, which knows no order and takes no `blocks` and `heads`.

    `horizon`: a target lies at most so many events ahead, drawn anew in each step, near
    ones more often than far ones; 0 is the next event. What a list is to hold for days
    is not what comes in a minute.

    `use_time`: hour, weekday and pause before the request; `use_trend`: how popular
    items are at that moment.

    `unseen_only`: what a user had met by then does not compete with a target, as a
    request leaves it out.

    `loss`: which items a target is told from: the batch's own targets (`log_q`
    corrects for their popularity), `negatives` drawn for each batch, evenly or half of
    them from its targets ("mixed"), or all. `hard_negatives`: so many more for each
    target, the nearest to it in the model's own index, found anew before each epoch;
    of no use to "in_batch" and "full_softmax". `gbce_calibration`: from 0 to 1.
    `item_id_dropout`: how often an item is its content alone in training; the more,
    the better new items are found. `text_dropout`: how much of a text vector.
    `batch_size`: how many histories of full length; of shorter ones it has more.
    `decay`: the learning rate falls along half a cosine over `epochs`. `keep`: the
    weights of the epoch that validation likes best, or of the last one, where few
    questions tell epochs apart by chance alone; then no fit ends early.
    `members`: so many models of other initial weights are fitted at once, and the mean
    of their scores counts: lists are better, and time, vectors and index as many times
    as large.
    """

    dim: int = 64
    members: int = 1
    history_length: int = 50
    horizon: int = 0
    block: Encoder = "transformer"
    blocks: int = 2
    heads: int = 2
    dropout: float = 0.2
    item_id_dropout: float = 0.1
    text_dropout: float = 0.0
    user_id_dropout: float = 0.5
    use_user_id: bool = True
    use_time: bool = True
    use_trend: bool = True
    loss: Literal["in_batch", "sampled_softmax", "full_softmax", "gbce"] = "in_batch"
    log_q: bool = True
    unseen_only: bool = False
    negatives: int = 512
    negative_sampling: Literal["uniform", "mixed"] = "mixed"
    hard_negatives: int = 0
    gbce_calibration: float = 0.75
    temperature: float = 0.12
    batch_size: int = 64
    learning_rate: float = 2e-3
    decay: bool = False
    keep: Literal["best", "last"] = "best"
    epochs: int = 30
    patience: int = 4

    def __post_init__(self) -> None:
        _positive(self, "dim", "history_length", "blocks", "heads", "temperature")
        _positive(self, "members")
        _positive(self, "batch_size", "learning_rate", "epochs", "patience")
        _share(self, "dropout", "item_id_dropout", "user_id_dropout", "text_dropout")
        if self.block != "mean" and self.dim % self.heads:
            raise ConfigError(f"dim {self.dim} is no multiple of heads {self.heads}.")
        _positive(self, "negatives")
        _at_least_0(self, "horizon", "hard_negatives")
        if self.hard_negatives and self.loss not in ("sampled_softmax", "gbce"):
            raise ConfigError(
                f"hard_negatives is {self.hard_negatives} with loss {self.loss!r}, "
                "which compares with no drawn items. Take loss 'sampled_softmax' or "
                "'gbce'."
            )
        if not 0 <= self.gbce_calibration <= 1:
            raise ConfigError(
                f"gbce_calibration is {self.gbce_calibration}, expected from 0 to 1."
            )


@dataclass(frozen=True, kw_only=True)
class RankingConfig:
    """The ranking model, the examples it learns from, and its training.

    `window`: the newest share of the training events makes the examples; the
    retrieval model that chooses their negatives is fitted on what came before.

    `answers`: "later" asks for what users like until a horizon, as an evaluation by
    time does, "next" for the next event; "auto" is "later" where a time parts the
    events. `horizon_days`: 0 is as long as the validation part. Of "later":
    `slices` moments at which all users with a past are asked, `requests_per_user`
    events at whose time each user is asked at most, and how many `likes` and
    `dislikes` of each request are drawn at most.

    `index_negatives` of each example come from that model's first `candidates`,
    `random_negatives` from the whole catalogue. Of more than `max_examples` requests
    a random choice is taken.

    `listwise`: the share of the softmax over a request's candidates in the loss of
    the likes; the rest is the logistic loss of each alone. `rating_weight`: 0 leaves
    the rating's head out. `attention_heads`, `affinity_dim`: 0 leaves out a
    candidate's attention over the history, or how it is liked by those who like what
    the user likes.
    """

    dim: int = 32
    cross_layers: int = 2
    cross_rank: int = 48
    mlp: tuple[int, ...] = (128, 64)
    attention_heads: int = 2
    affinity_dim: int = 64
    dropout: float = 0.3
    item_id_dropout: float = 0.5
    user_id_dropout: float = 0.95
    listwise: float = 1.0
    like_weight: float = 1.0
    rating_weight: float = 0.2
    order_by: Literal["like", "rating"] = "like"
    window: float = 0.3
    answers: Literal["auto", "next", "later"] = "auto"
    horizon_days: float = 0.0
    slices: int = 8
    requests_per_user: int = 2
    likes: int = 6
    dislikes: int = 2
    candidates: int = 200
    index_negatives: int = 20
    random_negatives: int = 4
    max_examples: int = 100_000
    batch_size: int = 64
    learning_rate: float = 2e-4
    epochs: int = 6
    patience: int = 2

    def __post_init__(self) -> None:
        _positive(self, "dim", "cross_layers", "cross_rank", "candidates", "window")
        _positive(self, "batch_size", "learning_rate", "epochs", "patience", "likes")
        _positive(self, "max_examples")
        _share(self, "dropout", "item_id_dropout", "user_id_dropout", "window")
        _at_least_0(self, "attention_heads", "affinity_dim", "horizon_days", "slices")
        _at_least_0(self, "requests_per_user", "dislikes", "rating_weight")
        _at_least_0(self, "random_negatives")
        if min(self.mlp, default=1) < 1:
            raise ConfigError(
                f"mlp is {list(self.mlp)}, expected the widths of its layers, whole "
                "numbers from 1 up."
            )
        if not 0 <= self.listwise <= 1:
            raise ConfigError(f"listwise is {self.listwise}, expected from 0 to 1.")
        if self.attention_heads and self.dim % self.attention_heads:
            raise ConfigError(
                f"dim {self.dim} is no multiple of attention_heads "
                f"{self.attention_heads}."
            )
        if self.answers != "next" and not self.slices + self.requests_per_user:
            raise ConfigError(
                "slices and requests_per_user are 0: expected one above 0, or "
                'answers = "next".'
            )
        if self.index_negatives < self.random_negatives or self.index_negatives < 1:
            raise ConfigError(
                f"index_negatives is {self.index_negatives} and random_negatives "
                f"{self.random_negatives}: expected at least half from the index."
            )
        if self.like_weight <= 0:
            raise ConfigError(f"like_weight is {self.like_weight}, expected above 0.")
        if self.order_by == "rating" and not self.rating_weight:
            raise ConfigError('order_by = "rating" wants a rating_weight above 0.')


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How both models are fitted, whatever they are.

    `validation_events`: an epoch is asked at most so many questions: of users at four
    moments where a time parts the events, else of single events. More events than
    `events_in_memory` are read from disk while the retrieval model trains.

    `precision`: the numbers that layers compute in; variables, losses and what is
    exported are float32. `strategy`: who takes the steps: one device, or the GPUs of
    this machine, `devices` of them, 0 for all, or several machines, which TF_CONFIG
    names to each; with parameter servers, tables are divided over them into parts of
    `shard_mb` or more, in 2^20 bytes. A batch is the whole one of `batch_size` and the
    result the same, whatever their number. `checkpoint_steps`: a checkpoint after so
    many steps too, so that no more are lost; 0 for one after each epoch.
    """

    seed: int = 42
    clip_norm: float = 5.0
    validation_events: int = 2_000
    events_in_memory: int = 20_000_000
    precision: Precision = "float32"
    strategy: Strategy = "none"
    devices: int = 0
    shard_mb: float = 16.0
    checkpoint_steps: int = 0

    def __post_init__(self) -> None:
        _positive(self, "clip_norm", "validation_events", "shard_mb")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ConfigError(
                f"seed is {self.seed}, expected a whole number from 0 to "
                f"{LARGEST_SEED}."
            )
        if self.events_in_memory < 0:
            raise ConfigError("events_in_memory is below 0.")
        if self.precision == "mixed_float16":
            raise ConfigError(
                'precision is "mixed_float16", whose gradients vanish unless the loss '
                "is scaled, which TensorFlow Recommenders never does: nor can its mask "
                "of accidental hits be written in it. Take mixed_bfloat16, or float32."
            )
        _at_least_0(self, "devices", "checkpoint_steps")
        if self.devices and self.strategy != "mirrored":
            raise ConfigError(
                f"devices is {self.devices} with strategy {self.strategy!r}, which "
                "takes no number of them. Leave devices out, or take strategy "
                "'mirrored'."
            )


LARGEST_SEED = 2**32 - 2  # Of NumPy's; the second model takes the one after.
WHERE_FITTED = ("strategy", "devices", "shard_mb", "checkpoint_steps")
"""Fields of TrainConfig that change nothing about a fitted model."""


@dataclass(frozen=True, kw_only=True)
class WarmStartConfig:
    """How a fit lasts that begins with the weights of an earlier one.

    `epochs`, `ranking_epochs`: at most so many of either model; `patience`: of both.
    `early_epochs`: of the retrieval model on earlier events, which chooses the ranking
    model's negatives and is asked nothing else: what it began with did so before.
    `learning_rate`: as a share of each model's own. `otherwise`: what happens where
    no earlier weights fit: all is fitted from "scratch", which is said, or it is an
    error ("refuse").
    """

    epochs: int = 3
    early_epochs: int = 1
    ranking_epochs: int = 2
    patience: int = 2
    learning_rate: float = 1.0
    otherwise: Literal["scratch", "refuse"] = "scratch"

    def __post_init__(self) -> None:
        names = ("epochs", "early_epochs", "ranking_epochs", "patience")
        _positive(self, *names, "learning_rate")
        if self.learning_rate > 1:
            raise ConfigError(
                f"learning_rate is {self.learning_rate}, expected a share of the "
                "models' own, at most 1."
            )


BASELINES = (
    *("popularity", "popularity_7d", "popularity_30d"),
    *("item_knn", "ease", "ials"),
)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What the quality report computes.

    `baselines`: names, of `BASELINES`; true stands for all of them, false for none.
    """

    ks: tuple[int, ...] = (5, 10, 20, 50, 100)
    baselines: bool | tuple[str, ...] = True

    def __post_init__(self) -> None:
        if not self.ks or min(self.ks) < 1:
            raise ConfigError(f"ks is {self.ks}, expected whole numbers from 1 up.")
        for name in self.baseline_names:
            if name not in BASELINES:
                hint = nearest(name, BASELINES)
                raise ConfigError(f"baselines: unknown baseline {name!r}. {hint}")

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """Return the baselines of the report, in the order they are named."""
        if isinstance(self.baselines, bool):
            return BASELINES if self.baselines else ()
        return self.baselines


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What the servables hold and allow.

    `refit`: "full" fits both models anew on all events with the epochs that
    validation chose; "none" exports the evaluated fit. `k`: items that
    `serving_default` returns. `max_history`, `max_exclude`: the widths that clients
    send. `max_seen`: seen items kept for each user, the newest.

    `recall_floor`: an index that finds a smaller share of the best `recall_k` items
    than exact search does is not exported.

    `table_dtype`: how the large tables of items and users are stored, ScaNN's own
    aside. "float16" halves them and the memory of a server; numbers are computed in
    float32 all the same, and the index is measured as it is stored.

    `mmr`: how much difference counts in a recommended list against the score, from 0
    to 1 (maximal marginal relevance). `max_per_category`: items of one value of the
    item column `category` before others come first; 0 for no such cap.
    """

    refit: Literal["full", "none"] = "full"
    k: int = 10
    max_k: int = 1_000
    max_history: int = 50
    max_exclude: int = 100
    max_seen: int = 5_000
    user_state: bool = True
    retrieval_index: IndexKind = "scann"
    recommender_index: IndexKind = "partitioned"
    recall_k: int = 100
    recall_floor: float = 0.98
    table_dtype: TableDtype = "float32"
    mmr: float = 0.0
    max_per_category: int = 0
    category: str = ""
    keep_versions: int = 3

    def __post_init__(self) -> None:
        _positive(self, "k", "max_k", "max_history", "max_exclude", "max_seen")
        _positive(self, "keep_versions", "recall_k")
        if not 0 <= self.recall_floor <= 1:
            raise ConfigError(
                f"recall_floor is {self.recall_floor}, expected from 0 to 1."
            )
        if self.k > self.max_k:
            raise ConfigError(f"k is {self.k}, above max_k {self.max_k}.")
        _at_least_0(self, "max_per_category")
        if not 0 <= self.mmr <= 1:
            raise ConfigError(f"mmr is {self.mmr}, expected from 0 to 1.")
        if bool(self.max_per_category) != bool(self.category):
            raise ConfigError(
                f"max_per_category is {self.max_per_category} and category "
                f"{self.category!r}: expected both or neither."
            )

    def check(self, features: FeatureSet) -> None:
        """Raise ConfigError if `category` is no item column of values."""
        kinds = ("categorical", "multi_categorical")
        names = [f.name for f in features.items if f.kind in kinds]
        if self.category and self.category not in names:
            raise ConfigError(
                f"[export] category: {self.category!r} is no item column of kind "
                f"{' or '.join(kinds)}. {nearest(self.category, names)}"
            )


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """What a candidate of the retraining job must hold to be published.

    `model`, `metric`: what is compared, of all that the report measures. Against the
    champion the lower bound of the paired 95 % interval must lie above `margin`, a
    share of the champion's mean (-0.02: at most 2 % worse), over at least `min_users`
    users. `reference_margin`: how far all promotions together may fall below the
    first champion, a share too. `floor_baseline`: a baseline that must not be better
    for certain, "" for none; `floor`: the least that the metric may be.

    Shares that a candidate may lose of the champion's coverage (`coverage_loss`), of
    its recall of cold items (`cold_recall_loss`, if the loss is certain) and of its
    index's recall (`index_recall_loss`). `latency_ratio`, `size_ratio`: how many times
    the champion's, both timed in turns on one machine. `max_latency_ms`, `max_bytes`,
    `min_coverage`: bounds that need no champion, 0 for none.
    """

    model: Literal["two_stage", "retrieval"] = "two_stage"
    metric: str = "ndcg@10"
    margin: float = -0.02
    reference_margin: float = -0.05
    min_users: int = 50
    floor: float = 0.0
    floor_baseline: str = "popularity"
    coverage_loss: float = 0.3
    cold_recall_loss: float = 0.3
    index_recall_loss: float = 0.02
    latency_ratio: float = 1.5
    size_ratio: float = 2.0
    max_latency_ms: float = 0.0
    max_bytes: int = 0
    min_coverage: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "min_users", "latency_ratio", "size_ratio")
        _share(self, "floor", "coverage_loss", "cold_recall_loss", "min_coverage")
        _share(self, "index_recall_loss")
        _at_least_0(self, "max_latency_ms", "max_bytes")
        for name in ("margin", "reference_margin"):
            value = getattr(self, name)
            if not -1 < value < 1:
                raise ConfigError(
                    f"{name} is {value}, expected above -1 and below 1: -0.02 allows "
                    "a loss of 2 %."
                )
        if self.floor_baseline and self.floor_baseline not in BASELINES:
            raise ConfigError(
                f"floor_baseline: unknown baseline {self.floor_baseline!r}. "
                f"{nearest(self.floor_baseline, BASELINES)}"
            )


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """How the retraining job runs.

    `start`: "warm" begins with the champion's weights, "scratch" anew.
    `label`: which labels of a server move to a promoted version: both, or "canary"
    alone; `wait_s`: how long
    the server may take to load it; `server_root`: the models' folder as the server
    sees it, if under another name. `replay_weeks`: how many of the last weeks
    `make retrain` takes for new data.
    """

    start: Literal["warm", "scratch"] = "scratch"
    label: Literal["stable", "canary"] = "stable"
    wait_s: float = 300.0
    server_root: str = ""
    replay_weeks: float = 2.0

    def __post_init__(self) -> None:
        _positive(self, "wait_s", "replay_weeks")


@dataclass(frozen=True, kw_only=True)
class SkewConfig:
    """How far what was served may lie from what training computes.

    `max_mismatch`: the share of a feature's values, or of scores, that may differ;
    `max_score_difference`: by how much scores may. With at least `min_rows` values:
    `max_distance`, how far their distribution may lie from that of training's events
    beyond what chance gives (Kolmogorov-Smirnov of numbers, total variation of
    categories); `max_unknown`, the share that no vocabulary has, beyond that of the
    data set's newest events. 1 switches a bound on a share off.
    """

    max_mismatch: float = 0.01
    max_score_difference: float = 1e-3
    max_distance: float = 0.35
    max_unknown: float = 0.1
    min_rows: int = 200

    def __post_init__(self) -> None:
        _positive(self, "min_rows")
        _at_least_0(self, "max_score_difference")
        for name in ("max_mismatch", "max_distance", "max_unknown"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, expected a share from 0 to 1."
                )


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """The whole TOML of an experiment."""

    data: DataConfig
    text: TextConfig = field(default_factory=TextConfig)
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    ranking: RankingConfig = field(default_factory=RankingConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    warm_start: WarmStartConfig = field(default_factory=WarmStartConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    skew: SkewConfig = field(default_factory=SkewConfig)

    def __post_init__(self) -> None:
        strategy, layers = self.train.strategy, self.text.trainable_layers
        if strategy != "none" and self.text.preset and layers:
            raise ConfigError(
                f"[text] trainable_layers is {layers} with [train] strategy "
                f'"{strategy}": each replica would drop units of the text tower on '
                "its own, and the result depend on their number. Take "
                'trainable_layers = 0, or strategy = "none".'
            )

    def model_tables(self) -> dict[str, Any]:
        """Return the tables that change a fitted model, as plain dicts."""
        names = ("text", "retrieval", "ranking", "train")
        tables = {name: as_table(getattr(self, name)) for name in names}
        for name in WHERE_FITTED:
            del tables["train"][name]
        if self.train.precision == "float32":  # What it was before it was a choice.
            del tables["train"]["precision"]
        return tables


def read_experiment(path: Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read an experiment's TOML. Raises: ConfigError, naming the key and its place."""
    config = build(ExperimentConfig, read_toml(path, overrides), str(path))
    beside = path.parent / config.text.preset
    if config.text.preset and beside.is_dir():
        text = dataclasses.replace(config.text, preset=str(beside.resolve()))
        config = dataclasses.replace(config, text=text)
    return config
