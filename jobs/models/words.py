"""What a model knows of texts: the words of its training rows with a weight each, so that a text becomes numbers.

A text is its words' tf-idf, scaled to length 1 (Salton & Buckley, Information Processing & Management 24, 1988), times
weights of a logistic regression on them, or of a ridge regression of numbers: the log odds that its words speak for,
of several classes one number each. A row of training gets the weights that other rows gave: with its own label inside,
rare words would hold the answer.

Weights are whole numbers of 1 / `UNIT`, so that sums are exact in any order, here and in a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Float32s, Floats, Ints
from jobs.errors import Invalid
from jobs.models.features import FeatureRows, Features, texts_of, values_of
from jobs.models.logistic import by_class
from jobs.models.protocol import Examples
from jobs.models.texts import is_text, words_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FEWEST_ROWS, MOST_WORDS = 10, 10_000
"""A word of fewer training rows is not known; nor are more words, the most frequent ones first."""
UNIT = 1 << 20
ROOT = 1 << 10
"""The root of `UNIT`."""
_FOLDS = 3
_ITERATIONS = 500
_known: WeakKeyDictionary[Examples, tuple[Words, Examples]] = WeakKeyDictionary()
"""What was learned of rows that somebody still holds: the trials of a search are fitted to the same ones."""


@dataclass(frozen=True, eq=False)
class Words:
    """Known words by column position, and what each adds; empty where no feature is a text."""

    known: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """In lower case, the most frequent first."""
    tables: Mapping[int, Ints] = field(default_factory=dict)
    """Shape (1 + words, numbers + 1), the first row of a word that is not known: weights, and the square of the word's
    share of its text's length."""

    @property
    def numbers(self) -> int:
        """How many numbers a text becomes."""
        return next((table.shape[1] - 1 for table in self.tables.values()), 1)

    def owners(self, width: int) -> list[int]:
        """Of each column of `numbered` rows, the one of `width` columns that it is made of."""
        return [*range(width), *(column for column in self.known for _ in range(1, self.numbers))]

    def names(self, names: Sequence[str]) -> tuple[str, ...]:
        """Of the columns of `numbered` rows."""
        return (*names, *(f"{names[column]} {n}" for column in self.known for n in range(1, self.numbers)))

    def numbered(self, rows: FeatureRows) -> FeatureRows:
        """Rows with each text as numbers, NaN where it is missing: the first in its place, others behind all columns.

        Raises:
            ValueError: a column that was a text is none.
        """
        texts = texts_of(rows)
        if missing := sorted(self.known.keys() - texts.keys()):
            raise Invalid(f"features: expected texts at the positions {missing}, found numbers; hand over texts there")
        of_columns = {column: self._numbers(rows, column) for column in self.known}
        return _with_numbers(rows, of_columns)

    def _numbers(self, rows: FeatureRows, column: int) -> Float32s:
        codes, texts = _present(values_of(rows)[:, column], texts_of(rows)[column])
        return _of_rows(text_numbers(texts, self.known[column], self.tables[column]), codes)


def learned(train: Examples) -> tuple[Words, Examples]:
    """The words in `train`, and its rows with numbers for texts: of each row by the weights of other rows."""
    if train not in _known:
        _known[train] = _learned_anew(train)
    return _known[train]


def _learned_anew(train: Examples) -> tuple[Words, Examples]:
    columns = [column for column in texts_of(train.features) if is_text(train.names[column])]
    found = {column: _learned(train, column) for column in columns}
    words = Words({c: known for c, (known, _, _) in found.items()}, {c: table for c, (_, table, _) in found.items()})
    features = _with_numbers(train.features, {column: numbers for column, (_, _, numbers) in found.items()})
    return words, replace(train, features=features, names=words.names(train.names))


def forms(known: Sequence[str]) -> dict[str, int]:
    """Ways to write known words -> code, from 1 on: in lower case, with a capital, in capitals."""
    found = {word: code for code, word in enumerate(known, 1)}
    for written in (str.capitalize, str.upper):
        for code, word in enumerate(known, 1):
            found.setdefault(written(word), code)
    return found


def text_numbers(texts: pa.StringArray, known: Sequence[str], table: Ints) -> Float32s:
    """Shape (texts, numbers), 0 where a text has no known word."""
    sums = _counts(texts, known) @ table
    lengths = np.sqrt(np.maximum(sums[:, -1:], 1).astype(np.float64)) * ROOT
    numbers: Float32s = (sums[:, :-1].astype(np.float64) / lengths).astype(np.float32)
    return numbers


def _learned(train: Examples, column: int) -> tuple[tuple[str, ...], Ints, Float32s]:
    """Known words, their table, and the numbers of the training rows."""
    codes, texts = _present(values_of(train.features)[:, column], texts_of(train.features)[column])
    has_text = codes < len(texts)
    known, rarity = _frequent(texts, np.bincount(codes[has_text], minlength=len(texts)))
    counts = _counts(texts, known)[:, 1:].multiply(rarity).tocsr()
    lengths = np.sqrt(np.maximum(_counts(texts, known)[:, 1:] @ rarity**2, 1.0))
    design = counts.multiply(1 / lengths[:, None]).tocsr()[codes[has_text]]
    rows, fold = train.rows(has_text), np.random.default_rng(0).integers(0, _FOLDS, len(train))
    numbers = np.full((len(train), max(1, len(train.task.classes))), np.nan, np.float32)
    for n in range(_FOLDS):
        others, own = fold[has_text] != n, fold == n
        table = _table(_weights(design[others], rows.rows(others)), rarity)
        numbers[own] = _of_rows(text_numbers(texts, known, table), codes[own])
    return known, _table(_weights(design, rows), rarity), numbers


def _frequent(texts: pa.StringArray, rows: Ints) -> tuple[tuple[str, ...], Floats]:
    """The words to know of texts that so many rows have, and the rarity of each (inverse document frequency)."""
    from scipy.sparse import csr_matrix

    words, of_text = words_of(texts)
    encoded = pc.utf8_lower(words).dictionary_encode()
    shape = (len(texts), len(encoded.dictionary))
    held = csr_matrix((np.ones(len(words)), (of_text, encoded.indices.to_numpy())), shape)
    of_rows = (held > 0).T @ rows
    often = np.flatnonzero(of_rows >= FEWEST_ROWS)
    values = encoded.dictionary.take(pa.array(often)).to_pylist()
    ranked = sorted(zip((-of_rows[often]).tolist(), values, strict=True))[:MOST_WORDS]
    counts = np.array([-count for count, _ in ranked], np.float64)
    return tuple(word for _, word in ranked), np.log((1 + rows.sum()) / (1 + counts)) + 1


def _weights(design: csr_matrix, rows: Examples) -> Floats:
    """Of each word, shape (words, numbers); zeros where nothing can be learned."""
    from sklearn.linear_model import LogisticRegression, Ridge

    classes, words = len(rows.task.classes), design.shape[1]
    if not words or len(np.unique(rows.labels)) < 2:
        return np.zeros((words, max(1, classes)))
    if rows.task.name == "regression":
        ridge = Ridge(solver="sparse_cg").fit(design, rows.labels, sample_weight=rows.weights)
        return np.asarray(ridge.coef_[:, None])
    solver = LogisticRegression(max_iter=_ITERATIONS).fit(design, rows.labels, sample_weight=rows.weights)
    weights: Floats = by_class(solver, classes)[0] if classes else solver.coef_.T
    return weights


def _table(weights: Floats, rarity: Floats) -> Ints:
    added = np.hstack([weights * rarity[:, None], rarity[:, None] ** 2])
    return np.vstack([np.zeros((1, added.shape[1])), np.rint(added * UNIT)]).astype(np.int64)


def _counts(texts: pa.StringArray, known: Sequence[str]) -> csr_matrix:
    """How often each text has each word, shape (texts, 1 + words), none of them one that is not known."""
    from scipy.sparse import csr_matrix

    words, of_text = words_of(texts)
    written = forms(known)
    places = pc.index_in(words, value_set=pa.array(list(written), pa.string()))
    held = places.is_valid()
    codes = np.array(list(written.values()), np.int64)[places.filter(held).to_numpy()]
    of_text = of_text[held.to_numpy(zero_copy_only=False)]
    return csr_matrix((np.ones(len(codes), np.int64), (of_text, codes)), (len(texts), 1 + len(known)))


def _present(codes: Float32s, texts: pa.StringArray) -> tuple[Ints, pa.StringArray]:
    """Codes among the texts that some row has; one past the last text where it is missing."""
    places, own = np.unique(codes[~np.isnan(codes)].astype(np.int64), return_inverse=True)
    found = np.full(len(codes), len(places))
    found[~np.isnan(codes)] = own
    return found, texts.take(pa.array(places, pa.int64()))


def _of_rows(numbers: Float32s, codes: Ints) -> Float32s:
    """Numbers of texts as those of rows, NaN where there is no text."""
    missing = np.full((1, numbers.shape[1]), np.nan, np.float32)
    found: Float32s = np.vstack([numbers, missing])[codes]
    return found


def _with_numbers(rows: FeatureRows, of_columns: Mapping[int, Float32s]) -> FeatureRows:
    values = np.hstack([values_of(rows), *(numbers[:, 1:] for numbers in of_columns.values())])
    for column, numbers in of_columns.items():
        values[:, column] = numbers[:, 0]
    texts = {column: own for column, own in texts_of(rows).items() if column not in of_columns}
    return Features(values, texts) if texts else values
