"""What users had met when something was asked for them: it competes with no target.

A request leaves out what its user has seen, so to push that down is to learn an answer
to nobody's question. It costs much where a history is read by the vectors that
candidates have: its own items then fit a query best.
Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data", section 2,
whose zero diagonal does the same to a linear model.
"""

from dataclasses import dataclass

import tensorflow as tf

LEAST = -1e9  # The logit of what does not compete.
NEVER = tf.int32.max


@dataclass(frozen=True, kw_only=True)
class Met:
    """The histories of a batch, and how far each of its targets knows them.

    `history`: int32 (b, t), rows, oldest first, 0 where none. `owner`: int32 (n,),
    whose history a target has; `known`: int32 (n,), how many of its first events come
    before the request.
    """

    history: tf.Tensor
    owner: tf.Tensor
    known: tf.Tensor

    def since(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the place from which each history holds each row, or `NEVER`.

        In: int32 (s,). Out: int32 (b, s).
        """
        same = tf.equal(self.history[:, :, None], rows)
        places = tf.range(tf.shape(self.history)[1])[:, None]
        return tf.reduce_min(tf.where(same, places, NEVER), axis=1)

    def since_columns(self, columns: tf.Tensor, number: int) -> tf.Tensor:
        """Do so for rows that have columns.

        In: `columns` int32 (b, t), of the histories' events, below 0 where none.
        Out: int32 (b, number).
        """
        shape = tf.shape(columns)
        owners = tf.broadcast_to(tf.range(shape[0])[:, None], shape)
        places = tf.broadcast_to(tf.range(shape[1]), shape)
        has = columns >= 0
        at = tf.stack([tf.boolean_mask(owners, has), tf.boolean_mask(columns, has)], 1)
        return tf.tensor_scatter_nd_min(
            tf.fill([shape[0], number], NEVER), at, tf.boolean_mask(places, has)
        )

    def by(self, since: tf.Tensor, targets: slice = slice(None)) -> tf.Tensor:
        """Tell what had been met by the requests for some targets.

        In: as `since` returns it. Out: bool (targets, s).
        """
        return tf.gather(since, self.owner[targets]) < self.known[targets][:, None]

    def holds(self, rows: tf.Tensor) -> tf.Tensor:
        """Tell which rows of its own each target's request had met; 0 is always.

        In: int32 (n, h). Out: bool (n, h).
        """
        own = tf.gather(self.history, self.owner)
        before = tf.range(tf.shape(own)[1]) < self.known[:, None]
        own = tf.pad(tf.where(before, own, 0), [[0, 0], [0, 1]])
        return tf.reduce_any(tf.equal(rows[:, :, None], own[:, None]), axis=2)
