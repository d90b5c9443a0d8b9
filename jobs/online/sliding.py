"""How many different values lie in a range that moves on, at the cost of what entered and left since last time."""

from collections.abc import Hashable, Sequence

FEW = 64
"""So many values are counted anew each time, without state."""


class SlidingCount:
    """The values of the last range asked for, each with how often it is there."""

    __slots__ = ("_counts", "_high", "_low")

    def __init__(self) -> None:
        self._low = self._high = 0
        self._counts: dict[Hashable, int] = {}

    def different(self, values: Sequence[Hashable], low: int, high: int) -> int:
        """Number of different values at [low, high); values that were there last time are still the same."""
        if not self._low <= low <= self._high <= high:
            self._low = self._high = low
            self._counts.clear()
        counts = self._counts
        for value in values[self._high : high]:
            counts[value] = counts.get(value, 0) + 1
        for value in values[self._low : low]:
            if counts[value] == 1:
                del counts[value]
            else:
                counts[value] -= 1
        self._low, self._high = low, high
        return len(counts)
