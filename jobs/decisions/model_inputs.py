"""The features of one event as the inputs of a model's graph, with the bits that nightly scoring gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, nan
from struct import Struct
from typing import Any

import numpy as np

from jobs.arrays import Float32s
from jobs.decisions.feature_row import FeatureRow
from jobs.errors import Invalid
from jobs.models.runtime import CATEGORIES, INPUT
from jobs.models.texts import MOST_CHARACTERS, is_text
from jobs.models.vectors import column_of, lengths_of, place_of
from jobs.registry.bundle import CATEGORY, NUMBER, Manifest

Take = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """How a row of features becomes the inputs of one model."""

    names: tuple[str, ...]
    """Features that are numbers, in the order of the graph's input."""
    _numbers: tuple[Take, ...]
    _plain: tuple[int, ...] | None
    """Places of the numbers in a row, if all are plain numbers of it."""
    _texts: tuple[Take, ...]

    @classmethod
    def of(cls, manifest: Manifest, rows: FeatureRow) -> ModelInputs:
        """Raises Invalid if the model reads a feature that the decision service cannot compute."""
        if unknown := [name for name in manifest.columns if name not in rows.names]:
            raise Invalid(
                f"model of {manifest.use_case}: expected features among the windows, inputs and request features that "
                f"are declared, found {unknown}; declare them (UseCase.request_features), or train without"
            )
        numbers = [name for name, kind in manifest.features if kind == NUMBER]
        texts = [name for name, kind in manifest.features if kind == CATEGORY]
        vectors = lengths_of(manifest.names)
        plain = None if vectors else tuple(rows.names.index(name) for name in numbers)
        return cls(
            tuple(numbers),
            tuple(_number(name, rows.names, vectors) for name in numbers),
            plain,
            tuple(_text(name, rows.names) for name in texts),
        )

    def feeds(self, row: Sequence[Any]) -> dict[str, Any]:
        """The inputs of the graph: float32 [1, numbers] and texts [1, categories], where there are such.

        Raises Invalid for a number that is beyond float32.
        """
        feeds: dict[str, Any] = {}
        if self.names:
            feeds[INPUT] = self._values(row)
        if self._texts:
            feeds[CATEGORIES] = np.array([[take(row) for take in self._texts]], dtype=object)
        return feeds

    def _values(self, row: Sequence[Any]) -> Float32s:
        taken = [row[at] for at in self._plain] if self._plain is not None else [take(row) for take in self._numbers]
        numbers = [nan if value is None else value for value in taken]
        try:
            # Several times as quick as to let numpy look at every number.
            packed = self._pack.pack(*numbers)
        except OverflowError:
            raise self._too_large(numbers) from None
        if inf in numbers or -inf in numbers:
            raise self._too_large(numbers)
        return np.frombuffer(packed, np.float32).reshape(1, -1)

    def _too_large(self, numbers: Sequence[Any]) -> Invalid:
        with np.errstate(over="ignore"):
            are_infinite = np.isinf(np.array(numbers, np.float64).astype(np.float32))
        wrong = [self.names[at] for at in np.flatnonzero(are_infinite).tolist()]
        return Invalid(f"features {wrong}: expected numbers that float32 holds, found larger ones")

    @cached_property
    def _pack(self) -> Struct:
        return Struct(f"={len(self.names)}f")


def _number(name: str, names: Sequence[str], vectors: Mapping[str, int]) -> Take:
    at = names.index(column_of(name))
    if column_of(name) not in vectors:
        return lambda row: row[at]
    place = place_of(name)
    return lambda row: None if row[at] is None else row[at][place]


def _text(name: str, names: Sequence[str]) -> Take:
    """Of a text what is read of it; of a category its value as a text. An empty one stands for none."""
    at, longest = names.index(column_of(name)), MOST_CHARACTERS if is_text(name) else None
    return lambda row: "" if row[at] is None else str(row[at])[:longest]
