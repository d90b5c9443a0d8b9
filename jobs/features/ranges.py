"""Many ranges over one line of positions, answered for every position at once, without a loop over ranges.

Used where windows cannot be taken as a difference of running sums (smallest, largest, number of different values).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Ints


def extreme(
    low: Ints, high: Ints, values: NDArray[Any], size: int, *, largest: bool
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """For each of `size` positions the largest (or smallest) value over the ranges [low, high) that cover it.

    Also whether any range does. A sparse table used backwards: a range of length n is two overlapping blocks of the
    power of two at most n; each is noted at its start on its level, and levels are pushed down from the longest.
    O((ranges + size) log size).
    """
    better = np.maximum if largest else np.minimum
    worst = _worst(values.dtype, largest)
    level_of = np.frexp((high - low).astype(np.float64))[1] - 1
    order = np.argsort(level_of.astype(np.int8), kind="stable")
    bounds = np.searchsorted(level_of[order], np.arange(66))
    best = np.full(size, worst, values.dtype)
    for level in range(int(level_of.max(initial=0)), -1, -1):
        chosen = order[bounds[level] : bounds[level + 1]]
        block = 1 << level
        better.at(best, low[chosen], values[chosen])
        better.at(best, high[chosen] - block, values[chosen])
        if level:
            half = block >> 1
            pushed = best.copy()
            better(pushed[half:], best[:-half], out=pushed[half:])
            best = pushed
    return best, _cover(low, high, size) > 0


def covered(low: Ints, high: Ints, codes: Ints, size: int) -> Ints:
    """For each of `size` positions the number of different codes among the ranges [low, high) that cover it."""
    base = codes * (size + 1)
    order = np.argsort(base + low)
    starts, ends = (base + low)[order], (base + high)[order]
    # Overlapping ranges of one code shrink to what no earlier one covers, so each position counts a code once.
    reached = np.maximum.accumulate(ends)
    starts[1:] = np.maximum(starts[1:], reached[:-1])
    ends = np.maximum(ends, starts)
    shift = base[order]
    return _cover(starts - shift, ends - shift, size)


def _cover(low: Ints, high: Ints, size: int) -> Ints:
    change = np.bincount(low, minlength=size + 1) - np.bincount(high, minlength=size + 1)
    return np.cumsum(change)[:size]


def _worst(kind: np.dtype[Any], largest: bool) -> Any:
    if np.issubdtype(kind, np.floating):
        return -np.inf if largest else np.inf
    return np.iinfo(kind).min if largest else np.iinfo(kind).max
