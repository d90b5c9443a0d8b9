"""The largest or smallest of any range of values, at about the same cost for a hundred values and for a million."""

from array import array
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK = 16


class Extremes:
    """The best value of all ranges that end with the last value; of others by the best of blocks, once one is asked."""

    __slots__ = ("_better", "_blocks", "_places", "_values")

    def __init__(self, values: "array[Any]", better: Callable[..., float]) -> None:
        """values: shared with the owner, who says what is inserted. better: max or min."""
        self._values, self._better = values, better
        self._places = _unbeaten(np.array(values), better)
        self._blocks: Blocks | None = None

    def inserted(self, place: int) -> None:
        """A value was inserted at a place."""
        values, places, better = self._values, self._places, self._better
        value, at = values[place], bisect_left(places, place)
        for behind in range(at, len(places)):
            places[behind] += 1
        if at == len(places) or better(value, values[places[at]]) != values[places[at]]:
            first = at
            while first and better(value, values[places[first - 1]]) == value:
                first -= 1
            places[first:at] = array("q", (place,))
        if self._blocks is not None:
            self._blocks.changed_from(place)

    def best(self, low: int, high: int) -> float:
        """The best of the values at [low, high), of which there is one at least."""
        if high == len(self._values):
            return self._values[self._places[bisect_left(self._places, low)]]  # type: ignore[no-any-return]
        if high - low <= 2 * BLOCK:
            return self._better(self._values[low:high])
        if self._blocks is None:
            self._blocks = Blocks(self._values, self._better)
        return self._blocks.best(low, high)


def _unbeaten(values: np.ndarray[Any, Any], better: Callable[..., float]) -> "array[int]":
    """The places whose value is better than every later one, which is the best from there on."""
    if not len(values):
        return array("q")
    of_rest = (np.maximum if better is max else np.minimum).accumulate(values[::-1])[::-1]
    places = np.append(np.flatnonzero(of_rest[:-1] != of_rest[1:]), len(values) - 1)
    return array("q", places.astype(np.int64).tobytes())


class Blocks:
    """The best value of each block of values, of each block of those, and so on."""

    __slots__ = ("_better", "_levels")

    def __init__(self, values: "array[Any]", better: Callable[..., float]) -> None:
        self._better, self._levels = better, [values]
        self.changed_from(0)

    def changed_from(self, place: int) -> None:
        """Values from a place on are new, or stand elsewhere."""
        if len(self._levels[0]) <= 2 * BLOCK:
            return
        level = 1
        while len(self._levels[level - 1]) > 2 * BLOCK:
            below = self._levels[level - 1]
            if level == len(self._levels):
                self._levels.append(array("d"))
                place = 0
            place //= BLOCK
            blocks = self._levels[level]
            del blocks[place:]
            for start in range(place * BLOCK, len(below), BLOCK):
                blocks.append(self._better(below[start : start + BLOCK]))
            level += 1
        del self._levels[level:]

    def best(self, low: int, high: int) -> float:
        """The best of the values at [low, high), of which there is one at least."""
        found: list[float] = []
        for values in self._levels:
            first, last = -(-low // BLOCK), high // BLOCK
            if values is self._levels[-1] or last - first < 2:
                found += values[low:high]
                break
            found += values[low : first * BLOCK]
            found += values[last * BLOCK : high]
            low, high = first, last
        return self._better(found)
