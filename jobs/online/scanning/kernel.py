"""Features of one event by one pass over all facts of its entity, compiled: bit for bit those of the batch kernel.

For an entity of some hundred facts a pass costs less than what is kept between decisions, whose many pieces have to
come back from memory.
"""

from math import isfinite, isnan, nan
from typing import Any

import numpy as np
from numba import boolean, float64, int64, njit

from jobs.online.fact_lines import RATIOS
from jobs.online.scanning import layout
from jobs.online.scanning.choosing import is_null
from jobs.online.scanning.compiled import compiled
from jobs.online.scanning.functions import evaluate
from jobs.online.scanning.ordering import in_order, place_last
from jobs.online.scanning.state import enter, fill


@compiled
def _ratio(program: Any, state: Any, ratio: Any, events: Any, line: Any) -> Any:
    """Put a ratio into the event's line; False: it is too large."""
    numbers = program[0]
    word, kind = line + numbers[ratio + layout.NUMERATOR], numbers[ratio + layout.NUMERATOR_KIND]
    level, value = state[1][numbers[layout.RESULTS] + numbers[ratio + layout.LEVEL]], nan
    if not is_null(events, word, kind) and level > 0:
        numerator = events[1][word] if kind == layout.DOUBLE else np.float64(events[0][word])
        value = numerator / level + 0.0
        if not isfinite(value):
            value = nan
    events[1][line + numbers[ratio + layout.RATIO]] = value
    return isnan(value) or abs(value) <= program[1][numbers[ratio + layout.LARGEST]]


@compiled
def _scanned(program: Any, state: Any, events: Any, at: Any) -> Any:
    """Enter the event, and find all values; False: something is out of reach. at: see `enter`."""
    numbers, stage = program[0], 0
    moment = at[1]
    line = events[0].shape[0] - numbers[layout.EVENT_WORDS]
    evaluate(program, state, 0, moment)
    place_last(events[0], numbers[layout.EVENT_WORDS], state[0][numbers[layout.ORDER] :], at[0] - 1)
    for ratio in range(numbers[layout.RATIOS_AT], numbers[layout.RATIOS_END], layout.RATIO_SIZE):
        if not enter(program, state, stage, events, at):
            return False
        stage += 1
        evaluate(program, state, stage, moment)
        if not _ratio(program, state, ratio, events, line):
            return False
    if not enter(program, state, stage, events, at):
        return False
    evaluate(program, state, stage + 1, moment)
    events[0][line + 2] |= RATIOS
    return True


@njit(boolean(int64[::1], int64[::1], int64[::1], int64[::1], int64, float64[::1]), cache=True)
def scan(numbers: Any, work: Any, of_events: Any, of_labels: Any, moment: Any, found: Any) -> Any:
    """Find the features of the event whose line is the last, decided at a moment after all that is known.

    Args:
        numbers: a program (`jobs.online.scanning.program`).
        work: room for the state; what it holds between scans is of no meaning, but it must begin as zeros.
        of_events, of_labels: lines of the facts of one entity; ratios of the event are put into its own.
        moment: in microseconds since 1970.
        found: room for the features, in the order of their declaration; NaN is null.

    Returns False if nothing is found, as it has to be found elsewhere: facts are too many or too shuffled, ratios of
    events before are not known, or numbers are too small, too large, or too far apart to be added up here.
    """
    program, state = (numbers, numbers.view(np.float64)), (work, work.view(np.float64))
    events, labels = (of_events, of_events.view(np.float64)), (of_labels, of_labels.view(np.float64))
    order, width = work[numbers[layout.ORDER] :], numbers[layout.EVENT_WORDS]
    before = in_order(of_events, width, of_events.shape[0] - width, order, numbers[layout.NEEDS])
    needs = numbers[layout.NEEDS] & layout.ONE_BY_ONE
    reported = in_order(of_labels, numbers[layout.LABEL_WORDS], of_labels.shape[0], order[layout.ROW :], needs)
    if before < 0 or reported < 0:
        return False
    if not fill(program, state, 0, events, (before, moment)) or not fill(program, state, 1, labels, (reported, moment)):
        return False
    if not _scanned(program, state, events, (before + 1, moment)):
        return False
    number = numbers[layout.RESULTS]
    for operation in range(numbers[layout.OPERATIONS], numbers[layout.OPERATIONS_END], layout.OPERATION):
        place = numbers[operation + layout.PLACE]
        if place >= 0:
            found[place] = state[1][number]
        number += 1
    return True
