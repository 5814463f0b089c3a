"""Items and phrases from what they say alone: vectors of what is in no table."""

from collections.abc import Mapping

import tensorflow as tf

from data.features import FeatureSet, resources_of
from trainer.models.members import ItemTowers
from trainer.models.text_tower import TextTower
from trainer.models.towers import ItemTower


class ContentGraph(tf.Module):
    """The item tower over raw columns and raw texts; BERT runs in it."""

    def __init__(
        self,
        *,
        features: FeatureSet,
        items: ItemTower | ItemTowers,
        text_tower: TextTower | None,
    ) -> None:
        super().__init__(name="content_graph")
        self.features, self.text_tower = features, text_tower
        # Not the tower: its tables of ids and texts are of known items.
        self.has_content = items.has_content
        if items.has_content:
            self.content = items.content
        self.unknown = tf.Variable(items.unknown_id(), trainable=False, name="unknown")
        self._encoders = {f.name: f.in_graph(tf) for f in features.items}
        self._tables = [
            table
            for encode in self._encoders.values()
            for table in resources_of(encode)
        ]
        self._join_text = features.text.in_graph(tf)
        if text_tower is not None:
            # One function for all signatures: a BERT's graph costs load time.
            self._encode = tf.function(
                text_tower.encode_in_graph,
                input_signature=[tf.TensorSpec([None], tf.string)],
                autograph=False,
            )

    @property
    def reads_text(self) -> bool:
        """Tell whether there is a text tower."""
        return self.text_tower is not None

    def inputs(self) -> list[tf.TensorSpec]:
        """Return the specs of an item's raw columns, texts included; maybe none."""
        if not self.has_content:
            return []
        texts = self.features.text.columns if self.reads_text else ()
        specs = [f.graph_input(tf) for f in self.features.items]
        named = {spec.name for spec in specs}  # Some stand in the text too.
        alone = [name for name in texts if name not in named]
        return specs + [tf.TensorSpec([None], tf.string, name) for name in alone]

    def of_columns(self, raw: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Encode items. In: as `inputs`, by name. Out: float32 (b, dim)."""
        codes = {name: encode(raw[name]) for name, encode in self._encoders.items()}
        text = self._join_text(raw) if self.reads_text else None
        return self._vectors(codes, text)

    def of_text(self, text: tf.Tensor) -> tf.Tensor:
        """Encode phrases as items of which nothing else is known.

        In: string (b,). Out: float32 (b, dim).
        """
        batch = tf.shape(text)[0]
        codes: dict[str, tf.Tensor] = {}
        for feature in self.features.items:
            shape = {"categorical": [batch]}.get(feature.kind, [batch, 2])
            dtype = tf.float32 if feature.kind == "numeric" else tf.int32
            codes[feature.name] = tf.zeros(shape, dtype)
        return self._vectors(codes, text)

    def _vectors(
        self, codes: Mapping[str, tf.Tensor], text: tf.Tensor | None
    ) -> tf.Tensor:
        encoded = None if text is None else self._encode(text)
        return self.unknown + self.content(codes, encoded)
