"""A column of facts in little memory, with nulls; and what a value has to be to stand in it."""

from array import array
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Bools
from jobs.errors import Invalid

Kind = Literal["float64", "int64", "bool", "string"]
_CODES: dict[str, tuple[str, Any]] = {"float64": ("d", np.nan), "int64": ("q", 0), "bool": ("b", -1)}
_CLASSES: dict[str, Any] = {"float64": (int, float), "int64": int, "bool": bool, "string": str}


class ColumnType(NamedTuple):
    """What a column holds. Times are int64: microseconds since 1970."""

    kind: Kind
    nullable: bool = True

    def checked(self, name: str, value: Any) -> Any:
        """The value as the column holds it; raises Invalid for another kind, NaN, infinity, or a null without leave."""
        if value is None:
            if not self.nullable:
                raise Invalid(f"column {name}: expected a value in every event, found none")
            return None
        kind = self.kind
        if kind == "float64" and type(value) is float and isfinite(value):
            # Added zero makes one number of 0.0 and -0.0.
            return value + 0.0
        if not isinstance(value, _CLASSES[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise Invalid(f"column {name}: expected {kind}, found {value!r}")
        if kind == "int64" and not -(2**63) <= value < 2**63:
            raise Invalid(f"column {name}: expected an integer of 64 bits, found {value!r}")
        if kind == "float64" and not isfinite(value):
            raise Invalid(f"column {name}: expected a finite number, found {value!r}")
        return float(value) if kind == "float64" else value


class TypedColumn:
    """Values of one kind, one behind the other."""

    __slots__ = ("_nulls", "_values", "kind")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._values: Any = [] if kind == "string" else array(_CODES[kind][0])
        self._nulls: set[int] | None = None
        """Places of nulls, where no value stands for one."""

    def __len__(self) -> int:
        return len(self._values)

    def append(self, value: Any) -> None:
        if value is None and self.kind != "string":
            if self.kind == "int64":
                self._nulls = self._nulls or set()
                self._nulls.add(len(self._values))
            value = _CODES[self.kind][1]
        self._values.append(value)

    def set(self, places: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Put other numbers at some places."""
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            self._values[place] = value

    def keep(self, places: NDArray[np.int64]) -> None:
        """Drop all values but those at some places."""
        nulls = self._nulls
        if nulls:
            self._nulls = {new for new, old in enumerate(places.tolist()) if old in nulls}
        if self.kind == "string":
            self._values = [self._values[place] for place in places.tolist()]
        else:
            self._values = array(self._values.typecode, self.numbers()[places].tobytes())

    def numbers(self) -> NDArray[Any]:
        """A copy of the values; anything at nulls."""
        if self.kind == "string":
            return np.array([*self._values, None], dtype=object)[:-1]
        return np.array(self._values, dtype=np.dtype({"d": "f8", "q": "i8", "b": "i1"}[self._values.typecode]))

    def valid(self) -> Bools:
        """Where there is a value."""
        values = self.numbers()
        if self.kind == "int64":
            there = np.ones(len(values), bool)
            there[list(self._nulls or ())] = False
            return there
        if self.kind == "string":
            return np.array([value is not None for value in values], dtype=bool)
        return ~np.isnan(values) if self.kind == "float64" else values >= 0

    def places_of(self, value: Any) -> NDArray[np.int64]:
        """Where a value stands that is no null."""
        return np.flatnonzero((self.numbers() == value) & self.valid())
