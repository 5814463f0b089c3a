"""What the retrieval model is trained to do: tell the item that came from others.

Each loss compares a query with the item that was chosen and with others; they differ
in which others. `InBatch` takes the batch's own, `SampledSoftmax` and `Gbce` draw some
for the whole batch, `FullSoftmax` takes all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf
import tensorflow_recommenders as tfrs

from trainer.models.embeddings import look_up
from trainer.models.met import LEAST, Met
from trainer.models.seeded import Step

Encode = Callable[[tf.Tensor], tf.Tensor]
"""From rows, int32 (n,), to candidates' vectors, float32 (n, d)."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A batch's targets.

    `query`: float32 (n, d), such that the dot product with a candidate is the logit.
    `target`: int32 (n,), rows. `weight`: float32 (n,). `others`: int32 (s,), rows that
    were drawn; `near`: int32 (n, h), hard negatives of each target, 0 where none.
    `elsewhere`: int32 (m,), targets of the same batch that other replicas ask for.
    `met`: what does not compete; None where all does.
    """

    query: tf.Tensor
    target: tf.Tensor
    weight: tf.Tensor
    others: tf.Tensor
    near: tf.Tensor
    elsewhere: tf.Tensor | None = None
    met: Met | None = None


class Negatives(tf.Module):
    """Draws items for a batch: of the fit's items at even odds, or some of the batch's.

    Source of the mix: Yang et al. 2020, "Mixed negative sampling for learning
    two-tower neural networks in recommendations".
    """

    def __init__(
        self,
        known: tf.Tensor,
        share: tf.Tensor,
        *,
        number: int,
        mixed: bool,
        step: Step,
    ) -> None:
        """Draw `number` items a batch.

        In: `known`: int32 (k,), rows that may be drawn; `share`: float32 (items + 1,),
        of each item among targets; `mixed`: half of them from the batch's targets.
        """
        super().__init__(name="negatives")
        self.known = tf.Variable(known, trainable=False, name="known")
        self.share = tf.Variable(share, trainable=False, name="share")
        self.from_batch = number // 2 if mixed else 0
        self.evenly = number - self.from_batch
        self.step = step

    def draw(self, target: tf.Tensor) -> tf.Tensor:
        """Return rows for a batch with these targets. In: int32 (n,). Out: (s,)."""
        num_known = int(self.known.shape[0])  # To ask a server would read it all.
        places = tf.random.stateless_uniform(
            [self.evenly], self.step.draw_seed("even"), 0, num_known, tf.int32
        )
        rows = look_up(self.known, places)
        if not self.from_batch:
            return rows
        places = tf.random.stateless_uniform(
            [self.from_batch], self.step.draw_seed("own"), 0, tf.size(target), tf.int32
        )
        return tf.concat([rows, tf.gather(target, places)], axis=0)

    def log_odds(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the log of how often each row is drawn for a batch. Out: float32."""
        even = self.evenly / tf.constant(self.known.shape[0], tf.float32)
        return tf.math.log(even + self.from_batch * look_up(self.share, rows))


class InBatch(tf.Module):
    """Softmax over the batch's own targets, corrected for how often each stands there.

    Source: Yi et al. 2019, "Sampling-bias-corrected neural modeling for large corpus
    item recommendations".
    """

    def __init__(self, sampling: tf.Tensor | None) -> None:
        """Correct for the odds, or not.

        In: `sampling`: float32 (items + 1,), how likely each item is a batch's target,
        up to a factor; None leaves the correction out.
        """
        super().__init__(name="in_batch")
        self.sampling = None
        if sampling is not None:
            self.sampling = tf.Variable(sampling, trainable=False, name="sampling")

    def __call__(self, asked: Asked, encode: Encode) -> tf.Tensor:
        """Return the sum of the targets' losses. Out: float32 scalar."""
        sampling, rivals = self.sampling, asked.target
        if asked.elsewhere is not None:  # The task finds each query's own at its place.
            rivals = tf.concat([rivals, asked.elsewhere], axis=0)
        task = tfrs.tasks.Retrieval(
            loss=_Entropy(asked.met, rivals), remove_accidental_hits=True
        )
        # float32 into the task: accidental hits are masked with float32's smallest.
        return task(
            asked.query,
            encode(rivals),
            sample_weight=asked.weight,
            candidate_sampling_probability=(
                None if sampling is None else look_up(sampling, rivals)
            ),
            candidate_ids=rivals,
            compute_metrics=False,
        )


class _Entropy(tf.keras.losses.CategoricalCrossentropy):
    """Softmax cross-entropy over rivals that were not met."""

    def __init__(self, met: Met | None, rivals: tf.Tensor) -> None:
        super().__init__(from_logits=True, reduction=tf.keras.losses.Reduction.SUM)
        self.met, self.rivals = met, rivals

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """In: one hot, and logits, float32 (n, rivals). Out: float32 (n,)."""
        if self.met is not None:
            met = self.met.by(self.met.since(self.rivals))
            y_pred = tf.where(met & (y_true == 0), LEAST, y_pred)
        return super().call(y_true, y_pred)


class FullSoftmax(tf.Module):
    """Softmax over all items that have an event in the fit's data."""

    def __init__(self, known: tf.Tensor, num_items: int) -> None:
        """In: `known`: int32 (k,), rows of those items."""
        super().__init__(name="full_softmax")
        self.known = tf.Variable(known, trainable=False, name="known")
        places = tf.tensor_scatter_nd_update(
            tf.zeros([num_items + 1], tf.int32),
            known[:, None],
            tf.range(tf.size(known)),
        )
        self.places = tf.Variable(places, trainable=False, name="places")

    def __call__(self, asked: Asked, encode: Encode) -> tf.Tensor:
        """Return the sum of the targets' losses. Out: float32 scalar."""
        labels = look_up(self.places, asked.target)
        items = encode(tf.convert_to_tensor(self.known))
        since = None if asked.met is None else self._since(asked.met)

        @tf.custom_gradient
        def loss(query: tf.Tensor, items: tf.Tensor) -> Differentiated:
            return _softmax_in_chunks(query, items, labels, asked, since)

        return loss(asked.query, items)

    def _since(self, met: Met) -> tf.Tensor:
        columns = look_up(self.places, met.history)
        is_known = tf.equal(look_up(self.known, columns), met.history)
        columns = tf.where(is_known, columns, -1)
        return met.since_columns(columns, int(self.known.shape[0]))


class SampledSoftmax(tf.Module):
    """Softmax over the target and items drawn for the batch, corrected for the odds.

    The items drawn stand for all; the target is there by itself, and is not corrected.
    Source: Bengio & Senécal 2008, "Adaptive importance sampling to accelerate training
    of a neural probabilistic language model", for the correction by log Q; Khrylchenko
    et al. 2025, "Correcting the LogQ correction", for leaving the target out of it.
    """

    def __init__(self, negatives: Negatives, *, log_q: bool = True) -> None:
        super().__init__(name="sampled_softmax")
        self.negatives, self.log_q = negatives, log_q

    def __call__(self, asked: Asked, encode: Encode) -> tf.Tensor:
        """Return the sum of the targets' losses. Out: float32 scalar."""
        own, others = _logits(asked, encode)
        if self.log_q:
            others -= self.negatives.log_odds(asked.others)
        parts = [own[:, None], _unless_hit(others, asked.others[None], asked.target)]
        if asked.near.shape[1]:
            parts.append(_near_logits(asked, encode))
        logits = tf.concat(parts, axis=1)
        losses = tf.reduce_logsumexp(logits, axis=1) - own
        return tf.reduce_sum(losses * asked.weight)


class Gbce(tf.Module):
    """Binary cross-entropy over target and drawn items, its overconfidence mended.

    Source: Petrov & Macdonald 2023, "gSASRec: reducing overconfidence in sequential
    recommendation trained with negative sampling", section 5; here the items drawn
    are the batch's, not each target's.
    """

    def __init__(self, negatives: Negatives, *, calibration: float) -> None:
        """In: `calibration`: t from 0, plain cross-entropy, to 1, calibrated."""
        super().__init__(name="gbce")
        self.negatives = negatives
        others = max(int(tf.size(negatives.known)) - 1, 1)
        rate = min(negatives.evenly / others, 1.0)
        self.power = rate * (calibration * (1 - 1 / rate) + 1 / rate)

    def __call__(self, asked: Asked, encode: Encode) -> tf.Tensor:
        """Return the sum of the targets' losses. Out: float32 scalar."""
        own, others = _logits(asked, encode)
        others = _unless_hit(others, asked.others[None], asked.target)
        if asked.near.shape[1]:
            others = tf.concat([others, _near_logits(asked, encode)], axis=1)
        losses = self.power * tf.nn.softplus(-own)
        losses += tf.reduce_sum(tf.nn.softplus(others), axis=1)
        return tf.reduce_sum(losses * asked.weight)


Differentiated = tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]
CHUNK_QUERIES = 1_024  # Their logits stay in the cache from one operation to the next.


def _softmax_in_chunks(
    query: tf.Tensor,
    items: tf.Tensor,
    labels: tf.Tensor,
    asked: Asked,
    since: tf.Tensor | None,
) -> Differentiated:
    """Return the weighted sum of cross-entropies over all items, and its gradient.

    The gradient is made with the loss, chunk by chunk: the logits of a whole batch,
    its largest tensor by far, never exist.
    In: `query` float32 (n, d), `items` (k, d), `labels` int32 (n,), the targets'
    places among them; `since` int32 (b, k), of what was met.
    """
    # A batch without a target has one empty chunk.
    num_queries = tf.maximum(tf.shape(query)[0], 1)
    slopes = tf.TensorArray(
        tf.float32,
        size=(num_queries + CHUNK_QUERIES - 1) // CHUNK_QUERIES,
        infer_shape=False,
        element_shape=[None, query.shape[1]],
    )

    def add_chunk(
        first: tf.Tensor, total: tf.Tensor, of_items: tf.Tensor, slopes: tf.TensorArray
    ) -> tuple[tf.Tensor, ...]:
        chunk = slice(first, first + CHUNK_QUERIES)
        logits = tf.matmul(query[chunk], items, transpose_b=True)
        label = labels[chunk]
        own = tf.gather(logits, label, batch_dims=1)
        if asked.met is not None and since is not None:
            is_other = tf.range(tf.shape(items)[0]) != label[:, None]
            met = asked.met.by(since, chunk) & is_other
            logits = tf.where(met, LEAST, logits)
        largest = tf.reduce_max(logits, axis=1)
        odds = tf.exp(logits - largest[:, None])
        odds_of_all = tf.reduce_sum(odds, axis=1)
        weights = asked.weight[chunk]
        losses = weights * (tf.math.log(odds_of_all) + largest - own)
        # Divided by the sum only after they were added up: once a query, not an item.
        share = (weights / odds_of_all)[:, None]
        of_query = tf.matmul(odds, items) * share
        of_query -= tf.gather(items, label) * weights[:, None]
        of_items += tf.matmul(odds, query[chunk] * share, transpose_a=True)
        of_items = tf.tensor_scatter_nd_sub(
            of_items, label[:, None], query[chunk] * weights[:, None]
        )
        slopes = slopes.write(first // CHUNK_QUERIES, of_query)
        total += tf.reduce_sum(losses)
        return first + CHUNK_QUERIES, total, of_items, slopes

    _, total, of_items, slopes = tf.while_loop(
        lambda first, *_: first < num_queries,
        add_chunk,
        (tf.constant(0), tf.constant(0.0), tf.zeros_like(items), slopes),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([]),
            items.shape,
            tf.TensorShape(None),
        ),
        parallel_iterations=1,
    )
    of_queries = slopes.concat()

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        return upstream * of_queries, upstream * of_items

    return total, gradient


def _logits(asked: Asked, encode: Encode) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the logits of targets, (n,), and of the items drawn, (n, s)."""
    both = encode(tf.concat([asked.target, asked.others], axis=0))
    sizes = [tf.size(asked.target), tf.size(asked.others)]
    target, others = tf.split(both, sizes)
    own = tf.reduce_sum(asked.query * target, axis=1)
    return own, _unmet(asked, tf.matmul(asked.query, others, transpose_b=True))


def _unmet(asked: Asked, logits: tf.Tensor) -> tf.Tensor:
    """Let what was met not compete. In, out: (n, s), of the items drawn."""
    if asked.met is None:
        return logits
    return tf.where(asked.met.by(asked.met.since(asked.others)), LEAST, logits)


def _near_logits(asked: Asked, encode: Encode) -> tf.Tensor:
    shape = tf.shape(asked.near)
    vectors = encode(tf.reshape(asked.near, [-1]))
    vectors = tf.reshape(vectors, [shape[0], shape[1], asked.query.shape[1]])
    logits = tf.einsum("nd,nhd->nh", asked.query, vectors)
    competes = asked.near > 0
    if asked.met is not None:
        competes &= ~asked.met.holds(asked.near)
    return tf.where(competes, logits, LEAST)


def _unless_hit(logits: tf.Tensor, rows: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Let no item compete with itself. In: (n, s), rows (1, s), target (n,)."""
    return tf.where(rows == target[:, None], LEAST, logits)
