"""Which facts an aggregate counts, as a value, and the test of a single fact: the twin of `jobs.features.facts`."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Bools
from jobs.conditions import Condition, conditions
from jobs.errors import Invalid
from jobs.online.column_type import ColumnType
from jobs.windows import BOOLEAN_COLUMN, Aggregate

_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_EXACT = 2**53


class Selection(NamedTuple):
    """Facts of one kind that meet conditions and have a value in a column."""

    of: str
    where: tuple[Condition, ...] = ()
    column: str | None = None

    @property
    def columns(self) -> set[str]:
        return {condition.column for condition in self.where} | ({self.column} if self.column else set())


def selection(aggregate: Aggregate, types: Mapping[str, ColumnType], value: bool = True) -> Selection:
    """The facts of an aggregate; of a function of a boolean column those where it is `value`."""
    column = aggregate.column
    if aggregate.function in BOOLEAN_COLUMN:
        return Selection(aggregate.of, conditions((str(column), value)))
    return Selection(aggregate.of, conditions(aggregate.where), column if column and types[column].nullable else None)


class Comparison:
    """A condition on a column of a known type, of one value or of many."""

    def __init__(self, condition: Condition, column: ColumnType) -> None:
        """Raises Invalid for a value that cannot be compared with the column."""
        self.column, self._comparison = condition.column, condition.comparison
        several = condition.value if condition.comparison == "in" else (condition.value,)
        if not all(_is_comparable(value, column.kind) for value in several):
            raise Invalid(
                f"where: expected a value that the column {self.column} can be compared with, of {column.kind}, found "
                f"{condition.value!r}; correct the declaration"
            )
        self._value: Any = set(several) if condition.comparison == "in" else several[0]
        # A larger number is not the same as a double, which arrays make of it.
        self._is_of_numbers = isinstance(self._value, int | float) and abs(self._value) <= _EXACT
        self.is_of_doubles = column.kind == "int64" and any(isinstance(value, float) for value in several)
        """Whether integers are compared as doubles, which the kernel refuses of those that are none."""

    def meets(self, value: Any) -> bool:
        """Whether one value meets it; a null never does."""
        if value is None:
            return False
        if self._comparison == "in":
            return value in self._value
        return bool(_COMPARED[self._comparison](value, self._value))

    def meet(self, values: NDArray[Any], valid: Bools) -> Bools:
        """Which of many values meet it."""
        if self._is_of_numbers and values.dtype != object:
            met: Bools = valid & _COMPARED[self._comparison](values, self._value)
            return met
        return np.fromiter((v and self.meets(value) for value, v in zip(values.tolist(), valid, strict=True)), bool)


def _is_comparable(value: Any, kind: str) -> bool:
    if kind in ("bool", "string"):
        return isinstance(value, bool if kind == "bool" else str)
    return isinstance(value, int | float) and not isinstance(value, bool)
