"""All versions of the facts of one entity and kind, in the order in which they became known, in little memory.

This is what an entity is; `jobs.online.series` is made from it and can be made again.
"""

from array import array
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from jobs.arrays import Bools, Ints
from jobs.online.typed_column import ColumnType, TypedColumn
from jobs.times import NEVER

NONE: Mapping[int, int] = MappingProxyType({})
TARGET, DECIDED, RATIOS = 1, 2, 4
"""Of an event: it is a first version; it was decided when it became known; its ratios are known."""


class FactLines:
    """Facts as columns; a line is the place of one."""

    __slots__ = ("columns", "flags", "happened", "ids", "known", "superseded")

    def __init__(self, id: ColumnType, columns: Mapping[str, ColumnType]) -> None:
        self.ids = TypedColumn(id.kind)
        self.happened, self.known, self.flags = array("q"), array("q"), bytearray()
        self.columns = {name: TypedColumn(type.kind) for name, type in columns.items()}
        self.superseded: Mapping[int, int] = NONE
        """When the few facts that a later version replaced were known to be wrong, by line."""

    def __len__(self) -> int:
        return len(self.happened)

    def append(self, id: Any, happened: int, known: int, values: Mapping[str, Any], flags: int = 0) -> None:
        self.ids.append(id)
        self.happened.append(happened)
        self.known.append(known)
        self.flags.append(flags)
        for name, column in self.columns.items():
            column.append(values.get(name))

    def supersede(self, line: int, known: int) -> None:
        """A fact is known to be wrong, or replaced, from a moment on."""
        if not isinstance(self.superseded, dict):
            self.superseded = {}
        self.superseded[line] = known

    def current(self, id: Any) -> int | None:
        """The line of the version of a fact that no other has replaced."""
        lines = [line for line in self.ids.places_of(id).tolist() if line not in self.superseded]
        return lines[-1] if lines else None

    def times(self) -> tuple[Ints, Ints]:
        """Copies of event times and times of knowledge."""
        return np.array(self.happened, np.int64), np.array(self.known, np.int64)

    def gone(self) -> Ints:
        """When each fact was superseded; `NEVER` of the others."""
        gone = np.full(len(self), NEVER, np.int64)
        gone[list(self.superseded)] = list(self.superseded.values())
        return gone

    def flagged(self, flag: int) -> Bools:
        """Which facts bear a flag."""
        return (np.array(self.flags, np.uint8) & flag) > 0

    def in_order(self) -> Ints:
        """Lines of what is known now by event time, time of knowledge and id."""
        happened, known = self.times()
        lines = np.flatnonzero(self.gone() == NEVER)
        if bool((happened[lines][1:] > happened[lines][:-1]).all()):
            return lines
        _, ids = np.unique(self.ids.numbers()[lines], return_inverse=True)
        ordered: Ints = lines[np.lexsort((ids, known[lines], happened[lines]))]
        return ordered

    def keep(self, lines: Ints) -> None:
        """Drop all facts but those at some lines."""
        places = {old: new for new, old in enumerate(lines.tolist())}
        self.superseded = {places[line]: gone for line, gone in self.superseded.items() if line in places}
        happened, known = self.times()
        self.happened, self.known = (array("q", times[lines].tobytes()) for times in (happened, known))
        self.flags = bytearray(np.array(self.flags, np.uint8)[lines].tobytes())
        for column in (self.ids, *self.columns.values()):
            column.keep(lines)
