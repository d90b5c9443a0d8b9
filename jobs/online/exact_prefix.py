"""Sums of any range of doubles at the cost of one subtraction per limb, equal to those of the batch kernel to the bit.

The scalar twin of `jobs.features.exact_sum`: the limbs per exponent are part of a sum's definition, so the grid is the
one there, and so is the order of every floating-point operation.
"""

from array import array
from collections.abc import Mapping
from math import frexp, ldexp, nan, sqrt
from typing import NamedTuple

import numpy as np

from jobs.features import exact_sum
from jobs.features.exact_sum import LIMB, OFFSET

UNWRAPPED = 2**20
"""Running sums of fewer numbers do not wrap: a limb has at most `LIMB` bits, and one more in squares."""
_PLAIN = 1000
"""Exponents below it are normal powers of two, by which a product is exact."""


class Pair(NamedTuple):
    """A number as the sum of two doubles."""

    high: float
    low: float


def limbs_of(value: float) -> dict[int, int]:
    """A finite double as whole multiples of powers of two, by exponent."""
    rest, limbs = value, {}
    exponent = OFFSET + LIMB * ((frexp(value)[1] - OFFSET) // LIMB)
    while rest:
        whole = int(ldexp(rest, -exponent))
        if whole:
            limbs[exponent] = whole
            rest -= ldexp(whole, exponent)
        exponent -= LIMB
    return limbs


def squares_of(value: float) -> dict[int, int]:
    """The exact square of a finite double whose square is finite."""
    square = value * value
    limbs = limbs_of(square)
    for exponent, part in limbs_of(product_error(value, value, square)).items():
        limbs[exponent] = limbs.get(exponent, 0) + part
    return limbs


class ExactPrefix:
    """Running sums per exponent, from the largest down; each starts with 0 and may wrap, as in the kernel."""

    __slots__ = ("_exponents", "_is_normal", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[tuple[int, float, array[int]]] = []
        """Exponent, its power of two (0: no normal double), running sums."""
        self._exponents: set[int] = set()
        self._is_normal = True
        self._size = 0

    @classmethod
    def of(cls, limbs: exact_sum.Limbs, size: int) -> "ExactPrefix":
        """The running sums of so many numbers."""
        prefix = cls()
        prefix._size = size
        for exponent in limbs:
            running = np.zeros(size + 1, np.int64)
            np.cumsum(limbs[exponent], out=running[1:])
            prefix._add(exponent, array("q", running.tobytes()))
        return prefix

    def insert(self, place: int, limbs: Mapping[int, int]) -> None:
        """Put a number in before the one at a place; at the end this costs the least."""
        for exponent in limbs:
            if exponent not in self._exponents:
                self._add(exponent, array("q", bytes(8 * (self._size + 1))))
        is_last, is_whole = place == self._size, self._size < UNWRAPPED
        self._size += 1
        for exponent, _, sums in self._parts:
            limb = limbs.get(exponent, 0)
            running = sums[place] + limb
            sums.insert(place + 1, running if is_whole else _wrapped(running))
            if not is_last:
                behind = np.frombuffer(sums, np.int64)[place + 2 :]
                behind += limb
                del behind

    def _add(self, exponent: int, sums: "array[int]") -> None:
        self._exponents.add(exponent)
        power = 2.0**exponent if -_PLAIN < exponent < _PLAIN else 0.0
        self._is_normal &= power > 0
        self._parts.append((exponent, power, sums))
        self._parts.sort(key=lambda part: -part[0])

    def total(self, low: int, high: int) -> float:
        """The sum of the numbers at [low, high)."""
        if len(self._parts) == 2 and self._is_normal and self._size < UNWRAPPED:
            # Of two terms the pair's sum is their own.
            (_, power, sums), (_, small_power, small_sums) = self._parts
            return (sums[high] - sums[low]) * power + (small_sums[high] - small_sums[low]) * small_power
        large, small = self.pair(low, high)
        return large + small

    def pair(self, low: int, high: int) -> Pair:
        """The same before its last rounding."""
        if self._is_normal and self._size < UNWRAPPED:
            terms = [(sums[high] - sums[low]) * power for _, power, sums in self._parts]
        else:
            terms = [ldexp(_wrapped(sums[high] - sums[low]), exponent) for exponent, _, sums in self._parts]
        large = small = 0.0
        for term in terms:
            total = large + term
            shadow = total - large
            small += (large - (total - shadow)) + (term - shadow)
            large = total
        return Pair(large, small)


def sample_deviation(count: int, total: Pair, squares: Pair) -> float:
    """See `jobs.features.exact_sum.sample_deviation`, whose operations these are, one by one."""
    if count < 2:
        return nan
    n = float(count)
    left = n * squares.high
    left_low = product_error(n, squares.high, left) + n * squares.low
    right = total.high * total.high
    right_low = product_error(total.high, total.high, right) + 2 * total.high * total.low
    spread = left + -right
    shadow = spread - left
    error = (left - (spread - shadow)) + (-right - shadow)
    spread += error + (left_low - right_low)
    if spread < left * 2.0**-98:
        spread = 0.0
    return sqrt(spread / (n * (n - 1)))


def _wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def product_error(a: float, b: float, product: float) -> float:
    """What rounding took from a product (Dekker 1971); `jobs.online.scanning` compiles it as it stands."""
    shifted = a * 134_217_729.0  # 2**27 + 1
    a_high = shifted - (shifted - a)
    shifted = b * 134_217_729.0
    b_high = shifted - (shifted - b)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
