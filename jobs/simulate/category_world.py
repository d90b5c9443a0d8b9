"""A made-up world whose truth is known: a category and two numbers decide the chance that each row is positive.

Rows of two seeds are two samples of the same world. Payments are made in `jobs.simulate.simulator`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jobs.arrays import Floats

VALUES = 200
_SKEW, _SPREAD = 1.3, 1.5
"""Exponent of Zipf's law that values are drawn by, and deviation of their effects on the logit."""
_BASE = -4.5
"""Logit of a row without any effect: about 3% of rows are positive."""


def rows(seed: int, count: int, values: int = VALUES) -> tuple[pa.Table, Floats]:
    """`count` rows with the numbers `one` and `two`, the category `kind` and the boolean `label`; and the chance of
    each to be positive."""
    random, effects = np.random.default_rng(seed), np.random.default_rng(0).normal(scale=_SPREAD, size=values)
    codes = np.minimum(random.zipf(_SKEW, count) - 1, 10 * values) % values
    one, two = random.normal(size=(2, count))
    chances: Floats = 1 / (1 + np.exp(-(effects[codes] + 0.8 * one + 0.5 * one * two + _BASE)))
    columns = {"one": one, "two": two, "kind": [f"kind {code}" for code in codes.tolist()]}
    return pa.table({**columns, "label": random.random(count) < chances}), chances
