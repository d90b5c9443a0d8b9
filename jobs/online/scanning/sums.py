"""Exact running sums, compiled: the limbs and the order of operations of `jobs.online.exact_prefix`."""

from math import sqrt
from typing import Any

import numpy as np

from jobs.features.exact_sum import LIMB, OFFSET
from jobs.online import exact_prefix
from jobs.online.scanning import layout
from jobs.online.scanning.compiled import compiled

_FIRST_LEVEL, _LEVELS = -24, 48
_LIMB_EXPONENTS = OFFSET + LIMB * (np.arange(_LEVELS) + _FIRST_LEVEL)
_UNITS, _PER_UNIT = 2.0**_LIMB_EXPONENTS, 2.0**-_LIMB_EXPONENTS
_FLOORS = 2.0 ** (_LIMB_EXPONENTS - 1)
"""The least magnitude whose first limb is at a level."""


_product_error = compiled(exact_prefix.product_error)


@compiled
def _row(work: Any, levels: Any, used: Any, level: Any, sums: Any) -> Any:
    """The row of running sums that holds a level, which is a new one if none does; `ROWS`: there are too many.

    levels: where the levels of the rows stand. sums: where the first row begins, and how many sums it has.
    """
    for row in range(used):
        if work[levels + row] == level:
            return row
    if used < layout.ROWS:
        work[levels + used] = level
        first = sums[0] + used * layout.ROW
        for at in range(first, first + sums[1]):
            work[at] = 0
    return used


@compiled
def _add(work: Any, levels: Any, used: Any, value: Any, sums: Any) -> Any:
    """Add a number to the last running sums; how many rows there are, or -1: it is out of reach."""
    magnitude, level = abs(value), -_FIRST_LEVEL - 1
    if magnitude < _FLOORS[0] or magnitude >= _FLOORS[_LEVELS - 1]:
        return used if value == 0.0 else -1
    while magnitude < _FLOORS[level]:
        level -= 1
    while magnitude >= _FLOORS[level + 1]:
        level += 1
    rest = value
    while rest != 0.0:
        if level < 0:
            return -1
        whole = np.int64(rest * _PER_UNIT[level])
        if whole != 0:
            row = _row(work, levels, used, level, sums)
            if row == layout.ROWS:
                return -1
            used = max(used, row + 1)
            work[sums[0] + row * layout.ROW + sums[1] - 1] += whole
            rest -= whole * _UNITS[level]
        level -= 1
    return used


@compiled
def sum_up(program: Any, total: Any, state: Any, at: Any, facts: Any) -> Any:
    """Go on with running sums by the numbers of lines; False: one is out of reach.

    at: the place of the total among all, how many numbers it has, and how many come.
    """
    numbers, work = program[0], state[0]
    number, size, count = at
    word, is_double = numbers[total + layout.TOTALED], numbers[total + layout.TOTALED_AS] == layout.DOUBLE
    is_squared, lines = numbers[total + layout.IS_SQUARED] != 0, numbers[layout.LINES]
    first, levels = (
        numbers[layout.SUMS] + number * layout.ROWS * layout.ROW,
        numbers[layout.LEVELS] + number * layout.ROWS,
    )
    used = work[numbers[layout.USED] + number]
    for place in range(count):
        line = work[lines + place] + word
        value = facts[1][line] if is_double else np.float64(facts[0][line])
        for row in range(used):
            last = first + row * layout.ROW + size + place
            work[last + 1] = work[last]
        sums = (first, size + place + 2)
        if is_squared:
            square = value * value
            used = _add(work, levels, used, square, sums)
            if used >= 0:
                used = _add(work, levels, used, _product_error(value, value, square), sums)
        else:
            used = _add(work, levels, used, value, sums)
        if used < 0:
            return False
    work[numbers[layout.USED] + number] = used
    return True


@compiled
def pair(program: Any, state: Any, total: Any, low: Any, high: Any) -> Any:
    """The sum of the numbers at [low, high) as two doubles, from the largest limb down."""
    numbers, work = program[0], state[0]
    first, levels = (
        numbers[layout.SUMS] + total * layout.ROWS * layout.ROW,
        numbers[layout.LEVELS] + total * layout.ROWS,
    )
    used, below = work[numbers[layout.USED] + total], _LEVELS
    large = small = 0.0
    for _ in range(used):
        chosen, level = 0, -1
        for row in range(used):
            if level < work[levels + row] < below:
                chosen, level = row, work[levels + row]
        below = level
        sums = first + chosen * layout.ROW
        term = np.float64(work[sums + high] - work[sums + low]) * _UNITS[level]
        added = large + term
        shadow = added - large
        small += (large - (added - shadow)) + (term - shadow)
        large = added
    return large, small


@compiled
def deviation(count: Any, total: Any, squares: Any) -> Any:
    """See `jobs.online.exact_prefix.sample_deviation`."""
    n = np.float64(count)
    left = n * squares[0]
    left_low = _product_error(n, squares[0], left) + n * squares[1]
    right = total[0] * total[0]
    right_low = _product_error(total[0], total[0], right) + 2 * total[0] * total[1]
    spread = left + -right
    shadow = spread - left
    error = (left - (spread - shadow)) + (-right - shadow)
    spread += error + (left_low - right_low)
    if spread < left * 2.0**-98:
        spread = 0.0
    return sqrt(spread / (n * (n - 1)))
