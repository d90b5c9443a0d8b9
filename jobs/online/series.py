"""Facts of one selection in the order of their event times, and what is kept of them so that any window is cheap."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Ints
from jobs.features import exact_sum
from jobs.online.exact_prefix import ExactPrefix, limbs_of, squares_of
from jobs.online.extremes import Extremes
from jobs.online.sliding import FEW, SlidingCount


@dataclass
class Contents:
    """The columns of which a series keeps values, running sums, running sums of squares, and extremes."""

    values: dict[str, str] = field(default_factory=dict)
    """The type code of each column's array; empty: a list."""
    sums: set[str] = field(default_factory=set)
    squares: set[str] = field(default_factory=set)
    extremes: set[tuple[str, Callable[..., Any]]] = field(default_factory=set)


class Fact:
    """The columns of one fact, and its numbers taken apart once for all series."""

    __slots__ = ("_limbs", "_squares", "happened", "values")

    def __init__(self, happened: int, values: dict[str, Any]) -> None:
        self.happened, self.values = happened, values
        self._limbs: dict[str, dict[int, int]] = {}
        self._squares: dict[str, dict[int, int]] = {}

    def limbs(self, column: str) -> dict[int, int]:
        if column not in self._limbs:
            self._limbs[column] = limbs_of(float(self.values[column]))
        return self._limbs[column]

    def squares(self, column: str) -> dict[int, int]:
        if column not in self._squares:
            self._squares[column] = squares_of(float(self.values[column]))
        return self._squares[column]


class Series:
    """What is known now of an entity: facts that no later version has replaced."""

    __slots__ = ("_counts", "extremes", "squares", "sums", "times", "values")

    def __init__(self, contents: Contents, times: Ints, columns: Mapping[str, NDArray[Any]]) -> None:
        """times: ascending. columns: of the same facts."""
        self.times = array("q", times.tobytes())
        self.values: dict[str, Any] = {
            name: array(code, columns[name].tobytes()) if code else columns[name].tolist()
            for name, code in contents.values.items()
        }
        self.sums, self.squares = (
            {name: ExactPrefix.of(split(columns[name].astype(np.float64)), len(times)) for name in names}
            for split, names in ((exact_sum.limbs_of, contents.sums), (exact_sum.squares_of, contents.squares))
        )
        self.extremes = {(name, better): Extremes(self.values[name], better) for name, better in contents.extremes}
        self._counts: dict[Any, SlidingCount] = {}

    def insert(self, fact: Fact) -> None:
        """A fact that became known last: behind all others of its event time."""
        times, place = self.times, len(self.times)
        if place and times[-1] > fact.happened:
            place = bisect_right(times, fact.happened)
            self._counts.clear()
        times.insert(place, fact.happened)
        for name, values in self.values.items():
            values.insert(place, fact.values[name])
        for name, sums in self.sums.items():
            sums.insert(place, fact.limbs(name))
        for name, squares in self.squares.items():
            squares.insert(place, fact.squares(name))
        for extremes in self.extremes.values():
            extremes.inserted(place)

    def different(self, name: str, low: int, high: int, window: Any) -> int:
        """Number of different values at [low, high). window: the same for ranges that move on together."""
        values = self.values[name]
        if high - low <= FEW:
            return len(set(values[low:high]))
        if (name, window) not in self._counts:
            self._counts[name, window] = SlidingCount()
        return self._counts[name, window].different(values, low, high)
