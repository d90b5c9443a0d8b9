"""Functions of the facts of a window, compiled: the twin of `jobs.online.functions`."""

from math import isfinite, isnan
from typing import Any

import numpy as np

from jobs.online.scanning import layout
from jobs.online.scanning.compiled import compiled
from jobs.online.scanning.sums import deviation, pair


@compiled
def _behind(work: Any, first: Any, size: Any, moment: Any) -> Any:
    """How many of some times are at or before a moment."""
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if work[first + middle] <= moment:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _range(program: Any, state: Any, number: Any, operation: Any, moment: Any) -> Any:
    """The facts of a selection that a window holds: those at [low, high), and where its times begin."""
    numbers, work = program[0], state[0]
    size, times = work[numbers[layout.SIZES] + number], numbers[layout.TIMES] + number * layout.ROW
    end = moment - numbers[operation + layout.DELAY]
    high = size if size == 0 or work[times + size - 1] <= end else _behind(work, times, size, end)
    low = _behind(work, times, high, moment - numbers[operation + layout.REACH])
    if numbers[operation + layout.LAST] > 0:
        low = max(low, high - numbers[operation + layout.LAST])
    return low, high, times


@compiled
def _different(program: Any, work: Any, first: Any, end: Any) -> Any:
    """How many different values stand at [first, end) of a state."""
    numbers, count = program[0], 0
    keys, marks = numbers[layout.KEYS], numbers[layout.MARKS]
    work[0] += 1
    mark = work[0]
    for at in range(first, end):
        key = work[at]
        bucket = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(53))
        while work[marks + bucket] == mark and work[keys + bucket] != key:
            bucket = (bucket + 1) & (layout.BUCKETS - 1)
        if work[marks + bucket] != mark:
            work[marks + bucket], work[keys + bucket] = mark, key
            count += 1
    return count


@compiled
def _number(state: Any, at: Any, kind: Any) -> Any:
    return state[1][at] if kind == layout.DOUBLE else np.float64(state[0][at])


@compiled
def _extreme(state: Any, kind: Any, first: Any, end: Any, is_largest: Any) -> Any:
    best = _number(state, first, kind)
    for at in range(first + 1, end):
        value = _number(state, at, kind)
        if (value > best) if is_largest else (value < best):
            best = value
    return best


@compiled
def _percentile(program: Any, ordered: Any, size: Any, operation: Any) -> Any:
    """See `jobs.online.functions`."""
    numbers = program[0]
    of = numbers[operation + layout.OF_SHARE]
    scaled, how = (size - 1) * numbers[operation + layout.SHARE], numbers[operation + layout.HOW]
    place, rest = scaled // of, scaled % of
    if how == layout.LINEAR:
        below, above = ordered[place], ordered[min(place + 1, size - 1)]
        return below + rest / of * (above - below)
    up, half = 0, 2 * rest - of
    if how == layout.HIGHER:
        up = 1 if rest > 0 else 0
    elif how == layout.NEAREST:
        up = (place & 1) if half == 0 else (1 if half > 0 else 0)
    return ordered[place + up]


@compiled
def _sort(state: Any, kind: Any, first: Any, end: Any, ordered: Any) -> None:
    """Shell's sort, with Ciura's gaps."""
    size = end - first
    for at in range(size):
        ordered[at] = _number(state, first + at, kind)
    for gap in (701, 301, 132, 57, 23, 10, 4, 1):
        for at in range(gap, size):
            value, place = ordered[at], at
            while place >= gap and ordered[place - gap] > value:
                ordered[place] = ordered[place - gap]
                place -= gap
            ordered[place] = value


@compiled
def _of_times(program: Any, state: Any, operation: Any, moment: Any, empty: Any) -> Any:
    numbers, work = program[0], state[0]
    function = numbers[operation + layout.FUNCTION]
    low, high, times = _range(program, state, numbers[operation + layout.SELECTED], operation, moment)
    if function == layout.COUNT:
        return np.float64(high - low)
    if function == layout.LAST_AGE:
        return (moment - work[times + high - 1]) / 1e6 if high > low else empty
    if function == layout.FIRST_AGE:
        return (moment - work[times + low]) / 1e6 if high > low else empty
    other_low, other_high, others = _range(program, state, numbers[operation + layout.OTHER], operation, moment)
    if function == layout.RATE:
        return (high - low) / (other_high - other_low) if other_high > other_low else empty
    if other_high > other_low:
        low = max(low, _behind(work, times, high, work[others + other_high - 1]))
    if function == layout.STREAK:
        return np.float64(high - low)
    return (moment - work[times + low]) / 1e6 if high > low else empty


@compiled
def _of_values(program: Any, state: Any, operation: Any, moment: Any, empty: Any) -> Any:
    numbers = program[0]
    function, column = numbers[operation + layout.FUNCTION], numbers[operation + layout.COLUMN]
    low, high, _ = _range(program, state, numbers[operation + layout.SELECTED], operation, moment)
    if function == layout.DISTINCT:
        values = numbers[layout.VALUES] + column * layout.ROW
        return np.float64(_different(program, state[0], values + low, values + high))
    if high <= low or (function == layout.STD and high - low < 2):
        return empty
    if function == layout.SUM or function == layout.MEAN:
        large, small = pair(program, state, column, low, high)
        return large + small if function == layout.SUM else (large + small) / (high - low)
    if function == layout.STD:
        squares = pair(program, state, numbers[operation + layout.SQUARES], low, high)
        return deviation(high - low, pair(program, state, column, low, high), squares)
    values, kind = (
        numbers[layout.VALUES] + column * layout.ROW,
        numbers[numbers[layout.STORES] + column * layout.STORE + layout.STORED_AS],
    )
    if function == layout.PERCENTILE:
        ordered = state[1][numbers[layout.NUMBERS] : numbers[layout.NUMBERS] + layout.ROW]
        _sort(state, kind, values + low, values + high, ordered)
        return _percentile(program, ordered, high - low, operation)
    return _extreme(state, kind, values + low, values + high, function == layout.MAX)


@compiled
def _trend(program: Any, state: Any, operation: Any, empty: Any) -> Any:
    numbers, results = program[0], program[0][layout.RESULTS]
    short = state[1][results + numbers[operation + layout.SELECTED]]
    long = state[1][results + numbers[operation + layout.OTHER]]
    if isnan(short) or isnan(long) or long == 0.0 or not isfinite(short / long):
        return empty
    return short / long


@compiled
def evaluate(program: Any, state: Any, phase: Any, moment: Any) -> None:
    """Find the values of a phase."""
    numbers = program[0]
    for number in range((numbers[layout.OPERATIONS_END] - numbers[layout.OPERATIONS]) // layout.OPERATION):
        operation = numbers[layout.OPERATIONS] + number * layout.OPERATION
        function, empty = numbers[operation + layout.FUNCTION], program[1][numbers[layout.EMPTIES] + number]
        if numbers[operation + layout.PHASE] == phase:
            if function == layout.TREND:
                value = _trend(program, state, operation, empty)
            elif function == layout.COUNT or function >= layout.LAST_AGE:
                value = _of_times(program, state, operation, moment, empty)
            else:
                value = _of_values(program, state, operation, moment, empty)
            state[1][numbers[layout.RESULTS] + number] = value
