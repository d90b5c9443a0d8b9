"""The last facts inside a window, so many for each target, and what sums, extremes and ranks of them are.

Which facts are inside is `jobs.features.facts`' answer. Among those of one event time the latest is the one that was
known last, and among those known at one moment the one with the greatest id of its event: an order that does not depend
on which other rows are in memory.
"""

from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Floats, Ints
from jobs.features.exact_sum import Limbs
from jobs.features.facts import Facts, Inside
from jobs.features.ranks import Ranks
from jobs.window_lengths import Last

Number = TypeVar("Number", np.float64, np.int64)


class LastFacts:
    """Arrays of shape (facts, targets), the latest fact first; `there` says where there is one."""

    def __init__(self, facts: Facts, window: Last) -> None:
        self.facts = facts
        inside, back = facts.inside(window.within), np.arange(1, window.facts + 1)[:, None]
        sequence = facts.sequence
        if _is_a_range(facts, inside):
            places = inside.entered.passed - back
            self.there: NDArray[np.bool_] = places >= inside.left.passed
            self.places: Ints = np.maximum(places, 0)
        else:
            places = inside.count - back
            self.there = places >= 0
            ranks = _by_time(facts, inside, sequence)
            self.places = np.stack([ranks.select(np.maximum(place, 0)) for place in places])
        self.places = np.minimum(self.places, max(len(facts.keys) - 1, 0))
        if sequence is not None:
            self.places = sequence[self.places]

    @cached_property
    def count(self) -> Ints:
        counted: Ints = self.there.sum(axis=0)
        return counted

    def total(self, column: str, squared: bool = False) -> Limbs:
        limbs = self.facts.limbs(column, squared)
        return {exponent: self.of(limb, 0).sum(axis=0) for exponent, limb in limbs}

    def of(self, values: NDArray[Number], nothing: float) -> NDArray[Number]:
        """A value of each fact, and `nothing` where there is none."""
        if not len(values):
            return np.full(self.places.shape, nothing, values.dtype)
        return np.where(self.there, values[self.places], values.dtype.type(nothing))

    def distinct(self, column: str) -> Ints:
        codes = np.sort(self.of(self.facts.codes(column), -1), axis=0)
        first = np.concatenate([np.ones((1, codes.shape[1]), bool), codes[1:] != codes[:-1]])
        different: Ints = (first & (codes >= 0)).sum(axis=0)
        return different

    def extreme(self, values: NDArray[Number], *, largest: bool) -> NDArray[Number]:
        """The largest or smallest value of each target; anything where it has none."""
        own = self.of(values, 0)
        # The latest fact stands in for those that are not there.
        own = np.where(self.there, own, own[0])
        found: NDArray[Number] = (np.maximum if largest else np.minimum).reduce(own, axis=0)
        return found

    def ascending(self, column: str) -> Floats:
        """The values of each target in ascending order; infinity behind them."""
        return np.sort(self.of(self.facts.values(column), np.inf), axis=0)


def _is_a_range(facts: Facts, inside: Inside) -> bool:
    """Whether what is inside lies next to each other, for every target, in the order of `Facts.sequence`."""
    in_order = inside.entered.order is None and inside.left.order is None and not len(inside.own.facts)
    return in_order and (facts.sequence is None or not (facts.late or facts.source.superseded is not None))


def _by_time(facts: Facts, inside: Inside, sequence: Ints | None) -> Ranks:
    codes = np.arange(len(facts.keys))
    if sequence is not None:
        codes = np.empty_like(sequence)
        codes[sequence] = np.arange(len(sequence))
    return facts.ranked(inside, codes, len(codes))
