"""A model of any family whose rows hold texts: it learns their words, and the family sees numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.arrays import Floats
from jobs.errors import Invalid
from jobs.models import words
from jobs.models.features import FeatureRows
from jobs.models.folders import packed, read_model, unpacked, write_model
from jobs.models.protocol import Examples, Model, Probabilities, StepReport, check_features, fitted_names
from jobs.models.words import Words

if TYPE_CHECKING:
    import onnx

_ARRAYS, _NUMBERS = "words.npz", "numbers"
_TABLE = "words_{}"


class TextModel:
    """Words and their weights, and in the folder `numbers` the family's own model."""

    def __init__(self, family: str, inner: Model) -> None:
        self.family, self._inner = family, inner
        self._words, self._names = Words(), None  # type: Words, tuple[str, ...] | None

    @property
    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        return self._inner.parameters

    @property
    def names(self) -> tuple[str, ...]:
        """See `Model.names`."""
        return fitted_names(self.family, self._names)

    @property
    def categories(self) -> tuple[str, ...]:
        """Features that come as texts, in order: those read word by word, and the family's categories."""
        texts = {self.names[column] for column in self._words.known} | set(self._inner.categories)
        return tuple(name for name in self.names if name in texts)

    @property
    def steps(self) -> int:
        """See `Model.steps`."""
        return self._inner.steps

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. Words and weights are the same for any seed."""
        train.task.check_trainable(train.labels)
        self._words, numbered = words.learned(train)
        held = None if valid is None else self._numbered(valid)
        self._inner.fit(numbered, held, seed=seed, device=device, report=report)
        self._names = train.names

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`."""
        check_features(features, self.names)
        return self._inner.predict(self._words.numbered(features))

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`."""
        from jobs.models.word_graph import with_words

        return with_words(self._inner.to_onnx(), self._words, self.names)

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        header = {"family": self.family, "parameters": self.parameters, "names": self.names, "steps": self.steps}
        header["vocabulary"] = {self.names[column]: list(known) for column, known in self._words.known.items()}
        tables = {_TABLE.format(column): table for column, table in self._words.tables.items()}
        write_model(folder, header, _ARRAYS, packed(tables))
        self._inner.save(folder / _NUMBERS)

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        header, content = read_model(folder, self.family, _ARRAYS)
        names, stored = header["names"], header["vocabulary"]
        known = {names.index(name): tuple(own) for name, own in stored.items() if name in names}
        arrays = unpacked(content)
        sizes = {_TABLE.format(column): 1 + len(own) for column, own in known.items()}
        if (found := {name: len(array) for name, array in arrays.items()}) != sizes:
            raise Invalid(f"{folder}: expected weights of {sizes} words, found {found}; save the model again")
        self._words = Words(known, {column: arrays[_TABLE.format(column)] for column in known})
        self._inner.load(folder / _NUMBERS)
        self._names = names

    def _numbered(self, rows: Examples) -> Examples:
        names = self._words.names(rows.names)
        return Examples(self._words.numbered(rows.features), rows.labels, rows.weights, names, rows.task)


class ExplainedTextModel(TextModel):
    """The same of a family that knows what each feature added."""

    def contributions(self, features: FeatureRows, background: FeatureRows) -> Floats:
        """As the family's own; of a text the sum of what its numbers added."""
        rows, usual = self._words.numbered(features), self._words.numbered(background)
        added = self._inner.contributions(rows, usual)  # type: ignore[attr-defined]
        width = len(self.names)
        of_columns = np.zeros((*added.shape[:-1], width + 1))
        for place, owner in enumerate([*self._words.owners(width), width]):
            of_columns[..., owner] += added[..., place]
        return of_columns


def of_family(family: str, inner: Model) -> Model:
    """A model that reads texts and leaves the numbers to `inner`, a model of `family`."""
    return (ExplainedTextModel if hasattr(inner, "contributions") else TextModel)(family, inner)
