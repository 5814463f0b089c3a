"""The queries, written once over three calls that each transport provides."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from serving.client.errors import ServingError
from serving.client.options import DEFAULT_K, ModelNames, Widths, padded, readable
from serving.client.results import (
    Item,
    ModelMetadata,
    ModelVersion,
    Recommendation,
)
from serving.tensors import Array, strings

DEFAULT_SIGNATURE = "serving_default"
DEFAULT_TIMEOUT_S = 10.0
# What a server answers where it knows no model, or no signature, of that name.
_NO_DESCRIBE = {"NOT_FOUND", "FAILED_PRECONDITION", "INVALID_ARGUMENT"}


class Client(ABC):
    """Queries to one server; use as a context manager, from any number of threads.

    In: `widths`: of padded inputs; `names`: of the models; `titles`: whether answers
        are completed by a second call, of the `describe` signature.
    """

    def __init__(
        self,
        *,
        widths: Widths | None = None,
        names: ModelNames | None = None,
        titles: bool = True,
    ) -> None:
        self._widths = widths or Widths()
        self._names = names or ModelNames()
        self._titles = titles

    @abstractmethod
    def predict(
        self,
        model: str,
        inputs: Mapping[str, Array],
        signature: str = DEFAULT_SIGNATURE,
    ) -> dict[str, Array]:
        """Run a signature of a model's newest version.

        In: `inputs`: by name; strings as `serving.tensors.strings` makes them.
        Out: every output by name, strings as object arrays of bytes.
        Raises: ServingError: the server refused, or could not be asked in time.
        """

    @abstractmethod
    def status(self, model: str) -> list[ModelVersion]:
        """Return the state of every version of a model that the server knows.

        Raises: ServingError: NOT_FOUND: no such model.
        """

    @abstractmethod
    def metadata(self, model: str) -> ModelMetadata:
        """Return the signatures of a model's newest version.

        Raises: ServingError: NOT_FOUND: no such model, or none is loaded.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    def recommend(
        self,
        user: str,
        *,
        history: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        k: int | None = None,
    ) -> list[Recommendation]:
        """Return items that a user has not seen, best first.

        In: `user`: any id; one that the model does not know is no error. `history`:
            the user's items, oldest first, in place of those in the model; where longer
            than the model reads, the newest count. `exclude`: items to leave out. `k`:
            how many; by default as many as the model was exported for, or 10 where
            `history` or `exclude` is given.
        Out: at most k; fewer where the model has no more to offer.
        Raises: ServingError: INVALID_ARGUMENT: k out of range; others see `predict`.
        """
        inputs = {"user_id": strings([user])}
        signature = DEFAULT_SIGNATURE
        if not (history is None and exclude is None and k is None):
            signature = "with_history"
            inputs["history"] = padded(history or (), self._widths.history, trim=True)
            inputs["exclude"] = padded(exclude or (), self._widths.exclude)
            # Always sent: REST has no way to leave out an input that has a default.
            inputs["k"] = np.array([DEFAULT_K if k is None else k], np.int32)
        outputs = self.predict(self._names.recommender, inputs, signature)
        return self._listed(outputs)

    def similar(self, item: str) -> list[Recommendation]:
        """Return the items most like an item, best first.

        Raises: ServingError: see `predict`.
        """
        inputs = {"item_id": strings([item])}
        outputs = self.predict(self._names.recommender, inputs, "similar_items")
        return self._listed(outputs)

    def search(self, text: str) -> list[Recommendation]:
        """Return the items that a phrase is most like, best first; none of a blank one.

        Raises: ServingError: NOT_FOUND: the model was exported without a text tower;
        others see `predict`.
        """
        inputs = {"text": strings([text])}
        outputs = self.predict(self._names.recommender, inputs, "search")
        return self._listed(outputs)

    def rank(self, user: str, items: Sequence[str]) -> list[Recommendation]:
        """Return the given items, best for the user first.

        Out: each head's prediction in `columns`; unknown items last, scored -1e30.
        Raises: ServingError: see `predict`.
        """
        if not items:
            return []
        inputs = {"user_id": strings([user]), "item_id": strings([list(items)])}
        heads = self.predict(self._names.ranking, inputs)
        scores = heads.pop("score")[0].tolist()
        columns = [
            {name: values[0, place].item() for name, values in heads.items()}
            for place in range(len(items))
        ]
        order = sorted(range(len(items)), key=lambda place: -scores[place])
        return self._described(
            [(items[place], scores[place], columns[place]) for place in order]
        )

    def embed_text(self, text: str) -> Array:
        """Return the vector of a text: float32 (D,).

        Raises: ServingError: see `predict`.
        """
        inputs = {"text": strings([text])}
        outputs = self.predict(self._names.retrieval, inputs, "embed_text")
        vector: Array = outputs["embedding"][0]
        return vector

    def describe(self, items: Sequence[str]) -> list[Item]:
        """Return title and display columns of items, in the order given.

        Raises: ServingError: see `predict`.
        """
        if not items:
            return []
        inputs = {"item_id": strings([list(items)])}
        outputs = self.predict(self._names.recommender, inputs, "describe")
        columns = {name: readable(values[0]) for name, values in outputs.items()}
        titles = columns.pop("title")
        return [
            Item(
                item_id=item,
                title=str(titles[place]),
                columns={name: values[place] for name, values in columns.items()},
            )
            for place, item in enumerate(items)
        ]

    def __enter__(self) -> Self:
        """Return the client; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def _listed(self, outputs: Mapping[str, Array]) -> list[Recommendation]:
        ids = readable(outputs["item_id"][0])
        scores = outputs["score"][0].tolist()
        pairs = zip(ids, scores, strict=True)
        return self._described([(item, score, {}) for item, score in pairs if item])

    def _described(
        self, scored: list[tuple[str, float, dict[str, Any]]]
    ) -> list[Recommendation]:
        known = self._try_describe([item for item, _, _ in scored])
        return [
            Recommendation(
                item_id=item,
                score=float(score),
                title=known[item].title if item in known else "",
                columns={**(known[item].columns if item in known else {}), **columns},
            )
            for item, score, columns in scored
        ]

    def _try_describe(self, items: list[str]) -> dict[str, Item]:
        """Return what is known of items; nothing where the model cannot describe."""
        if not self._titles:
            return {}
        try:
            return {item.item_id: item for item in self.describe(items)}
        except ServingError as err:
            if err.code in _NO_DESCRIBE:
                return {}
            raise
