"""What a load did, and which files a raw table holds wholly already, so that an unchanged input costs nothing.

The memory is only that: without it a load finds out by reading the files.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.contracts import Finding
from jobs.ingest.input_files import stamp
from jobs.state_files import read_memory, replace_json
from jobs.use_case import Source, UseCase

KEPT = 50


@dataclass(frozen=True)
class LoadResult:
    """What one load did."""

    rows_read: int = 0
    appended: int = 0
    already_known: int = 0
    duplicates: int = 0
    """Exact repetitions of a row within the load, dropped."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Reason -> rows of this load in quarantine for it, also those that were there before."""
    rows_quarantined: int = 0
    """The rows in quarantine, each once however many reasons it has."""
    unaccounted: int = 0
    """Rows read of which it is not known what became of them: 0, or rows were lost (above) or made up (below)."""
    not_yet_known: int = 0
    """Sound rows that are known only after `as_of`; a later load brings them."""
    released: int = 0
    """Rows that waited in quarantine and were let in, as what they refer to has arrived."""
    days: tuple[date, ...] = ()
    """Event dates of the appended rows."""
    version: int | None = None
    """Delta version of the raw table after the load."""
    undeclared: tuple[str, ...] = ()
    """Columns of the files that are not declared: they were left out."""
    zone_assumed: str | None = None
    """Zone in which timestamps without one were read; None if there were none."""
    known_at_event: int = 0
    """Appended rows that were known at the very moment of the event that they are about."""
    dates_alone: int = 0
    """Rows that were known at a date without a time, which means the end of that day."""
    added: Mapping[str, int] = field(default_factory=dict)
    """Columns that were declared after the table was made -> rows that got values of them."""
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0

    def summary(self) -> dict[str, object]:
        """The numbers and names a person wants to see, in words."""
        shown: dict[str, object] = {
            "rows read": self.rows_read,
            "appended": self.appended,
            "already known": self.already_known,
            "exact duplicates dropped": self.duplicates,
            "not yet known": self.not_yet_known,
            "released from quarantine": self.released,
            **{f"quarantined: {reason}": rows for reason, rows in self.quarantined.items()},
        }
        if self.added:
            rows = max(self.added.values())
            shown["columns declared later"] = f"{', '.join(self.added)}: values for {rows:,} known rows"
        if self.undeclared:
            shown["columns left out"] = ", ".join(self.undeclared)
        if self.zone_assumed:
            shown["timestamps without a zone read as"] = self.zone_assumed
        if self.known_at_event:
            shown["known at the time of their event"] = self.known_at_event
        if self.dates_alone:
            shown["known at a date alone, taken as its end"] = self.dates_alone
        return shown


@dataclass(frozen=True)
class Remembered:
    """A load of all days of some files, and what would bring more of them."""

    result: LoadResult
    tally: Mapping[str, int]
    """Contract -> rows that broke it."""
    loaded_in: int
    """Number of the table's last load then."""
    next_known_at: datetime | None
    """When the first row that was left out will be known."""
    next_event: datetime | None
    """When the first event that lay in the future will be past."""


FileStamp = tuple[str, int, int]
"""Path, size and modification time of a file."""


def stamped(files: Sequence[Path]) -> list[FileStamp]:
    """Files as they are now. Taken before they are read: what changes them meanwhile is then loaded the next time."""
    return [(str(p.absolute()), *stamp(p)) for p in files]


def identity(table_id: str, files: Sequence[FileStamp], names: ColumnsFile, source: Source, carried: bool) -> str:
    """Changes with the table, the files and with how they are to be read."""
    named = sorted((k, sorted(v.items())) for k, v in names.names.items())
    written = (names.files, names.values) if names.files or names.values else ()
    description = repr((table_id, list(files), names.timezone, named, source, carried, *written))
    return hashlib.sha256(description.encode()).hexdigest()


class Memory:
    """Loads remembered for one source of one use case, in a small file."""

    def __init__(self, state: Path, use_case: UseCase, source: Source) -> None:
        self.path = state / use_case.name / "loads" / f"{source.name}.json"

    def recall(
        self, load: str, *, loaded_in: int, as_of: datetime, now: datetime, references: Mapping[str, int | None]
    ) -> Remembered | None:
        """What loading these files did before, if doing it again would bring nothing.

        `loaded_in` is the number of the table's last load, `references` the versions of the tables referred to.
        """
        memory = self._read()
        if load not in memory["loads"] or (memory["waiting"] and memory["references"] != dict(references)):
            return None
        remembered = _from_json(memory["loads"][load])
        later = (remembered.next_known_at and as_of >= remembered.next_known_at) or (
            remembered.next_event and now >= remembered.next_event
        )
        return None if later or remembered.loaded_in > loaded_in else remembered

    def remember(self, load: str, done: Remembered, *, waiting: int, references: Mapping[str, int | None]) -> None:
        """Keep a load; `waiting` rows in quarantine may be released when one of the `references` changes."""
        others = {k: v for k, v in self._read()["loads"].items() if k != load}
        loads = dict(list({**others, load: _to_json(done)}.items())[-KEPT:])
        self._write({"loads": loads, "waiting": waiting, "references": dict(references)})

    def _read(self) -> dict[str, Any]:
        return read_memory(self.path, _memory) or {"loads": {}, "waiting": 0, "references": {}}

    def _write(self, memory: Mapping[str, Any]) -> None:
        replace_json(self.path, memory)


def _memory(stored: Any) -> dict[str, Any]:
    for load in stored["loads"].values():
        _from_json(load)
    return {"loads": dict(stored["loads"]), "waiting": int(stored["waiting"]), "references": dict(stored["references"])}


def _to_json(done: Remembered) -> dict[str, Any]:
    stored = asdict(done)
    result = {k: v for k, v in stored["result"].items() if k not in ("added", "findings", "days", "version", "seconds")}
    return {**stored, "result": result}


def _from_json(stored: Mapping[str, Any]) -> Remembered:
    result = dict(stored["result"])
    # What was appended then is known by now.
    already_known = result.pop("already_known") + result["appended"]
    result = {**result, "appended": 0, "released": 0, "undeclared": tuple(result["undeclared"])}
    times = {k: datetime.fromisoformat(stored[k]) if stored[k] else None for k in ("next_known_at", "next_event")}
    return Remembered(LoadResult(**result, already_known=already_known), stored["tally"], stored["loaded_in"], **times)
