"""A made-up world whose truth is known: a text, a category and two numbers decide the chance that a row is positive.

Rows of two seeds are two samples of the same world.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.arrays import Floats

WORDS, LONGEST = 150, 12
_EFFECTS = 0.3
"""Share of the words that say something."""
_BASE = -2.0
"""Logit of a row without any effect: about a fifth of the rows is positive."""


def rows(seed: int, count: int) -> tuple[pa.Table, Floats]:
    """`count` rows with the text `note`, the category `kind`, the numbers `one` and `two` and the boolean `label`; and
    the chance of each to be positive. A note of no words is empty."""
    effects, kinds = _effects()
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, WORDS + 1)
    lengths = random.integers(0, LONGEST + 1, count)
    words = random.choice(WORDS, lengths.sum(), p=shares / shares.sum())
    of_note = np.bincount(np.repeat(np.arange(count), lengths), effects[words], count)
    one, two = random.normal(size=(2, count))
    kind = random.integers(0, len(kinds), count)
    chances: Floats = 1 / (1 + np.exp(-(of_note + kinds[kind] + 0.5 * one + _BASE)))
    spelled = np.array([f"word{n}" for n in range(WORDS)], dtype=object)[words]
    notes = [_written(part) for part in np.split(spelled, np.cumsum(lengths)[:-1])]
    columns = {"note": notes, "kind": [f"kind {n}" for n in kind.tolist()], "one": one, "two": two}
    return pa.table({**columns, "label": random.random(count) < chances}), chances


def _effects() -> tuple[Floats, Floats]:
    """What each word, and each kind, adds to the logit."""
    random = np.random.default_rng(0)
    effects = np.where(random.random(WORDS) < _EFFECTS, random.normal(scale=2.5, size=WORDS), 0.0)
    return effects, random.normal(scale=0.5, size=20)


def _written(words: NDArray[np.object_]) -> str:
    """A sentence: the first word with a capital, and marks between some."""
    return "" if not len(words) else f"{words[0].capitalize()} {', '.join(words[1:])}.".replace(" .", ".")
