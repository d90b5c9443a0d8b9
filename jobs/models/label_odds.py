"""Categories as one number each, for models that know no others: the log odds of the label among a value's rows; of
several classes those of the most frequent one; of a regression the mean of the label.

A row of training gets those among other rows (`jobs.stats.category_means`): with its own label inside, a rare value
would hold the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from jobs.arrays import Float32s, Floats, Ints
from jobs.errors import Invalid
from jobs.models import vocabulary
from jobs.models.features import FeatureRows
from jobs.models.protocol import Examples
from jobs.models.vocabulary import Vocabulary
from jobs.stats import category_means

_CERTAIN = 1e-6
"""Shares of positives are cut this far from 0 and 1."""
_ARRAY = "odds_{}"


@dataclass(frozen=True, eq=False)
class LabelOdds:
    """Known values of categories, and what each is as a number."""

    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    tables: Mapping[int, Float32s] = field(default_factory=dict)
    """Column of a category -> its number by code."""

    def transform(self, rows: FeatureRows) -> Float32s:
        """Categories as numbers, the others as they are. Raises ValueError as `Vocabulary.encode`."""
        encoded = self.vocabulary.encode(rows)
        for column, table in self.tables.items():
            encoded[:, column] = table[encoded[:, column].astype(np.int64)]
        return encoded

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """The tables as a saved model holds them."""
        return {_ARRAY.format(column): table.astype(np.float64) for column, table in self.tables.items()}


def learned(train: Examples) -> tuple[LabelOdds, Float32s]:
    """The odds of the values in `train`, and its rows with those of other rows."""
    known, numbers = vocabulary.learned(train.features), _odds if train.task.name != "regression" else _means
    held_out = known.encode(train.features)
    tables: dict[int, Float32s] = {}
    for column in known.columns:
        rows = _weighed(held_out[:, column].astype(np.int64), train)
        tables[column] = numbers(category_means.means(*rows, known.size(column)))
        held_out[:, column] = numbers(category_means.out_of_fold(*rows, known.size(column)))
    return LabelOdds(known, tables), held_out


def of_arrays(known: Vocabulary, arrays: Mapping[str, npt.NDArray[np.float64]]) -> LabelOdds:
    """What `LabelOdds.arrays` made. Raises ValueError unless every value of `known` has its number."""
    stored = {column: arrays.get(_ARRAY.format(column)) for column in known.columns}
    tables = {column: table for column, table in stored.items() if table is not None}
    shapes = {column: (known.size(column),) for column in known.columns}
    if (found := {column: table.shape for column, table in tables.items()}) != shapes:
        raise Invalid(f"odds of categories: expected tables of shapes {shapes}, found {found}; save the model again")
    return LabelOdds(known, {column: table.astype(np.float32) for column, table in tables.items()})


def _weighed(codes: Ints, train: Examples) -> tuple[Ints, Floats, Floats]:
    weights = np.ones(len(train)) if train.weights is None else train.weights.astype(np.float64)
    labels = train.labels
    if train.task.classes:
        labels = labels == np.argmax(np.bincount(labels))
    return codes, labels.astype(np.float64), weights


def _means(means: Floats) -> Float32s:
    return means.astype(np.float32)


def _odds(shares: Floats) -> Float32s:
    """Numbers whose signed logarithm, sign(x) log(1 + |x|), is the log odds of the shares."""
    certain = np.clip(shares, _CERTAIN, 1 - _CERTAIN)
    odds = np.log(certain) - np.log1p(-certain)
    numbers: Float32s = (np.sign(odds) * np.expm1(np.abs(odds))).astype(np.float32)
    return numbers
