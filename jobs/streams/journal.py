"""What came over topics since the tables that features stand on, in a file that can be made again.

An entity that nobody asked for is let go, and made again from here. Raw tables have all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.decisions import log_contents
from jobs.decisions.log_contents import EVENT, TOLD, EventCame, Fact, VersionCame
from jobs.online.file_log import FileLog
from jobs.online.log_records import Appended, Entry, Record


class Journal:
    """Facts in the order of their stamps."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._stamps: list[int] = []
        """Of what is appended, the first last."""
        self._log = FileLog(path, now=self._stamps.pop)
        self._told: dict[str, int] = {}
        """How much was told of events beside that they came."""
        self.at = self._log.at

    def close(self) -> None:
        self._log.close()

    def append(self, facts: Sequence[tuple[int, Fact]]) -> list[Record]:
        """Keep facts with their stamps, which are later than all before."""
        self._stamps[:] = [stamp for stamp, _ in reversed(facts)]
        answers = self._log.append_all([Entry(self._name(fact), log_contents.encode(fact)) for _, fact in facts])
        records = []
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, Appended) and answer.is_new
            records.append(answer.record)
        return records

    def last_version(self, id: Any) -> tuple[int, EventCame | VersionCame] | None:
        """The last that came of an event, and its stamp."""
        for number in range(self._told.get(str(id), 0), 0, -1):
            if (found := self._of(log_contents.name(TOLD, id, number))) is not None:
                return found
        return self._of(log_contents.name(EVENT, id))

    def _of(self, name: str) -> tuple[int, EventCame | VersionCame] | None:
        record = self._log.get(name)
        fact = None if record is None else log_contents.decode(record.content)
        return (record.stamp, fact) if record is not None and isinstance(fact, EventCame | VersionCame) else None

    def _name(self, fact: Fact) -> str:
        if isinstance(fact, EventCame):
            return log_contents.name(EVENT, fact.id)
        number = self._told[str(fact.id)] = self._told.get(str(fact.id), 0) + 1
        return log_contents.name(TOLD, fact.id, number)
