"""The text tower: raw strings through a BERT of keras-nlp to one vector each.

keras-nlp stands on Keras 3 and the models on tf-keras; one process holds both. A
tf-keras layer trains and saves the variables of a Keras 3 backbone once it holds
their values itself.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from data.console import progress
from trainer.config import TextConfig
from trainer.models.text_presets import load_preset

ENCODE_TOKENS = 8_192  # Tokens of one batch; larger was no faster on two cores.


class _Untracked:
    """Holds what would be saved a second time, by a path of its own."""

    def __init__(self, value: Any) -> None:
        self.value = value


class TextTower(tf.keras.layers.Layer):
    """BERT with mean pooling, vectors of length 1.

    Source: Reimers & Gurevych 2019, Sentence-BERT, section 3 (mean pooling).
    """

    def __init__(self, config: TextConfig, *, name: str = "text_tower") -> None:
        super().__init__(name=name)
        self.config = config
        tokenizer, backbone = load_preset(config.preset)
        self._tokenizer, self._untracked = tokenizer, _Untracked(backbone)
        _freeze_below(backbone, config.trainable_layers)
        self.dim = int(backbone.hidden_dim)
        frozen = [v.value for v in backbone.non_trainable_variables]
        for value in frozen:
            # Keras 3 freezes its own wrapper; tf-keras asks the variable itself.
            value._trainable = False
        # Held here so that tf-keras trains them and a SavedModel keeps them.
        self._trained = [v.value for v in backbone.trainable_variables]
        self._frozen = frozen

    @property
    def _backbone(self) -> Any:
        return self._untracked.value

    @property
    def trains(self) -> bool:
        """Tell whether any of its weights are fine-tuned."""
        return self.config.trainable_layers > 0

    def tokenize(self, texts: tf.Tensor) -> tf.Tensor:
        """Turn texts into token ids, start and end marked.

        In: string (n,). Out: int32 (n, max_tokens), padded with the padding id.
        """
        tokenizer = self._tokenizer
        pieces = tokenizer(texts)[:, : self.config.max_tokens - 2]
        start = tokenizer.cls_token_id if hasattr(tokenizer, "cls_token_id") else None
        start = tokenizer.start_token_id if start is None else start
        end = tokenizer.sep_token_id if hasattr(tokenizer, "sep_token_id") else None
        end = tokenizer.end_token_id if end is None else end
        edge = tf.ones([tf.shape(texts)[0], 1], pieces.dtype)
        framed = tf.concat([edge * start, pieces, edge * end], axis=1)
        shape = [None, self.config.max_tokens]
        return framed.to_tensor(default_value=tokenizer.pad_token_id, shape=shape)

    def call(self, tokens: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode tokens. In: int32 (n, t). Out: float32 (n, dim), of length 1."""
        there = tf.not_equal(tokens, self._tokenizer.pad_token_id)
        inputs = {"token_ids": tokens, "padding_mask": there}
        if "segment_ids" in self._input_names():
            inputs["segment_ids"] = tf.zeros_like(tokens)
        output = self._backbone(inputs, training=training and self.trains)
        if isinstance(output, dict):
            output = output["sequence_output"]
        output = tf.cast(output, tf.float32)
        weight = tf.cast(there, tf.float32)[..., None]
        count = tf.maximum(tf.reduce_sum(weight, 1), 1.0)
        mean = tf.reduce_sum(output * weight, 1) / count
        return tf.math.l2_normalize(mean, axis=-1)

    def _input_names(self) -> set[str]:
        return {str(i.name) for i in self._backbone.inputs}

    def encode(self, texts: np.ndarray) -> np.ndarray:
        """Encode many texts, each distinct one once, with a progress bar.

        In: str (n,). Out: float32 (n, dim); an empty text is a vector of zeros.
        """
        distinct, where = np.unique(texts.astype(str), return_inverse=True)
        vectors = np.zeros((len(distinct), self.dim), np.float32)
        if len(distinct) == 0:
            return vectors
        tokens = self.token_table(distinct)
        lengths = (tokens != self._tokenizer.pad_token_id).sum(axis=1)
        order = np.argsort(lengths, kind="stable")
        call = tf.function(self.call, input_signature=[_TOKENS])
        with progress("Encoding texts", len(distinct)) as advance:
            for rows in _batches_of_tokens(order, lengths):
                batch = tokens[rows, : lengths[rows].max()]
                vectors[rows] = call(tf.constant(batch)).numpy()
                advance(len(rows))
        vectors[distinct == ""] = 0
        return vectors[where]

    def token_table(self, texts: np.ndarray) -> np.ndarray:
        """Tokenize many texts. In: str (n,). Out: int32 (n, max_tokens)."""
        # keras-nlp answers with lists outside a graph and with tensors inside one; a
        # concrete function is a graph even where functions are told to run eagerly.
        tokenize = tf.function(self.tokenize, input_signature=[_TEXTS])
        graph = tokenize.get_concrete_function()
        return graph(tf.constant(texts.astype(str))).numpy()  # type: ignore[no-any-return]

    def encode_in_graph(self, texts: tf.Tensor) -> tf.Tensor:
        """Encode raw strings in a graph. In: string (n,). Out: float32 (n, dim).

        An empty text is a vector of zeros, as in `encode`; that of a tower that was
        fine-tuned is what it learnt of it.
        """
        vectors = self(self.tokenize(texts))
        if self.trains:
            return vectors
        empty = tf.equal(tf.strings.length(texts), 0)[:, None]
        return tf.where(empty, tf.zeros_like(vectors), vectors)


_TEXTS = tf.TensorSpec([None], tf.string)
_TOKENS = tf.TensorSpec([None, None], tf.int32)


def _batches_of_tokens(order: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    batches, start = [], 0
    while start < len(order):
        size = max(1, ENCODE_TOKENS // int(lengths[order[start]]))
        batch = order[start : start + size]
        size = max(1, ENCODE_TOKENS // int(lengths[batch].max()))
        batches.append(batch[:size])
        start += size
    return batches


def _freeze_below(backbone: Any, trainable_layers: int) -> None:
    backbone.trainable = trainable_layers > 0
    layers = [x for x in backbone.layers if "transformer" in x.name.lower()]
    for layer in backbone.layers:
        layer.trainable = layer in layers[len(layers) - trainable_layers :]
