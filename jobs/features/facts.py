"""The facts of a window feature: when each enters and leaves, and what is inside at each target.

Columns are read and sorted once per kernel call and shared by all features; functions over them are in
`jobs.features.window_kernel`.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.arrays import Floats, Ints
from jobs.conditions import Condition, conditions
from jobs.errors import Invalid
from jobs.features.clock import Clock, filled, integers, micros, order_of, rank
from jobs.features.exact_sum import Limbs, limbs_of, squares_of
from jobs.features.ranks import Ranks

_COMPARED = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
HAPPENED = "event time"
"""Name of the facts' event times among columns that they are ranked by."""
Made = TypeVar("Made")
AnyNumber = TypeVar("AnyNumber", bound=np.generic)


class OwnFacts(NamedTuple):
    """Facts that are targets themselves: the place of each, its position among the targets, and its moment."""

    facts: Ints
    position: Ints
    moment: Ints

    def where(self, chosen: NDArray[np.bool_]) -> "OwnFacts":
        return OwnFacts(*(array[chosen] for array in self))


NONE_OWN = OwnFacts(*(np.zeros(0, np.int64) for _ in range(3)))


class FactTable:
    """A table of facts sorted by entity and event time, each array read and sorted once."""

    def __init__(self, table: pa.Table, id: str, keys: Ints, happened: Ints, clock: Clock, null_key: int) -> None:
        self.table, self.id, self.clock, self.null_key = table, id, clock, null_key
        points = clock.at(keys, happened)
        self.order = order_of(points)
        self.points, self.keys = self.sort(points), self.sort(keys)
        self.ends = self.keys * clock.span + (clock.span - 1)
        known_at = micros(table, "known_at")
        punctual = np.array_equal(known_at, happened)
        self.happened = self.sort(happened)
        self.known = self.happened if punctual else self.sort(known_at)
        superseded = table.column("superseded_at")
        self.superseded = None if superseded.null_count == len(superseded) else self.sort(integers(superseded))
        self.own = NONE_OWN
        """Targets for which the rule may be wrong about themselves: known late, or decided after their event time."""
        self._read: dict[Any, Any] = {}

    def sort(self, array: NDArray[AnyNumber]) -> NDArray[AnyNumber]:
        return array if self.order is None else array[self.order]

    def column(self, name: str) -> pa.ChunkedArray:
        """A column as it was given, but with one zero: added zero makes one number of 0.0 and -0.0."""
        column = self.table.column(name)
        if not pa.types.is_floating(column.type):
            return column
        return self._once((name, "column"), lambda: pc.add(column, pa.scalar(0.0, column.type)))

    def values(self, column: str) -> Floats:
        return self._once((column, "values"), lambda: self.sort(_floats(self.column(column), column)))

    def limbs(self, column: str, squared: bool) -> Limbs:
        split = squares_of if squared else limbs_of
        return self._once((column, squared), lambda: split(self.values(column)))

    def codes(self, column: str) -> Ints:
        return self._once((column, "codes"), lambda: self.sort(_codes(self.column(column))))

    @cached_property
    def ids(self) -> Ints:
        """The place of each event's id among all ids here in ascending order; zeros where no ids are given."""
        if self.id not in self.table.column_names:
            return np.zeros(len(self.keys), np.int64)
        return self.sort(pc.rank(self.table.column(self.id), tiebreaker="dense").to_numpy().astype(np.int64))

    def has_nulls(self, column: str | None) -> bool:
        return column is not None and self.table.column(column).null_count > 0

    def rows(self, where: Any, column: str | None) -> Ints | None:
        """Positions of the facts that may contribute; None if all do."""
        is_selected = self.keys != self.null_key
        if column is not None:
            is_selected &= self.sort(self.table.column(column).is_valid().to_numpy())
        for condition in conditions(where):
            is_selected &= self.sort(_meets(self.column(condition.column), condition))
        return None if is_selected.all() else np.flatnonzero(is_selected)

    def _once(self, name: Any, make: Callable[[], Made]) -> Made:
        if name not in self._read:
            self._read[name] = make()
        ready: Made = self._read[name]
        return ready


class Facts:
    """The facts of one kind that are used with one delay."""

    def __init__(self, source: FactTable, rows: Ints | None, delay: timedelta) -> None:
        self.source, self.rows, self.clock = source, rows, source.clock
        self.delay = delay // timedelta(microseconds=1)
        self.keys, self.happened = self.pick(source.keys), self.pick(source.happened)
        self.known = self.happened if source.known is source.happened else self.pick(source.known)
        usable = self.happened + self.delay
        self.late = self.known is not self.happened and bool((self.known > usable).any())
        self.enter = np.maximum(usable, self.known) if self.late else usable
        self._own = self._picked_own()
        self._inside: dict[timedelta, Inside] = {}
        self._prefixes: dict[Any, Ints] = {}
        self._came: dict[Any, Ints] = {}
        self._codes: dict[str, tuple[NDArray[Any], Ints]] = {}
        self._ranks: dict[tuple[str, timedelta], Ranks] = {}
        self._entered: Passage | None = None

    def points(self, window: timedelta | None) -> Ints:
        """When each fact enters (window: None) or leaves, as points of the clock."""
        shift = self.delay + (0 if window is None else window // timedelta(microseconds=1))
        changed = self.late or (window is not None and self.source.superseded is not None)
        if changed or not self.clock.shifts(shift):
            return self.clock.at(self.keys, self.enter if window is None else self.leave(window))
        points = self.pick(self.source.points)
        if shift == 0:
            return points
        points = points + shift // self.clock.unit
        return np.minimum(points, self.pick(self.source.ends), out=points)

    def pick(self, array: NDArray[AnyNumber]) -> NDArray[AnyNumber]:
        return array if self.rows is None else array[self.rows]

    def values(self, column: str) -> Floats:
        return self.pick(self.source.values(column))

    def codes(self, column: str) -> Ints:
        return self.pick(self.source.codes(column))

    def limbs(self, column: str, squared: bool) -> Iterator[tuple[int, Ints]]:
        for exponent, limb in self.source.limbs(column, squared).items():
            yield exponent, self.pick(limb)

    def leave(self, window: timedelta) -> Ints:
        """When each fact leaves the window; never before it entered (it then contributes to nothing)."""
        leave = self.happened + (self.delay + window // timedelta(microseconds=1))
        if self.source.superseded is not None:
            np.minimum(leave, self.pick(self.source.superseded), out=leave)
        return np.maximum(leave, self.enter, out=leave)

    def inside(self, window: timedelta) -> "Inside":
        if window not in self._inside:
            if self._entered is None:
                self._entered = Passage(self.clock, self.points(None))
            self._inside[window] = Inside(self, window, self._entered, Passage(self.clock, self.points(window)))
        return self._inside[window]

    def ranges(self, window: timedelta) -> tuple[Ints, Ints, Ints]:
        """Non-empty half-open ranges of target positions, and the fact that covers each."""
        low = np.searchsorted(self.clock.targets, self.points(None), "left")
        high = np.searchsorted(self.clock.targets, self.points(window), "left")
        own, at, _ = self.own(window)
        first, last = at, at + 1
        if self.own_sign < 0:
            # The range is cut in two around the target itself.
            first, last = at + 1, high[own]
            high[own] = at
        low, high = np.concatenate([low, first]), np.concatenate([high, last])
        facts = np.concatenate([np.arange(len(self.keys)), own])
        chosen = np.flatnonzero(high > low)
        return low[chosen], high[chosen], facts[chosen]

    @cached_property
    def sequence(self) -> Ints | None:
        """The order by entity, event time, time of knowledge and id; None if the facts are in it already."""
        points = self.pick(self.source.points)
        if bool((points[1:] > points[:-1]).all()):
            return None
        return np.lexsort((self.pick(self.source.ids), self.known, self.happened, self.keys))

    def ranks(self, window: timedelta, name: str) -> tuple[Ranks, NDArray[Any]]:
        """The facts inside at each target by a column's value, or by `happened`, as codes; and each code's value."""
        if name not in self._codes:
            values = self.happened if name == HAPPENED else self.values(name)
            self._codes[name] = np.unique(values, return_inverse=True)
        different, codes = self._codes[name]
        if (name, window) not in self._ranks:
            self._ranks[name, window] = self.ranked(self.inside(window), codes, len(different))
        return self._ranks[name, window], different

    def ranked(self, inside: "Inside", codes: Ints, size: int) -> Ranks:
        """What is inside at each target by a code of each fact, below `size`."""
        own = np.full(len(inside.count), -1)
        own[inside.own.position] = codes[inside.own.facts]
        entered, left = (
            (passage.passed, codes if passage.order is None else codes[passage.order])
            for passage in (inside.entered, inside.left)
        )
        return Ranks(entered, left, own, size, self.own_sign)

    def prefix(self, name: Any, limb: Ints, order: Ints | None) -> Ints:
        key = (name, None if order is None else id(order))
        if key not in self._prefixes:
            running = np.zeros(len(limb) + 1, np.int64)
            np.cumsum(limb if order is None else limb[order], out=running[1:])
            self._prefixes[key] = running
        return self._prefixes[key]

    def came(self, name: Any, limb: Ints, entered: "Passage") -> Ints:
        """The sum of all that entered by each target, the same for every window."""
        if name not in self._came:
            self._came[name] = self.prefix(name, limb, entered.order)[entered.passed]
        return self._came[name]

    @property
    def own_sign(self) -> int:
        """What is mended: without a delay a target counts itself, known or not; with one it never does."""
        return -1 if self.delay else 1

    def own(self, window: timedelta) -> OwnFacts:
        """Targets among these facts about which the rule is wrong: they are missing, or there, for themselves."""
        own, moment = self._own.facts, self._own.moment
        if not len(own):
            return self._own
        if self.delay:
            return self._own.where((self.enter[own] <= moment) & (moment < self.leave(window)[own]))
        happened, length = self.happened[own], window // timedelta(microseconds=1)
        return self._own.where((self.known[own] > moment) & (happened <= moment) & (moment < happened + length))

    def _picked_own(self) -> OwnFacts:
        """The table's, with places among these facts."""
        own = self.source.own
        if self.rows is None or not len(own.facts):
            return own
        if not len(self.rows):
            return NONE_OWN
        place = np.searchsorted(self.rows, own.facts)
        is_here = self.rows[np.minimum(place, len(self.rows) - 1)] == own.facts
        return own._replace(facts=place).where(is_here)


class Passage:
    """How many facts passed a point (entered or left) by the time of each target, and in which order."""

    def __init__(self, clock: Clock, points: Ints) -> None:
        self.order = order_of(points)
        self.passed = rank(points if self.order is None else points[self.order], clock.targets)


class Inside:
    """What is inside one window at each target: everything that entered, less everything that left."""

    def __init__(self, facts: Facts, window: timedelta, entered: Passage, left: Passage) -> None:
        self.facts, self.entered, self.left = facts, entered, left
        self.own = facts.own(window)
        self.count: Ints = entered.passed - left.passed
        self.count[self.own.position] += facts.own_sign

    def total(self, column: str, squared: bool = False) -> Limbs:
        sums = {}
        for exponent, limb in self.facts.limbs(column, squared):
            name = (column, squared, exponent)
            inside = self.facts.prefix(name, limb, self.left.order)[self.left.passed]
            np.subtract(self.facts.came(name, limb, self.entered), inside, out=inside)
            inside[self.own.position] += self.facts.own_sign * limb[self.own.facts]
            sums[exponent] = inside
        return sums


def _meets(column: pa.ChunkedArray, condition: Condition) -> NDArray[np.bool_]:
    """Which rows meet a condition; none where the column is null."""
    try:
        if condition.comparison == "in":
            met = pc.is_in(column, value_set=pa.array(condition.value).cast(column.type), skip_nulls=True)
        else:
            met = _COMPARED[condition.comparison](column, condition.value)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise Invalid(
            f"where: expected a value that the column {condition.column} can be compared with, of {column.type}, found "
            f"{condition.value!r}; correct the declaration"
        ) from None
    rows: NDArray[np.bool_] = met.fill_null(False).to_numpy()
    return rows


def _codes(column: pa.ChunkedArray) -> Ints:
    codes: Ints = pc.index_in(column, value_set=column.unique()).cast(pa.int64()).to_numpy()
    return codes


def _floats(column: pa.ChunkedArray, name: str) -> Floats:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        raise Invalid(f"column {name}: expected numbers, found {column.type}; declare another function or column")
    values: Floats = filled(column.cast(pa.float64()), 0.0)
    return values
