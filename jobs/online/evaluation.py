"""Values of some features at one moment, as one Python function that is written out once for all entities.

A closure for each feature, and a look at what each window holds, cost three times as much as the arithmetic. Here
every expression is a line of its own that all features share which need it, so windows are found once. Nothing that a
person typed becomes source: columns are quoted, and other values are named.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias

from jobs.online.exact_prefix import sample_deviation
from jobs.online.series import Series
from jobs.window_lengths import Last, Window, reach

Value: TypeAlias = float | int | None
Run: TypeAlias = Callable[[Sequence[Series], int, list[Value]], None]
_MICROSECOND = timedelta(microseconds=1)


class Range(NamedTuple):
    """Expressions of the facts of a series that a window holds: those at [low, high)."""

    series: str
    low: str
    high: str

    @property
    def size(self) -> str:
        return f"{self.high} - {self.low}"


class Evaluation:
    """The source of one function; an expression is evaluated once, where it is first asked for."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._known: dict[str, str] = {}
        self._named: dict[str, Any] = {"bisect_right": bisect_right, "sample_deviation": sample_deviation}

    def once(self, expression: str) -> str:
        """The name of an expression's value."""
        if expression not in self._known:
            name = self._known[expression] = f"v{len(self._known)}"
            self._lines.append(f"{name} = {expression}")
        return self._known[expression]

    def named(self, value: Any) -> str:
        """The name of a value that is known now."""
        name = f"k{len(self._named)}"
        self._named[name] = value
        return name

    def range(self, at: int, delay: timedelta, window: Window) -> Range:
        """The facts of a selection that a window holds."""
        series = self.once(f"series[{at}]")
        times = self.once(f"{series}.times")
        end, start = (self.once(f"moment - {length // _MICROSECOND}") for length in (delay, delay + reach(window)))
        # Mostly all is past; to see that costs less than to look for where the past ends.
        high = self.once(f"len({times}) if not {times} or {times}[-1] <= {end} else bisect_right({times}, {end})")
        low = self.once(f"bisect_right({times}, {start}, 0, {high})")
        if isinstance(window, Last):
            low = self.once(f"max({low}, {high} - {window.facts})")
        return Range(series, low, high)

    def add(self, place: int, expression: str) -> None:
        """The value at a place of the output."""
        self._lines.append(f"values[{place}] = {expression}")

    def function(self) -> Run:
        """What fills in the values of a target that is decided at a moment, at or after everything that is known."""
        lines = "".join(f"    {line}\n" for line in self._lines or ["pass"])
        exec(f"def run(series, moment, values):\n{lines}", self._named)
        run: Run = self._named["run"]
        return run
