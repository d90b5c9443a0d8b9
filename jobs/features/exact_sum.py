"""Sums of doubles that can be taken apart again: exact prefix sums in int64 limbs.

A running sum of doubles keeps the rounding of everything that ever passed (after 1e12 came and went, cents are lost).
Here each value is split into whole multiples of fixed powers of two; integers add and subtract exactly and may wrap,
as only the difference of two prefix sums has to fit. Nothing about windows or tables belongs here.
"""

from typing import NamedTuple

import numpy as np

from jobs.arrays import Floats, Ints
from jobs.errors import Invalid

# A limb holds LIMB bits, so 2**(63 - LIMB) = 8 M values of one window add up without overflow. The grid is fixed,
# never fitted to the data: a window's sum does not depend on which other rows are in memory. The offset puts money
# (two decimals, below 65,536) into two limbs.
LIMB = 40
OFFSET = 16
Limbs = dict[int, Ints]
"""Exact numbers: for each exponent e an array of whole multiples of 2**e."""


class Pair(NamedTuple):
    """A number as the sum of two doubles (double-double arithmetic, Dekker 1971)."""

    high: Floats
    low: Floats


def limbs_of(values: Floats) -> Limbs:
    """Split finite doubles into limbs, without loss; raises ValueError on NaN and infinity."""
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if not np.isfinite(largest):
        raise Invalid("expected finite numbers, found NaN or infinity; the contract should have quarantined them")
    rest, limbs = values, {}
    exponent = OFFSET + LIMB * ((int(np.frexp(largest)[1]) - OFFSET) // LIMB)
    while rest.any():
        whole = _scaled(rest, -exponent)
        np.trunc(whole, out=whole)
        if whole.any():
            limbs[exponent] = whole.astype(np.int64)
            rest = np.subtract(rest, _scale(whole, exponent), out=whole)
        exponent -= LIMB
    return limbs


def squares_of(values: Floats) -> Limbs:
    """The exact squares of finite doubles, as limbs."""
    square = values * values
    limbs = limbs_of(square)
    for exponent, part in limbs_of(_product_error(values, values, square)).items():
        limbs[exponent] = limbs[exponent] + part if exponent in limbs else part
    return limbs


def rounded(limbs: Limbs, rows: int) -> Floats:
    """The nearest doubles (within one unit in the last place) of exact numbers."""
    if 1 <= len(limbs) <= 2:
        terms = [_scale(limb.astype(np.float64), exponent) for exponent, limb in limbs.items()]
        return terms[0] if len(terms) == 1 else np.add(terms[0], terms[1], out=terms[0])
    high, low = pair(limbs, rows)
    return high + low


def pair(limbs: Limbs, rows: int) -> Pair:
    """Exact numbers as pairs of doubles, from the largest limb down."""
    high = low = np.zeros(rows)
    for exponent in sorted(limbs, reverse=True):
        term = _scale(limbs[exponent].astype(np.float64), exponent)
        high, error = _two_sum(high, term)
        low = low + error
    return Pair(high, low)


def sample_deviation(count: Ints, total: Limbs, squares: Limbs) -> Floats:
    """sqrt((n * sum(x^2) - sum(x)^2) / (n * (n - 1))): exact sums, difference in double-double; NaN below n = 2.

    Plain doubles would lose everything where the mean is 1e8 times the deviation.
    """
    n = count.astype(np.float64)
    sums, second = pair(total, len(n)), pair(squares, len(n))
    left = _two_product(n, second.high, n * second.low)
    right = _two_product(sums.high, sums.high, 2 * sums.high * sums.low)
    high, error = _two_sum(left.high, -right.high)
    spread = high + (error + (left.low - right.low))
    # Values that differ at all differ by 2**-53 of themselves; what is below is rounding of this function.
    spread[spread < left.high * 2.0**-98] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(n > 1, np.sqrt(spread / (n * (n - 1))), np.nan)


def _scaled(a: Floats, exponent: int, out: Floats | None = None) -> Floats:
    # A product is ten times as fast as ldexp, where the power is a normal double.
    return np.multiply(a, 2.0**exponent, out=out) if abs(exponent) < 1000 else np.ldexp(a, exponent, out=out)


def _scale(a: Floats, exponent: int) -> Floats:
    """The same array, scaled: most of a new one's cost is its memory."""
    return _scaled(a, exponent, out=a)


def _two_sum(a: Floats, b: Floats) -> Pair:
    total = a + b
    shadow = total - a
    return Pair(total, (a - (total - shadow)) + (b - shadow))


def _two_product(a: Floats, b: Floats, extra: Floats) -> Pair:
    product = a * b
    return Pair(product, _product_error(a, b, product) + extra)


def _product_error(a: Floats, b: Floats, product: Floats) -> Floats:
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: Floats) -> Pair:
    shifted = a * 134_217_729.0  # 2**27 + 1
    high = shifted - (shifted - a)
    return Pair(high, a - high)
