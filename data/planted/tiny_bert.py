"""A BERT so small that tests can train it: random weights, a vocabulary of our own."""

import string
from collections.abc import Iterable
from pathlib import Path

LAYERS, WIDTH, HEADS, LENGTH = 2, 32, 2, 64
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_tiny_bert(folder: Path, *, words: Iterable[str], seed: int = 7) -> Path:
    """Write a randomly initialised BERT as a local keras-nlp preset.

    In: `words`: lower case, one token each; other words fall into letters.
    Out: the folder, which `BertBackbone.from_preset` and `BertTokenizer.from_preset`
    read.
    """
    import keras
    import keras_nlp

    vocabulary = _vocabulary(words)
    keras.utils.set_random_seed(seed)
    backbone = keras_nlp.models.BertBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=LAYERS,
        num_heads=HEADS,
        hidden_dim=WIDTH,
        intermediate_dim=2 * WIDTH,
        max_sequence_length=LENGTH,
    )
    tokenizer = keras_nlp.models.BertTokenizer(vocabulary, lowercase=True)
    folder.mkdir(parents=True, exist_ok=True)
    backbone.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return folder


def _vocabulary(words: Iterable[str]) -> list[str]:
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*letters, *(f"##{letter}" for letter in string.ascii_lowercase)]
    return list(dict.fromkeys((*SPECIAL, *pieces, *words)))
