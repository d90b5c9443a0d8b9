"""All versions of the facts of one entity and kind, in the order in which they became known, in little memory.

This is what an entity is; `jobs.online.series` is made from it and can be made again. Most entities hold few facts, so
lines stand in one array of bytes, and what few entities need is made when it is needed.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from struct import Struct
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Bools, Ints
from jobs.online.column_type import ColumnType
from jobs.times import NEVER

TARGET, DECIDED, RATIOS, GONE = 1, 2, 4, 8
"""Of an event: it is a first version; it was decided when it became known; its ratios are known. Of any fact: it was
superseded."""
ID = "id "
"""Name of the facts' ids beside the columns; no column ends with a blank."""
_CODES = {"float64": ("d", "f8"), "int64": ("q", "i8"), "bool": ("q", "i8")}
_NONE: Mapping[Any, Any] = MappingProxyType({})
_NULLS = {"float64": np.nan, "int64": 0, "bool": -1}


class Layout:
    """How the lines of one kind of fact are laid out, for all entities: words of eight bytes."""

    def __init__(self, id: ColumnType, columns: Mapping[str, ColumnType]) -> None:
        self.kinds = {ID: id.kind} | {name: type.kind for name, type in columns.items()}
        self.columns = list(columns)
        self.numbers = [name for name, kind in self.kinds.items() if kind != "string"]
        self.texts = [name for name, kind in self.kinds.items() if kind == "string"]
        codes = [_CODES[self.kinds[name]] for name in self.numbers]
        self.line = Struct("<qqq" + "".join(code for code, _ in codes))
        fields = [("happened", "i8"), ("known", "i8"), ("flags", "i8")]
        fields += [(f"column {place}", kind) for place, (_, kind) in enumerate(codes)]
        self.type = np.dtype(fields)
        self.field = {name: f"column {place}" for place, name in enumerate(self.numbers)}
        self.word = {name: len(fields) - len(codes) + place for place, name in enumerate(self.numbers)}
        """The place of each column among a line's words."""


class FactLines:
    """Facts as lines; of a column that is a text, or a null integer, what stands beside them."""

    __slots__ = ("_layout", "_lines", "_nulls", "_size", "_texts", "superseded")

    def __init__(self, layout: Layout) -> None:
        self._layout, self._lines, self._size = layout, bytearray(), 0
        self._nulls: Mapping[str, set[int]] = _NONE
        self._texts: Mapping[str, list[str | None]] = {name: [] for name in layout.texts} if layout.texts else _NONE
        self.superseded: Mapping[int, int] = _NONE
        """When the few facts that a later version replaced were known to be wrong, by line."""

    @classmethod
    def of(cls, layout: Layout, columns: Mapping[str, NDArray[Any]], valid: Mapping[str, Bools]) -> "FactLines":
        """Lines of arrays: `happened`, `known`, `gone` (when it was superseded, or NEVER), `flags`, ID and columns.

        valid: of columns with nulls, where they have a value; texts are None there.
        """
        made, size = cls(layout), len(columns["happened"])
        lines = np.zeros(size, layout.type)
        for name in ("happened", "known", "flags"):
            lines[name] = columns[name]
        for name in layout.numbers:
            there, values = valid.get(name), _with_one_zero(columns[name])
            lines[layout.field[name]] = values if there is None else np.where(there, values, _NULLS[layout.kinds[name]])
            if there is not None and layout.kinds[name] == "int64" and not there.all():
                made._nulls = {**made._nulls, name: set(np.flatnonzero(~there).tolist())}
        if layout.texts:
            made._texts = {name: columns[name].tolist() for name in layout.texts}
        gone = np.flatnonzero(columns["gone"] != NEVER)
        if len(gone):
            made.superseded = dict(zip(gone.tolist(), columns["gone"][gone].tolist(), strict=True))
            lines["flags"][gone] |= GONE
        made._lines, made._size = bytearray(lines.tobytes()), size
        return made

    @classmethod
    def joined(cls, layout: Layout, parts: Sequence["FactLines"]) -> "FactLines":
        """The facts of several entities one behind the other, as a copy."""
        made = cls(layout)
        made._lines, made._size = bytearray().join(part._lines for part in parts), sum(map(len, parts))
        made._texts = {name: [text for part in parts for text in part._texts[name]] for name in layout.texts}
        starts = accumulate(map(len, parts), initial=0)
        nulls: dict[str, set[int]] = {}
        superseded: dict[int, int] = {}
        for start, part in zip(starts, parts, strict=False):
            superseded.update((start + line, gone) for line, gone in part.superseded.items())
            for name, lines in part._nulls.items():
                nulls.setdefault(name, set()).update(start + line for line in lines)
        made._nulls, made.superseded = nulls, superseded
        return made

    def __len__(self) -> int:
        return self._size

    @property
    def words(self) -> Ints:
        """All lines as one array, to be let go of before a line is added."""
        return np.frombuffer(self._lines, np.int64)

    @property
    def has_null_integers(self) -> bool:
        """Whether a column of integers has, or had, a null, which no word says."""
        return bool(self._nulls)

    def drop_last(self) -> None:
        """Take back the line that was appended last."""
        del self._lines[-self._layout.line.size :]
        self._size -= 1
        for texts in self._texts.values():
            texts.pop()
        for lines in self._nulls.values():
            lines.discard(len(self))

    def newest(self) -> int:
        """When the last fact became known, or known to be wrong; the beginning of time if there are none."""
        known = self.times()[1]
        return max(int(known.max(initial=-(2**63))), *self.superseded.values(), -(2**63))

    def append(self, id: Any, happened: int, known: int, values: Mapping[str, Any], flags: int = 0) -> None:
        layout = self._layout
        numbers = [id if name is ID else values.get(name) for name in layout.numbers]
        if None in numbers:
            for place, value in enumerate(numbers):
                if value is None:
                    numbers[place] = self._null(layout.numbers[place])
        for name in layout.texts:
            self._texts[name].append(id if name is ID else values.get(name))
        self._lines += layout.line.pack(happened, known, flags, *numbers)
        self._size += 1

    def supersede(self, line: int, known: int) -> None:
        """A fact is known to be wrong, or replaced, from a moment on."""
        if not isinstance(self.superseded, dict):
            self.superseded = {}
        self.superseded[line] = known
        self.flag(GONE, np.array([line]), bear=True)

    def current(self, id: Any) -> int | None:
        """The line of the version of a fact that no other has replaced."""
        lines = [line for line in np.flatnonzero(self.numbers(ID) == id).tolist() if line not in self.superseded]
        return lines[-1] if lines else None

    def decided(self, id: Any) -> int | None:
        """The line of an event that was decided."""
        lines = np.flatnonzero((self.numbers(ID) == id) & self.flagged(DECIDED))
        return int(lines[-1]) if len(lines) else None

    def latest(self, most: int) -> list[int]:
        """Lines of what became known last, the latest first."""
        lines: list[int] = np.argsort(self.times()[1], kind="stable")[::-1][:most].tolist()
        return lines

    def fact(self, line: int, names: Sequence[str]) -> dict[str, Any]:
        """One fact: id, times in microseconds since 1970, and the values of some columns."""
        happened, known = (int(times[line]) for times in self.times())
        values = {name: self._value(name, line) for name in names}
        times = {"happened": happened, "known_at": known, "superseded_at": self.superseded.get(line)}
        return {"id": self._value(ID, line), **times, "values": values}

    def _value(self, name: str, line: int) -> Any:
        if name in self._texts:
            return self._texts[name][line]
        if not self.valid(name)[line]:
            return None
        value = self._view()[self._layout.field[name]][line].item()
        return bool(value) if self._layout.kinds[name] == "bool" else value

    def ids(self) -> list[Any]:
        ids: list[Any] = self.numbers(ID).tolist()
        return ids

    def times(self) -> tuple[Ints, Ints]:
        """Copies of event times and times of knowledge."""
        view = self._view()
        return view["happened"].copy(), view["known"].copy()

    def gone(self) -> Ints:
        """When each fact was superseded; `NEVER` of the others."""
        gone = np.full(len(self), NEVER, np.int64)
        gone[list(self.superseded)] = list(self.superseded.values())
        return gone

    def flagged(self, flag: int) -> Bools:
        """Which facts bear a flag."""
        bear: Bools = (self._view()["flags"] & flag) > 0
        return bear

    def flag(self, flag: int, lines: NDArray[Any], *, bear: bool) -> None:
        """Let some facts bear a flag, or not."""
        flags = self._view()["flags"]
        flags[lines] = flags[lines] | flag if bear else flags[lines] & ~flag

    def numbers(self, name: str) -> NDArray[Any]:
        """A copy of a column's values; anything at nulls. Texts are objects, booleans 1 and 0."""
        if name in self._texts:
            return np.array([*self._texts[name], None], dtype=object)[:-1]
        values: NDArray[Any] = self._view()[self._layout.field[name]].copy()
        return values

    def valid(self, name: str) -> Bools:
        """Where a column has a value."""
        kind, values = self._layout.kinds[name], self.numbers(name)
        if kind == "int64":
            there = np.ones(len(values), bool)
            there[list(self._nulls.get(name, ()))] = False
            return there
        if kind == "string":
            return np.array([value is not None for value in values], dtype=bool)
        return ~np.isnan(values) if kind == "float64" else values >= 0

    def set(self, name: str, lines: Ints, values: NDArray[np.float64]) -> None:
        """Put other numbers into a column of doubles; NaN is null."""
        self._view()[self._layout.field[name]][lines] = _with_one_zero(values)

    def in_order(self) -> Ints:
        """Lines of what is known now by event time, time of knowledge and id."""
        happened, known = self.times()
        lines = np.flatnonzero(self.gone() == NEVER)
        if bool((happened[lines][1:] > happened[lines][:-1]).all()):
            return lines
        _, ids = np.unique(self.numbers(ID)[lines], return_inverse=True)
        ordered: Ints = lines[np.lexsort((ids, known[lines], happened[lines]))]
        return ordered

    def keep(self, lines: Ints) -> None:
        """Drop all facts but those at some lines."""
        places = {old: new for new, old in enumerate(lines.tolist())}
        if self.superseded:
            self.superseded = {places[line]: gone for line, gone in self.superseded.items() if line in places}
        if self._nulls:
            self._nulls = {name: {places[at] for at in nulls if at in places} for name, nulls in self._nulls.items()}
        if self._texts:
            self._texts = {name: [texts[line] for line in places] for name, texts in self._texts.items()}
        self._lines, self._size = bytearray(self._view()[lines].tobytes()), len(lines)

    def _view(self) -> NDArray[Any]:
        """The lines themselves; let go of it before one is added."""
        return np.frombuffer(self._lines, self._layout.type)

    def _null(self, name: str) -> Any:
        kind = self._layout.kinds[name]
        if kind == "int64":
            if not isinstance(self._nulls, dict):
                self._nulls = {}
            self._nulls.setdefault(name, set()).add(len(self))
        return _NULLS[kind]


def _with_one_zero(values: NDArray[Any]) -> NDArray[Any]:
    """Values as the kernel takes them: added zero makes one number of 0.0 and -0.0."""
    return values + 0.0 if values.dtype == np.float64 else values
