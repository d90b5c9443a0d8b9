"""Conditions on a column of facts as values: which there are, and which declarations are wrong.

How facts are chosen by them is the business of `jobs.features.facts`.
"""

import math
import re
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from jobs.errors import Invalid

Value: TypeAlias = bool | int | float | str
Comparison = Literal["==", "!=", "<", "<=", ">", ">=", "in"]
Simple: TypeAlias = tuple[str, Value] | tuple[str, Comparison, Value | tuple[Value, ...]]
Where: TypeAlias = Simple | tuple[Simple, ...]
"""Facts whose column equals a value, or compares with a number, or is one of several values; or all of several such
conditions, so that `(("amount", ">", 5), ("amount", "<=", 20))` is a range. A null meets none, `!=` included."""

ORDERED = frozenset({"<", "<=", ">", ">="})
_AS_WRITTEN = frozenset({"==", "<=", ">"})
_IN_NAMES = {"==": "", "!=": "not", "<": "below", "<=": "up_to", ">": "above", ">=": "from", "in": ""}


class Condition(NamedTuple):
    """One condition in its full form."""

    column: str
    comparison: Comparison
    value: Any


def conditions(where: Where | None) -> tuple[Condition, ...]:
    """The conditions that a fact has to meet, all of them; raises Invalid for what is no condition."""
    if where is None:
        return ()
    if not isinstance(where, tuple) or not where:
        raise Invalid(f"where: expected (column, value), (column, comparison, value) or several, found {where!r}")
    several = where if all(isinstance(part, tuple) for part in where) else (where,)
    return tuple(_condition(part) for part in several)


def in_name(where: Where | None) -> str:
    """The conditions as part of a column's name: is_fraud_true, amount_>_5, amount_from_5_amount_below_20.

    Alone, an equality, `<=` and `>` stay as tables of long ago have them, though Apache Spark stores no `=` in a name.
    """
    found = conditions(where)
    if len(found) == 1 and found[0].comparison in _AS_WRITTEN:
        parts = found[0] if found[0].comparison != "==" else (found[0].column, found[0].value)
        return "_".join(str(part) for part in parts).lower()
    words = [word for one in found for word in (one.column, _IN_NAMES[one.comparison], _value_in_name(one.value))]
    return re.sub(r"[\s,;{}()=`.]", "_", "_".join(word for word in words if word)).lower()


def _value_in_name(value: Any) -> str:
    return "_".join(str(one) for one in value) if isinstance(value, tuple) else str(value)


def _condition(given: Any) -> Condition:
    if len(given) == 2:
        given = (given[0], "==", given[1])
    if len(given) != 3:
        raise Invalid(f"where: expected (column, value) or (column, comparison, value), found {given!r}")
    column, comparison, value = given
    if not is_name(column):
        raise Invalid(f"where: expected the name of a column first, found {column!r} in {given!r}")
    if comparison not in get_args(Comparison):
        expected = ", ".join(repr(known) for known in get_args(Comparison))
        raise Invalid(f"where: expected a comparison {expected}, found {comparison!r} in {given!r}")
    if comparison == "in":
        if not isinstance(value, tuple) or not value or not all(_is_value(one) for one in value):
            raise Invalid(f"where: expected a tuple of values after 'in', found {value!r} in {given!r}")
    elif comparison in ORDERED and not is_number(value):
        raise Invalid(f"where: expected a finite number after {comparison!r}, found {value!r} in {given!r}")
    elif not _is_value(value):
        raise Invalid(f"where: expected a finite number, a text or a boolean, found {value!r} in {given!r}")
    return Condition(column, comparison, value)


def is_name(name: Any) -> bool:
    """Whether something can be the name of a column: a text that is no blank, on one line and without backticks."""
    return isinstance(name, str) and bool(name.strip()) and re.search(r"[`\x00-\x1f\x7f]", name) is None


def is_number(value: Any) -> bool:
    """Whether something is a finite number that a column can hold, and not a boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63


def _is_value(value: Any) -> bool:
    return isinstance(value, bool | str) or is_number(value)
