"""The rows that window features are computed for: when each was decided, and what it knows of itself.

Which facts count for them is `jobs.features.facts`' answer.
"""

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Ints
from jobs.features.clock import order_of
from jobs.features.facts import FactTable, OwnFacts


class Targets:
    """Targets sorted by entity and moment, each with its place among the events that were given."""

    def __init__(self, source: FactTable, moments: Ints, is_target: NDArray[np.bool_], decided: bool) -> None:
        """moments: when each event was decided. decided: whether any of them is not the event time."""
        is_target = source.sort(is_target)
        chosen = None if is_target.all() else np.flatnonzero(is_target)
        self.points, self.happened = _picked(source.points, chosen), _picked(source.happened, chosen)
        self.times = self.happened
        if decided:
            chosen = np.arange(len(is_target)) if chosen is None else chosen
            chosen = self._in_order_of_decisions(source, source.sort(moments), chosen)
        self.rows = chosen if source.order is None else _picked(source.order, chosen)
        """Places among the events; None: all of them as they are."""
        self.created = self.times
        if decided or source.known is not source.happened:
            known = _picked(source.known, chosen)
            self.created = np.maximum(known, self.times)
            places = np.arange(len(known)) if chosen is None else chosen
            source.own = OwnFacts(places, np.arange(len(places)), self.times).where(
                (known > self.times) | (self.times > self.happened)
            )

    def _in_order_of_decisions(self, source: FactTable, moments: Ints, chosen: Ints) -> Ints:
        points = source.clock.at(source.keys[chosen], moments[chosen])
        order = order_of(points)
        chosen = chosen if order is None else chosen[order]
        self.points = points if order is None else points[order]
        self.happened, self.times = source.happened[chosen], moments[chosen]
        return chosen


def _picked(array: Ints, places: Ints | None) -> Ints:
    return array if places is None else array[places]
