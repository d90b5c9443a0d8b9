"""What is made of the facts of one entity: those of each selection with what is kept of them, compiled."""

from typing import Any

from jobs.online.scanning import layout
from jobs.online.scanning.choosing import chosen
from jobs.online.scanning.compiled import compiled
from jobs.online.scanning.sums import sum_up


@compiled
def _keep(program: Any, selection: Any, state: Any, facts: Any, count: Any) -> Any:
    """Let a selection go on by the facts of its lines; False: a value is out of reach."""
    numbers, work = program[0], state[0]
    number = (selection - numbers[layout.SELECTIONS]) // layout.SELECTION
    size, lines = work[numbers[layout.SIZES] + number], numbers[layout.LINES]
    times = numbers[layout.TIMES] + number * layout.ROW + size
    for at in range(count):
        work[times + at] = facts[0][work[lines + at]]
    for store in range(numbers[layout.STORES], numbers[layout.STORES_END], layout.STORE):
        if numbers[store + layout.STORED_IN] == number:
            values = numbers[layout.VALUES] + (store - numbers[layout.STORES]) // layout.STORE * layout.ROW + size
            for at in range(count):
                work[values + at] = facts[0][work[lines + at] + numbers[store + layout.STORED]]
    for total in range(numbers[selection + layout.SUMMED], numbers[selection + layout.SUMMED_END], layout.TOTAL):
        place = (total - numbers[layout.TOTALS]) // layout.TOTAL
        if not sum_up(program, total, state, (place, size, count), facts):
            return False
    work[numbers[layout.SIZES] + number] = size + count
    return True


@compiled
def _take(program: Any, selection: Any, state: Any, facts: Any, span: Any) -> Any:
    """Let a selection go on by those facts of a span of the lines in order that it takes.

    span: where their places begin and end in the state, and when what happened is out of all windows' reach.
    """
    numbers, work = program[0], state[0]
    first, end, out = span
    while first < end and facts[0][work[first]] <= out:
        first += 1
    lines = work[numbers[layout.LINES] : numbers[layout.LINES] + layout.ROW]
    for at in range(first, end):
        lines[at - first] = work[at]
    count = chosen(program, selection, facts, lines, end - first)
    return _keep(program, selection, state, facts, count)


@compiled
def _empty(program: Any, state: Any, selection: Any) -> None:
    numbers, work = program[0], state[0]
    work[numbers[layout.SIZES] + (selection - numbers[layout.SELECTIONS]) // layout.SELECTION] = 0
    for total in range(numbers[selection + layout.SUMMED], numbers[selection + layout.SUMMED_END], layout.TOTAL):
        work[numbers[layout.USED] + (total - numbers[layout.TOTALS]) // layout.TOTAL] = 0


@compiled
def fill(program: Any, state: Any, of: Any, facts: Any, at: Any) -> Any:
    """Put facts, whose lines stand in order, into the selections of their kind; at: how many, and the moment."""
    numbers = program[0]
    size, moment = at
    order = numbers[layout.ORDER] + of * layout.ROW
    for selection in range(numbers[layout.SELECTIONS], numbers[layout.SELECTIONS_END], layout.SELECTION):
        if numbers[selection + layout.OF] == of:
            _empty(program, state, selection)
            span = (order, order + size, moment - numbers[selection + layout.BACK])
            if not _take(program, selection, state, facts, span):
                return False
    return True


@compiled
def enter(program: Any, state: Any, stage: Any, events: Any, at: Any) -> Any:
    """Put the event into the selections that take it once so many ratios are known; False: a value is out of reach.

    at: how many events there are with it, whose lines are in order, and the moment. Where it is not the last of them,
    a selection is made anew.
    """
    numbers, work = program[0], state[0]
    size, moment = at
    order = numbers[layout.ORDER]
    is_last = work[order + size - 1] == events[0].shape[0] - numbers[layout.EVENT_WORDS]
    for selection in range(numbers[layout.SELECTIONS], numbers[layout.SELECTIONS_END], layout.SELECTION):
        if numbers[selection + layout.OF] == 0 and numbers[selection + layout.STAGE] == stage:
            if not is_last:
                _empty(program, state, selection)
            span = (order + size - 1 if is_last else order, order + size, moment - numbers[selection + layout.BACK])
            if not _take(program, selection, state, events, span):
                return False
    return True
