"""Facts inside a window by their rank: how many lie below a bound, and which is the k-th, for every target at once.

See `jobs.features.facts` for which facts entered and left by then.
"""

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Ints

Passed = tuple[Ints, Ints]
"""For each target how many facts have passed a point, and the facts' codes in the order in which they do."""


class Ranks:
    """What entered less what left, as a wavelet matrix of each (Claude et al., Information Systems 47, 2015).

    The codes are sorted bit by bit, from the highest, each time stably; how many zeros stand before a position then
    takes a prefix of all codes to the prefix of those that share their first bits. Both orders hold the same codes, so
    a group starts at the same place in both. O((facts + targets) log codes), however facts fall on targets.
    """

    def __init__(self, entered: Passed, left: Passed, own: Ints, codes: int, sign: int = 1) -> None:
        """own: code of one more fact that only this target has inside (sign -1: lacks), or -1. codes: how many."""
        # A bound may be the number of codes itself.
        self._bits = max(1, codes.bit_length())
        self._passed = (entered[0], left[0])
        came = _zeros(entered[1], self._bits)
        self._zeros = [came, came if left[1] is entered[1] else _zeros(left[1], self._bits)]
        self._own, self._sign = own if (own >= 0).any() else None, sign

    def below(self, bounds: Ints) -> Ints:
        """Number of facts inside whose code is below the target's bound."""
        return self._descend(bounds, choose=False)

    def select(self, places: Ints) -> Ints:
        """The code at a place (from 0) among the codes inside, in ascending order; undefined beyond the last."""
        return self._descend(places, choose=True)

    def _descend(self, asked: Ints, choose: bool) -> Ints:
        """Bit by bit into the group of codes that holds the answer; `asked` is a bound, or what is left of a place."""
        ends, start = list(self._passed), np.zeros(len(asked), np.int64)
        mine = None if self._own is None else self._own >= 0
        answer, left = np.zeros(len(asked), np.int64), asked
        for level in range(self._bits):
            bit = self._bits - 1 - level
            zeros = [table[level] for table in self._zeros]
            low = zeros[0][start]
            before = [table[end] for table, end in zip(zeros, ends, strict=True)]
            inside = before[0] - before[1]
            if mine is not None and self._own is not None:
                inside = inside + self._sign * (mine & (self._own >> bit & 1 == 0))
            up: NDArray[np.bool_] = left >= inside if choose else (asked >> bit & 1).astype(bool)
            if choose:
                answer, left = answer | (up.astype(np.int64) << bit), np.where(up, left - inside, left)
            else:
                answer = answer + np.where(up, inside, 0)
            if mine is not None and self._own is not None:
                mine = mine & ((self._own >> bit & 1 == 1) == up)
            ones_from = zeros[0][-1]
            ends = [np.where(up, ones_from + end - low_, low_) for end, low_ in zip(ends, before, strict=True)]
            start = np.where(up, ones_from + start - low, low)
        return answer


def _zeros(codes: Ints, bits: int) -> list[Ints]:
    """Per bit, from the highest: how many of the codes before each position have a zero there."""
    tables = []
    for bit in range(bits - 1, -1, -1):
        zero = codes >> bit & 1 == 0
        tables.append(np.append(0, np.cumsum(zero)))
        codes = np.concatenate([codes[zero], codes[~zero]])
    return tables
