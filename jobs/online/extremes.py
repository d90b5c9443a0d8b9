"""The largest or smallest of any range of values, at about the same cost for a hundred values and for a million."""

from array import array
from collections.abc import Callable

BLOCK = 16


class Extremes:
    """The best value of each block of values, of each block of those, and so on."""

    __slots__ = ("_better", "_levels")

    def __init__(self, values: "array[float]", better: Callable[..., float]) -> None:
        """values: shared with the owner, who says what changes in them. better: max or min."""
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
        if high - low <= 2 * BLOCK:
            return self._better(self._levels[0][low:high])
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
