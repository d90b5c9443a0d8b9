"""Lines of an entity's facts in the order of their event times, compiled."""

from typing import Any

from jobs.online.fact_lines import GONE, RATIOS
from jobs.online.scanning import layout
from jobs.online.scanning.compiled import compiled


@compiled
def in_order(words: Any, width: Any, end: Any, order: Any, needs: Any) -> Any:
    """Where the lines of what is known now begin, by event time; their number, or -1 for what is not as it must be."""
    size, moves = 0, 0
    for line in range(0, end, width):
        flags = words[line + 2]
        if flags & GONE:
            continue
        if needs & layout.RATIOS_KNOWN and not flags & RATIOS:
            return -1
        place = size
        while place > 0 and words[order[place - 1]] > words[line]:
            order[place] = order[place - 1]
            place -= 1
            moves += 1
        if needs & layout.ONE_BY_ONE and place > 0:
            before = order[place - 1]
            if words[before] == words[line] and words[before + 1] >= words[line + 1]:
                return -1
        order[place] = line
        size += 1
        if moves > layout.MOST_MOVES:
            return -1
    return size


@compiled
def place_last(words: Any, width: Any, order: Any, size: Any) -> None:
    """Put the line of the event among those before it, behind all of its event time."""
    line = words.shape[0] - width
    place = size
    while place > 0 and words[order[place - 1]] > words[line]:
        order[place] = order[place - 1]
        place -= 1
    order[place] = line
