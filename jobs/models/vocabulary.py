"""Which values of a category a model knows: learned from its training rows, kept with it, and part of its graph.

Code 0 is a value that is not known (rare in training, or never seen), code 1 a missing one, and from 2 on come the
values that are known, the most frequent first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Float32s, Ints
from jobs.errors import Invalid
from jobs.models.features import FeatureRows, texts_of, values_of
from jobs.models.protocol import Examples

UNKNOWN, MISSING, FIRST = 0, 1, 2
"""Codes of a value that is not known, of a missing one, and of the most frequent one."""
FEWEST_ROWS, MOST_VALUES = 10, 10_000
"""A value of fewer training rows is not told from others that are as rare; nor are more values known."""


@dataclass(frozen=True)
class Vocabulary:
    """Known values by column position; empty where all features are numbers."""

    known: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[int, ...]:
        """Positions of the categories."""
        return tuple(sorted(self.known))

    def size(self, column: int) -> int:
        """Number of codes of a category."""
        return FIRST + len(self.known[column])

    def encode(self, rows: FeatureRows) -> Float32s:
        """Numbers as they are, categories as codes of this vocabulary, float32 [n, f].

        Raises:
            ValueError: other columns are categories.
        """
        texts, values = texts_of(rows), values_of(rows)
        if texts.keys() != self.known.keys():
            raise Invalid(
                f"features: expected categories at the positions {list(self.columns)}, found them at {sorted(texts)}; "
                "hand over columns of the types that the model was trained with"
            )
        if not texts:
            return values
        encoded = values.copy()
        for column, own in texts.items():
            encoded[:, column] = _recoded(values[:, column], own, self.known[column])
        return encoded

    def encoded(self, examples: Examples) -> Examples:
        """The same rows with encoded features."""
        return replace(examples, features=self.encode(examples.features))

    def names(self, names: Sequence[str]) -> tuple[str, ...]:
        """Of the categories, where the features are called `names`."""
        return tuple(names[column] for column in self.columns)

    def header(self, names: Sequence[str]) -> dict[str, Any]:
        """As the header of a saved model holds it; nothing where all features are numbers."""
        stored = {names[column]: list(values) for column, values in self.known.items()}
        return {"vocabulary": stored} if stored else {}


def of_header(header: Mapping[str, Any]) -> Vocabulary:
    """What `Vocabulary.header` made. Raises ValueError on names that are no features."""
    names, stored = header["names"], header["vocabulary"]
    if unknown := sorted(stored.keys() - set(names)):
        raise Invalid(f"vocabulary: expected features among {list(names)}, found {unknown}; save the model again")
    return Vocabulary({names.index(name): tuple(values) for name, values in stored.items()})


def learned(rows: FeatureRows, fewest: int = FEWEST_ROWS, most: int = MOST_VALUES) -> Vocabulary:
    """The values of each category that have `fewest` rows, at most the `most` frequent ones."""
    codes = {column: values_of(rows)[:, column] for column in texts_of(rows)}
    return Vocabulary({column: _frequent(codes[column], own, fewest, most) for column, own in texts_of(rows).items()})


def _frequent(codes: Float32s, texts: pa.StringArray, fewest: int, most: int) -> tuple[str, ...]:
    counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(texts))
    candidates = np.flatnonzero(counts >= fewest)
    if len(candidates) > most:
        # Those that are as frequent as the last one are decided by their text.
        line = np.partition(counts[candidates], -most)[-most]
        candidates = candidates[counts[candidates] >= line]
    values = texts.take(pa.array(candidates)).to_pylist()
    ranked = sorted(zip((-counts[candidates]).tolist(), values, strict=True))
    return tuple(value for _, value in ranked[:most])


def _recoded(codes: Float32s, texts: pa.StringArray, known: Sequence[str]) -> Ints:
    """Codes of the vocabulary, of rows with the codes of some reading."""
    missing = np.isnan(codes)
    own = np.where(missing, 0, codes).astype(np.int64)
    if len(own) < len(texts):  # few rows of a large table look up what they hold
        present, own = np.unique(own, return_inverse=True)
        texts = texts.take(pa.array(present)) if len(texts) else texts
    places = pc.index_in(texts, value_set=pa.array(known, pa.string()))
    translated = pc.fill_null(places, UNKNOWN - FIRST).to_numpy(zero_copy_only=False).astype(np.int64) + FIRST
    if not len(translated):
        return np.full(len(codes), MISSING)
    return np.where(missing, MISSING, translated[own])
