"""The retrieval model: two towers, told by a choice of losses what fits together."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data.events import EventLog
from data.prepared import Prepared
from trainer.config import RetrievalConfig, TrainConfig
from trainer.models.base import CountedModel, in_chunks
from trainer.models.embeddings import IdSlots, look_up
from trainer.models.losses import (
    Asked,
    Encode,
    FullSoftmax,
    Gbce,
    InBatch,
    Negatives,
    SampledSoftmax,
)
from trainer.models.members import (
    item_towers,
    query_towers,
    split,
    unit,
    unit_rows,
)
from trainer.models.met import Met
from trainer.models.seeded import Step
from trainer.models.share import Rows, Share, dividing, encode_together
from trainer.models.text_tower import TextTower
from trainer.models.towers import CodeTable, Texts
from trainer.models.trend import Trend, TrendGrid

CHUNK_ITEMS = 4_096
TREND_STEP = 5.0  # Statistics are scaled to a fifth, so a gain of 1 is log popularity.


class RetrievalModel(CountedModel):
    """Two towers that share the items' vectors, on events of one log."""

    def __init__(
        self,
        *,
        prepared: Prepared,
        log: EventLog,
        texts: Texts | None,
        config: RetrievalConfig,
        train: TrainConfig,
    ) -> None:
        step = Step(train.seed)
        super().__init__(step, train.clip_norm)
        if not prepared.time_is_known:  # The order of rows tells no hour and no trend.
            config = dataclasses.replace(config, use_time=False, use_trend=False)
        self.config = config
        log = log.read  # What no history holds has no embedding of its own.
        item_counts = log.item_counts(prepared.num_items)
        self.item_tower = item_towers(
            features=prepared.features,
            slots=IdSlots(item_counts, name="item_slots"),
            codes=CodeTable(prepared.item_features, name="item_codes"),
            texts=texts,
            config=config,
            step=step,
        )
        self.query_tower = query_towers(
            features=prepared.features,
            slots=IdSlots(log.user_counts(), name="user_slots"),
            codes=CodeTable(prepared.user_features, name="user_codes"),
            config=config,
            step=step,
        )
        self.grid = TrendGrid.of(log)
        if config.use_trend:
            trend = Trend(prepared, log)
            table = np.stack([trend.at(moment) for moment in self.grid.moments()])
            self.trend_table = tf.Variable(table, trainable=False, name="trend_table")
        self.trace_items()
        self.encode_queries = tf.function(
            self.queries,
            input_signature=[_VECTORS, _ROWS, _HISTORY, _TIMES, _TIMES],
            autograph=False,
        )
        positives = log.item_counts(prepared.num_items, positives_only=True)
        self.loss_of = _loss(config, positives, step)
        # Full softmax needs every item's vector; then a lookup serves histories too.
        self.all_items = config.loss == "full_softmax"
        self.num_items = prepared.num_items
        self.neighbours = tf.Variable(
            tf.zeros([prepared.num_items + 1, config.hard_negatives], tf.int32),
            trainable=False,
            name="neighbours",
        )

    def trace_items(self) -> None:
        """Encode items by the tables that the tower has now, whatever it had before.

        Traced once: validation encodes the catalogue after every epoch.
        """
        self._encode_items = tf.function(
            self.item_tower, input_signature=[_ROWS], autograph=False
        )

    @property
    def text_tower(self) -> TextTower | None:
        """Return the text tower that this model fine-tunes, if it does."""
        return self.item_tower.text_tower

    @property
    def encoded_whole(self) -> tf.keras.layers.Layer:
        """Return the layer that encodes each item of a batch once, for all of it."""
        return self.item_tower

    def compute_loss(
        self, inputs: Mapping[str, tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        """Return the mean loss of a batch's targets.

        In: a batch of `data.pipelines.sequence_batches`. Out: float32 scalar; of
        several replicas each returns its own examples' part of it.
        """
        share = Share.here()
        if share is None:
            return self._loss_of(inputs, inputs, None, training)
        rows = share.examples(tf.shape(inputs["target"])[0])
        with dividing(rows):
            return self._loss_of(rows.of_batch(inputs), inputs, rows, training)

    def _loss_of(
        self,
        inputs: Mapping[str, tf.Tensor],
        batch: Mapping[str, tf.Tensor],
        rows: Rows | None,
        training: bool,
    ) -> tf.Tensor:
        """Return the loss of some rows of a batch over the weight of the batch."""
        wanted = inputs["target"] > 0
        target = tf.boolean_mask(inputs["target"], wanted)
        weight = tf.boolean_mask(inputs["weight"], wanted)
        near = look_up(self.neighbours, target)
        whole = _Whole(target, weight, near, None)
        if rows is not None:
            whole = _whole(batch, rows, self.neighbours)
        others = self._others(whole.target)
        groups = [batch["history"], whole.target, others, whole.near]
        vectors = self._vectors(groups, training)
        history = vectors(inputs["history"])
        history *= tf.cast(inputs["history"] > 0, history.dtype)[..., None]
        states = self.query_tower.states(history, training=training)
        found, slot, time = self._targets(inputs, states, training)
        met = None
        if self.config.unseen_only:
            owner = tf.cast(tf.where(wanted)[:, 0], tf.int32)
            met = Met(history=inputs["history"], owner=owner, known=slot)
        losses = []
        for number, (query, gain) in enumerate(found):
            # The trend is free of the temperature, whatever `_scaled` has done for it.
            query = self._with_moment(unit(query), gain, time)
            asked = Asked(
                query=query / self.config.temperature,
                target=target,
                weight=weight,
                others=others,
                near=near,
                elsewhere=whole.elsewhere,
                met=met,
            )
            losses.append(self.loss_of(asked, self._member(vectors, number)))
        loss = losses[0] if len(losses) == 1 else tf.add_n(losses) / len(losses)
        return loss / tf.maximum(tf.reduce_sum(whole.weight), 1.0)

    def _member(self, vectors: Encode, number: int) -> Encode:
        """Return what looks up a member's part of the items, as its loss reads them."""

        def encode(rows: tf.Tensor) -> tf.Tensor:
            part = split(vectors(rows), self.config.members)[number]
            return self._with_trend(unit(part), rows)

        return encode

    def _others(self, target: tf.Tensor) -> tf.Tensor:
        negatives = getattr(self.loss_of, "negatives", None)
        return tf.zeros([0], tf.int32) if negatives is None else negatives.draw(target)

    def _vectors(self, groups: list[tf.Tensor], training: bool) -> Encode:
        """Encode the items of a batch, each once. Out: looks up rows (...)."""

        def encode(rows: tf.Tensor) -> tf.Tensor:
            return self.item_tower(rows, training=training)

        if self.all_items:
            table = encode_together(tf.range(self.num_items + 1), encode)
            return lambda rows: tf.gather(table, rows)
        rows = tf.concat([tf.reshape(group, [-1]) for group in groups], 0)
        distinct = tf.unique(rows)[0]
        table = encode_together(distinct, encode)
        place = tf.tensor_scatter_nd_update(
            tf.zeros([self.num_items + 1], tf.int32),
            distinct[:, None],
            tf.range(tf.size(distinct)),
        )
        return lambda rows: tf.gather(table, tf.gather(place, rows))

    def start_epoch(self) -> None:
        """Find each item's hard negatives anew: the nearest in today's index."""
        if self.config.hard_negatives:
            vectors = self.units(self.item_vectors(self.num_items))
            known = self.loss_of.negatives.known.numpy()
            self.neighbours.assign(
                nearest_items(vectors, known, self.config.hard_negatives)
            )

    def epoch_state(self) -> list[tf.Variable]:
        """Return what `start_epoch` sets."""
        return [self.neighbours] if self.config.hard_negatives else []

    def _targets(
        self, inputs: Mapping[str, tf.Tensor], states: tf.Tensor, training: bool
    ) -> tuple[list[tuple[tf.Tensor, tf.Tensor]], tf.Tensor, tf.Tensor]:
        """Return each member's queries and gains of the targets, slots and times."""
        wanted = inputs["target"] > 0  # (b, t)
        slot, asked_at = self.asked_from(inputs["slot"], inputs["time"], training)
        state = tf.gather(states, slot, axis=1, batch_dims=1)
        newest = tf.gather(inputs["time"], tf.maximum(slot - 1, 0), batch_dims=1)
        last_time = tf.where(slot > 0, newest, 0)
        user = self.query_tower.user(inputs["user"], training=training)
        user = tf.repeat(user[:, None], tf.shape(wanted)[1], axis=1)
        time = tf.boolean_mask(asked_at, wanted)
        found = self.query_tower.each(
            tf.boolean_mask(state, wanted),
            tf.boolean_mask(user, wanted),
            time,
            tf.boolean_mask(last_time, wanted),
        )
        return found, tf.boolean_mask(slot, wanted), time

    def asked_from(
        self, slot: tf.Tensor, time: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Ask for each place's event from up to `horizon` places before, at random.

        The log of a distance is drawn evenly, so that the next few events weigh as
        much as the many far ones: of users who come back some want what is new and
        others go on for long, and a list is to serve both.

        In, out: `slot` int32 and `time` int64 (b, t), of the place that asks.
        Source: Pancha et al. 2022, PinnerFormer, section 3.4 (dense all action), with
        distances drawn evenly.
        """
        if not (self.config.horizon and training):
            return slot, time
        place = tf.broadcast_to(tf.range(tf.shape(slot)[1]), tf.shape(slot))
        farthest = tf.minimum(place, self.config.horizon)
        draw = self.step.uniform(slot, "horizon")
        span = tf.math.log(tf.cast(farthest, tf.float32) + 2)
        back = tf.cast(tf.math.expm1(draw * span), tf.int32)
        place -= tf.minimum(back, farthest)  # Rounding may reach the end of the span.
        return tuple(tf.gather(x, place, batch_dims=1) for x in (slot, time))

    def _with_moment(
        self, query: tf.Tensor, gain: tf.Tensor, time: tf.Tensor
    ) -> tf.Tensor:
        """Give each query its gain at the place of its moment, 0 at all others."""
        if not self.config.use_trend:
            return query
        cell = (time - self.grid.first) // self.grid.step
        cell = tf.clip_by_value(cell, 0, self.grid.num_cells - 1)
        places = tf.one_hot(cell, self.grid.num_cells)[:, :, None]
        gains = places * self._scaled(gain)[:, None]
        width = self.grid.num_cells * self.query_tower.trend_width
        return tf.concat([query, tf.reshape(gains, [-1, width])], axis=1)

    def _with_trend(self, vectors: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Give each item its numbers of all moments."""
        if not self.config.use_trend:
            return vectors
        # The numbers of these items alone: the table may lie on another machine.
        cells = tf.range(self.grid.num_cells)
        pairs = tf.stack(tf.meshgrid(cells, rows), axis=-1)  # (n, cells, 2)
        table = tf.gather_nd(self.trend_table, pairs)
        width = self.grid.num_cells * self.query_tower.trend_width
        return tf.concat([vectors, tf.reshape(table, [-1, width])], axis=1)

    def _scaled(self, gain: tf.Tensor) -> tf.Tensor:
        # The task divides by the temperature; the trend is to be free of it.
        return tf.cast(gain, tf.float32) * (TREND_STEP * self.config.temperature)

    def item_vectors(self, num_items: int) -> np.ndarray:
        """Encode the catalogue. Out: float32 (num_items + 1, dim), row 0 zeros."""
        rows = np.arange(num_items + 1, dtype=np.int32)
        parts = [
            self._encode_items(tf.constant(rows[i : i + CHUNK_ITEMS])).numpy()
            for i in range(0, len(rows), CHUNK_ITEMS)
        ]
        vectors = np.concatenate(parts).astype(np.float32)
        vectors[0] = 0
        return vectors

    def user_vectors(self, num_users: int) -> np.ndarray:
        """Encode the users. Out: float32 (num_users + 1, width)."""
        return in_chunks(self.query_tower.user, num_users + 1)

    def queries(
        self,
        item_vectors: tf.Tensor,
        user: tf.Tensor,
        history: tf.Tensor,
        time: tf.Tensor,
        last_time: tf.Tensor,
    ) -> tf.Tensor:
        """Encode requests, as the exported graph does.

        In: `item_vectors` float32 (items + 1, dim); `user` int32 (b,); `history`
        int32 (b, length), oldest first, padded with 0 at the end; `time`,
        `last_time` int64 (b,), Unix seconds. Out: float32 (b, dim + trend width): a
        query of length 1, then the trend's gains.
        """
        vectors = tf.gather(item_vectors, history)
        width = self.config.members * self.config.dim
        vectors = tf.ensure_shape(vectors, [None, None, width])
        of_user = self.query_tower.user(user)
        return self.queries_of(vectors, of_user, history, time, last_time)

    def queries_of(
        self,
        vectors: tf.Tensor,
        user: tf.Tensor,
        history: tf.Tensor,
        time: tf.Tensor,
        last_time: tf.Tensor,
    ) -> tf.Tensor:
        """Encode requests whose items and users are given as vectors; see `queries`.

        In: `vectors` float32 (b, length, dim), of the history; `user` float32 (b,
        width), as `user_vectors`.
        """
        count = tf.reduce_sum(tf.cast(history > 0, tf.int32), axis=1)
        query, gain = self.query_tower(user, vectors, count, time, last_time)
        query = unit(query, self.config.members)
        return tf.concat([query, self._scaled(gain)], axis=1)

    def boost_trend(self, boost: float) -> None:
        """Let the recent trend count for more than training taught.

        Training asks for the next event, an evaluation or an application for what
        comes in weeks; how much more, validation decides.
        """
        if self.query_tower.trend_width:
            self.query_tower.trend_boost.assign([0.0, boost])

    def index_vectors(self, item_vectors: np.ndarray, trend: np.ndarray) -> np.ndarray:
        """Return what an index holds: the dot product with a query is the score.

        In: `item_vectors` float32 (items + 1, dim); `trend` (items + 1, TREND_WIDTH),
        of the moment. Out: float32 (items + 1, dim + trend width).
        """
        numbers = trend[:, : self.query_tower.trend_width]
        return np.concatenate([self.units(item_vectors), numbers], axis=1)

    def units(self, item_vectors: np.ndarray) -> np.ndarray:
        """Scale the items' vectors as they count. In, out: float32 (n, width)."""
        return unit_rows(item_vectors, self.config.members)


@dataclass(frozen=True)
class _Whole:
    """The targets of a whole batch; see `Asked`. `near`: int32 (n, h)."""

    target: tf.Tensor
    weight: tf.Tensor
    near: tf.Tensor
    elsewhere: tf.Tensor | None


def _whole(batch: Mapping[str, tf.Tensor], rows: Rows, neighbours: tf.Tensor) -> _Whole:
    """Find the targets of a batch, and those that are not of some rows of it."""
    wanted = batch["target"] > 0
    target = tf.boolean_mask(batch["target"], wanted)
    row = tf.cast(tf.where(wanted)[:, 0], tf.int32)
    outside = (row < rows.first) | (row >= rows.first + rows.count)
    return _Whole(
        target,
        tf.boolean_mask(batch["weight"], wanted),
        look_up(neighbours, target),
        tf.boolean_mask(target, outside),
    )


_ROWS = tf.TensorSpec([None], tf.int32)
_HISTORY = tf.TensorSpec([None, None], tf.int32)
_TIMES = tf.TensorSpec([None], tf.int64)
_VECTORS = tf.TensorSpec([None, None], tf.float32)


def nearest_items(vectors: np.ndarray, rows: np.ndarray, number: int) -> np.ndarray:
    """Return the nearest other items of some, by dot product.

    In: `vectors`: float32 (items + 1, d); `rows`: (k,), the items that are looked at
    and for. Out: int32 (items + 1, number), 0 where there are fewer.
    """
    found = np.zeros((len(vectors), number), np.int32)
    width = min(number, len(rows) - 1)
    if width < 1:
        return found
    table = vectors[rows]
    for first in range(0, len(rows), CHUNK_ITEMS):
        chunk = np.arange(first, min(first + CHUNK_ITEMS, len(rows)))
        scores = table[chunk] @ table.T
        scores[np.arange(len(chunk)), chunk] = -np.inf
        best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        found[rows[chunk], :width] = rows[best]
    return found


def _loss(
    config: RetrievalConfig, counts: np.ndarray, step: Step
) -> InBatch | FullSoftmax | SampledSoftmax | Gbce:
    """Return the configured loss. In: `counts`: (items + 1,), of positives."""
    known = np.flatnonzero(counts).astype(np.int32)
    if config.loss == "full_softmax":
        return FullSoftmax(tf.constant(known), len(counts) - 1)
    if config.loss == "in_batch":
        # TFRS clips probabilities at 1e-6. A factor does not change a softmax, so the
        # most frequent item is given 1 and the clip lies a million times below it.
        odds = np.maximum(counts, 1) / max(counts.max(), 1)
        return InBatch(tf.constant(odds, tf.float32) if config.log_q else None)
    negatives = Negatives(
        tf.constant(known),
        tf.constant(counts / max(counts.sum(), 1), tf.float32),
        number=config.negatives,
        mixed=config.negative_sampling == "mixed" and config.loss != "gbce",
        step=step,
    )
    if config.loss == "gbce":
        return Gbce(negatives, calibration=config.gbce_calibration)
    return SampledSoftmax(negatives, log_q=config.log_q)
