"""The scan of a plan: its program, and the room for its work, which all entities share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jobs.online.evaluation import Value
from jobs.online.fact_lines import FactLines
from jobs.online.scanning import layout, prepared
from jobs.online.scanning.program import Program, Source
from jobs.windows import INT64


class Scan:
    """What finds the features of an entity's last event by all its facts. For one thread at a time."""

    def __init__(self, source: Source) -> None:
        """Raises Invalid for what no program says."""
        self._program = Program.of(source).written()
        self._state = np.zeros(int(self._program[layout.ROOM]), np.int64)
        self._found = np.empty(len(source.features.features))
        self._integers = [
            name for name, type in source.types["events"].items() if type.kind == "int64" and type.nullable
        ]
        self._whole = [place for place, each in enumerate(source.features.features) if each.type == INT64]

    def reaches(self, events: FactLines, labels: FactLines) -> bool:
        """Whether facts may be scanned."""
        if prepared.kernel() is None or len(events) >= layout.MOST or len(labels) > layout.MOST:
            return False
        return not events.has_null_integers and not labels.has_null_integers

    def takes(self, values: Mapping[str, Any]) -> bool:
        """Whether an event with some values may be among them: no word says that an integer is null."""
        return all(values[name] is not None for name in self._integers)

    def __call__(self, events: FactLines, labels: FactLines, moment: int) -> list[Value] | None:
        """The features of the event whose line is the last, decided at a moment after all that is known; its ratios are
        put into its line.

        None: they have to be found elsewhere, and its line is of no use.
        """
        kernel = prepared.kernel()
        assert kernel is not None
        if not kernel(self._program, self._state, events.words, labels.words, moment, self._found):
            return None
        found: list[Value] = [None if value != value else value for value in self._found.tolist()]
        for place in self._whole:
            found[place] = int(found[place])  # type: ignore[arg-type]
        return found
