"""Arithmetic that is written once for one value and for arrays of them, with the same bits; a null is NaN.

What only a request can tell is computed of one payment while its customer waits, and of millions at night. A function
of both uses operators and what is here, in one order.
"""

from math import nan
from typing import Any

import numpy as np


def over(value: Any, level: Any) -> Any:
    """value / level where the level is above zero, else NaN; of two floats, or of two arrays of them."""
    if not isinstance(level, np.ndarray):
        return value / level if level > 0 else nan
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(level > 0, value / level, nan)


def flag(condition: Any) -> Any:
    """1 where a condition holds, else 0."""
    return condition.astype(np.int64) if isinstance(condition, np.ndarray) else int(condition)
