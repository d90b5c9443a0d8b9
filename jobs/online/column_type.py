"""What a column of facts holds, and what a value has to be to stand in it."""

from math import isfinite
from typing import Any, Literal, NamedTuple

from jobs.errors import Invalid

Kind = Literal["float64", "int64", "bool", "string"]
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
