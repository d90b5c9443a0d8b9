"""Which records of a log are about each entity, in about fifty bytes for each record of three entities.

A record is known by where it starts. Entities that share some bits of their hash share their records too: whoever asks
reads each record and leaves out what is another's.
"""

from array import array
from collections.abc import Hashable

from jobs.online.start_index import StartIndex


class EntityRecords:
    """Starts of records by entity."""

    __slots__ = ("_before", "_newest", "_starts")

    def __init__(self) -> None:
        self._newest = StartIndex()
        """The number of the newest record of each entity."""
        self._starts, self._before = array("Q", [0]), array("Q", [0])
        """By number: where a record starts, and the number of the one before it of its entity; 0: there is none."""

    def __len__(self) -> int:
        return len(self._starts) - 1

    def add(self, entity: Hashable, start: int) -> None:
        """A record about an entity starts there, behind all others."""
        self._before.append(self._newest.replace(entity, len(self._starts)))
        self._starts.append(start)

    def starts(self, entity: Hashable, before: int | None = None) -> list[int]:
        """Where records about an entity start, in their order; before: only those that start before it."""
        found = []
        number = next(iter(self._newest.starts(entity)), 0)
        while number:
            found.append(self._starts[number])
            number = self._before[number]
        # A record of several entities that share a hash is there for each of them.
        return [start for start in dict.fromkeys(reversed(found)) if before is None or start < before]
