"""Which facts a selection takes, compiled: the twin of `jobs.online.selections`."""

from math import isnan
from typing import Any

import numpy as np

from jobs.online.scanning import layout
from jobs.online.scanning.compiled import compiled


@compiled
def _holds(left: Any, comparison: Any, right: Any) -> Any:
    if comparison == layout.EQUAL or comparison == layout.AMONG:
        return left == right
    if comparison == layout.UNEQUAL:
        return left != right
    if comparison == layout.LESS:
        return left < right
    if comparison == layout.AT_MOST:
        return left <= right
    if comparison == layout.MORE:
        return left > right
    return left >= right


@compiled
def is_null(facts: Any, word: Any, kind: Any) -> Any:
    return isnan(facts[1][word]) if kind == layout.DOUBLE else kind == layout.BOOLEAN and facts[0][word] < 0


@compiled
def _with_value(facts: Any, lines: Any, end: Any, word: Any, kind: Any) -> Any:
    """Keep the lines that have a value in a column; how many they are."""
    kept = 0
    for at in range(end):
        lines[kept] = lines[at]
        kept += not is_null(facts, lines[at] + word, kind)
    return kept


@compiled
def _of_doubles(program: Any, condition: Any, facts: Any, lines: Any, end: Any) -> Any:
    """Keep the lines whose column meets a condition that compares doubles; how many they are."""
    numbers, reals = program
    word, comparison = numbers[condition + layout.WORD], numbers[condition + layout.COMPARISON]
    is_double, kept = numbers[condition + layout.COMPARED_AS] == layout.DOUBLE, 0
    for at in range(end):
        line = lines[at]
        lines[kept] = line
        value = facts[1][line + word] if is_double else np.float64(facts[0][line + word])
        meets = False
        for constant in range(numbers[condition + layout.CONSTANTS], numbers[condition + layout.CONSTANTS_END]):
            meets |= _holds(value, comparison, reals[constant])
        kept += meets and not isnan(value)
    return kept


@compiled
def _of_integers(program: Any, condition: Any, facts: Any, lines: Any, end: Any) -> Any:
    """The same of a condition that compares integers, or yes and no."""
    numbers = program[0]
    word, comparison = numbers[condition + layout.WORD], numbers[condition + layout.COMPARISON]
    is_boolean, kept = numbers[condition + layout.COMPARED_AS] == layout.BOOLEAN, 0
    for at in range(end):
        line = lines[at]
        lines[kept] = line
        value = facts[0][line + word]
        meets = False
        for constant in range(numbers[condition + layout.CONSTANTS], numbers[condition + layout.CONSTANTS_END]):
            meets |= _holds(value, comparison, numbers[constant])
        kept += meets and not (is_boolean and value < 0)
    return kept


@compiled
def chosen(program: Any, selection: Any, facts: Any, lines: Any, end: Any) -> Any:
    """Keep the lines that a selection takes; how many they are."""
    numbers = program[0]
    if numbers[selection + layout.NULL] >= 0:
        end = _with_value(facts, lines, end, numbers[selection + layout.NULL], numbers[selection + layout.NULL_KIND])
    for condition in range(numbers[selection + layout.WHERE], numbers[selection + layout.WHERE_END], layout.CONDITION):
        kind = numbers[condition + layout.COMPARED_AS]
        if kind == layout.DOUBLE or kind == layout.OF_DOUBLES:
            end = _of_doubles(program, condition, facts, lines, end)
        else:
            end = _of_integers(program, condition, facts, lines, end)
    return end
