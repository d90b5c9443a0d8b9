"""What came over topics since the tables that features stand on, in a file that can be made again.

An entity that nobody asked for is let go, and made again from here. Raw tables have all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.decisions import log_contents
from jobs.decisions.log_contents import EVENT, EventCame, Fact
from jobs.online.file_log import FileLog
from jobs.online.log_records import Appended, Entry, Record

AT_ONCE = 4
"""More facts than one row is: the file's stamps, which have to differ, are so many times theirs."""


class Journal:
    """Facts in the order of their stamps, several of which may be at one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._stamps: list[int] = []
        """Of what is appended, the first last."""
        self._log = FileLog(path, now=self._stamps.pop)
        self._told: dict[str, int] = {}
        """How much was told of events beside that they came."""

    def close(self) -> None:
        self._log.close()

    def append(self, facts: Sequence[tuple[int, Fact]]) -> list[Record]:
        """Keep facts with their stamps, none before those of facts before it, and at most AT_ONCE at one."""
        self._stamps[:] = [stamp * AT_ONCE for stamp, _ in reversed(facts)]
        answers = self._log.append_all([Entry(self._name(fact), log_contents.encode(fact)) for _, fact in facts])
        records = []
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, Appended) and answer.is_new
            records.append(answer.record)
        return records

    def at(self, start: int) -> Record:
        """The record that starts at a position."""
        record = self._log.at(start)
        return record._replace(stamp=record.stamp // AT_ONCE)

    def last(self, id: Any, of: str) -> tuple[int, Fact] | None:
        """What came last of an event (`events`), the report about it (`labels`) or another fact, and its stamp."""
        return next(((at, fact) for at, fact in self._of(id, of) if log_contents.subject(fact) == of), None)

    def _of(self, id: Any, of: str) -> Iterator[tuple[int, Fact]]:
        """What is kept of an event or another fact, and the stamps, the last first."""
        named = log_contents.name(*log_contents.told_names(of, id))
        names = [f"{named}/{number}" for number in range(self._told.get(named, 0), 0, -1)]
        for record in map(self._log.get, [*names, log_contents.name(EVENT, id)]):
            if record is not None:
                fact = log_contents.decode(record.content)
                assert isinstance(fact, Fact), "nothing else is kept"
                yield record.stamp // AT_ONCE, fact

    def _name(self, fact: Fact) -> str:
        if isinstance(fact, EventCame):
            return log_contents.name(EVENT, fact.id)
        named = log_contents.name(*log_contents.told_names(log_contents.subject(fact), fact.id))
        number = self._told[named] = self._told.get(named, 0) + 1
        return f"{named}/{number}"
