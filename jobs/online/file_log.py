"""One ordered log in one file, for several workers of one host: everything that is known online is a fold over it.

Whoever appends holds the file's lock, has read everything before its own record, and stamps it behind all of that.
What records mean is not known here.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from jobs.errors import EvergreenError, Invalid
from jobs.online.log_records import HEADER, Answer, Appended, Conflict, Entry, Log, Record, line_of, record_of
from jobs.online.log_sync import GroupSync
from jobs.online.start_index import StartIndex

SYNC_EVERY = 0.05
"""Seconds that a record may be on its way to the disk; it survives the death of every process at once."""
_CHUNK, _USUAL = 1 << 20, 4096
"""Bytes that are read at once, of many records and of one."""


class NotWritten(EvergreenError, OSError):
    """A record that the disk took in part; nothing of it is left in the log."""


class _Line(NamedTuple):
    """A record that is to be written."""

    record: Record
    text: bytes


class FileLog(Log):
    """A log that this process appends to and reads; several of its threads may, one at a time."""

    by_entity = False

    def __init__(
        self,
        path: Path,
        *,
        sync_each: bool = False,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """sync_each: a record is on the disk before `append` returns. now: microseconds since 1970.

        Raises Invalid for a file that is no such log, or is damaged before its end.
        """
        self._path, self._sync_each = path, sync_each
        self.now = now
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._turn = threading.Lock()
        self._starts = StartIndex()
        self._end, self._stamp = 0, 0
        self._unheard: list[Record] = []
        """What others appended and this worker has read, but told nobody yet."""
        with self._alone():
            self._begin()
        self._sync = None if sync_each else GroupSync(self._handle, SYNC_EVERY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Bring everything to the disk."""
        if self._sync is not None:
            self._sync.close()
        os.close(self._handle)

    def append_all(self, entries: Sequence[Entry]) -> list[Answer]:
        """Stamp records and write them at once, one behind the other; an id that is there already is not written again.

        Who reads all records needs no further words of an entry. What others appended comes with the first answer that
        tells of a record. Of records that the disk took in part, those before the torn one are in the log.
        """
        with self._turn, self._alone():
            if os.fstat(self._handle).st_size != self._end:
                self._unheard += self._read()
                self._cut()
            lines = self._stamped(entries)
            error = self._written(list(lines.values())) if lines else None
            answers = [self._answer(entry, lines.pop(entry.id, None), error) for entry in entries]
        if self._sync is not None:
            self._sync.due()
        return answers

    def tail(self) -> list[Record]:
        """What others appended since this worker last heard of it, in order."""
        with self._turn:
            if os.fstat(self._handle).st_size != self._end:
                self._unheard += self._read()
            return self._heard()

    def last_stamp(self) -> int:
        """The stamp of the last record that this worker has read; 0: there is none."""
        return self._stamp

    def get(self, id: str) -> Record | None:
        """A record of those that this worker has read."""
        for start in self._starts.starts(id):
            record = self.at(start)
            if record.id == id:
                return record
        return None

    def records(self, after: int = 0) -> Iterator[Record]:
        """Every record behind a position that this worker has read."""
        start, chunk = max(after, len(HEADER)), _CHUNK
        while start < self._end:
            lines = os.pread(self._handle, min(chunk, self._end - start), start).split(b"\n")[:-1]
            chunk = _CHUNK if lines else chunk * 4
            for line in lines:
                record = record_of(line, start)
                if record is None:
                    raise self._damaged(start)
                yield record
                start = record.end

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone among all workers: the kernel frees the lock when its holder dies."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _begin(self) -> None:
        first = os.pread(self._handle, len(HEADER), 0)
        if HEADER.startswith(first) and first != HEADER:
            # New, or its maker died within the first line.
            os.ftruncate(self._handle, 0)
            if self._write(HEADER) != len(HEADER):
                raise self._full()
        elif first != HEADER:
            raise Invalid(
                f"{self._path}: expected a log that starts with {HEADER.decode().strip()!r}; name another file"
            )
        self._end = len(HEADER)
        while self._step():
            pass
        self._cut()

    def _read(self) -> list[Record]:
        """The whole records behind what was read, up to a torn or damaged one."""
        new: list[Record] = []
        while records := self._step():
            new += records
        return new

    def _step(self) -> list[Record]:
        """Some of the whole records behind what was read; none at the end."""
        chunk = _CHUNK
        while True:
            lines = os.pread(self._handle, chunk, self._end)
            records = self._taken(lines)
            if records or len(lines) < chunk:
                return records
            # A record may be longer than a chunk.
            chunk *= 4

    def _taken(self, lines: bytes) -> list[Record]:
        records = []
        for line in lines.split(b"\n")[:-1]:
            record = record_of(line, self._end)
            if record is None:
                break
            self._take(record)
            records.append(record)
        return records

    def _take(self, record: Record) -> None:
        self._starts.add(record.id, self._end)
        self._end, self._stamp = record.end, record.stamp

    def _cut(self) -> None:
        """Remove what a dead writer, or a crash of the machine, left behind the last whole record; under the lock."""
        rest = os.pread(self._handle, os.fstat(self._handle).st_size - self._end, self._end)
        if not rest:
            return
        if any(record_of(line, 0) for line in rest.split(b"\n")[1:]):
            raise Invalid(
                f"{self._path}: expected whole records, found a damaged one at byte {self._end} with others behind it; "
                "restore the file from a backup"
            )
        os.ftruncate(self._handle, self._end)

    def _stamped(self, entries: Sequence[Entry]) -> dict[str, _Line]:
        """Lines of the ids that are not there yet, one behind the other."""
        lines: dict[str, _Line] = {}
        end, stamp = self._end, self._stamp
        for id, content, *_ in entries:
            if id not in lines and self.get(id) is None:
                stamp = max(self.now(), stamp + 1)
                text = line_of(stamp, id, content)
                start, end = end, end + len(text)
                lines[id] = _Line(Record(stamp, id, content, end, start), text)
        return lines

    def _written(self, lines: Sequence[_Line]) -> OSError | None:
        """Why the disk did not take all lines; those that it took whole stay, as others may have read them."""
        before = self._end
        try:
            size = self._write(b"".join(line.text for line in lines))
        except OSError as error:
            return error
        for record in (line.record for line in lines if line.record.end <= before + size):
            self._take(record)
        if self._end == lines[-1].record.end:
            return None
        os.ftruncate(self._handle, self._end)
        return self._full()

    def _write(self, content: bytes) -> int:
        """How much of it the disk took. Raises OSError, after which nothing of it is in the log."""
        try:
            size = os.write(self._handle, content)
            if self._sync_each:
                os.fdatasync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self._end)
            raise
        return size

    def _answer(self, entry: Entry, line: _Line | None, error: OSError | None) -> Answer:
        """line: of the first entry whose id was not there. error: why the disk did not take all lines."""
        is_new = line is not None and line.record.end <= self._end
        record = line.record if line is not None and is_new else self.get(entry.id)
        if record is None:
            assert error is not None
            return error
        return Appended(record, is_new, self._heard()) if record.content == entry.content else Conflict(record)

    def _heard(self) -> list[Record]:
        heard, self._unheard = self._unheard, []
        return heard

    def at(self, start: int) -> Record:
        """The record whose line starts at a position."""
        size = _USUAL
        while (chunk := os.pread(self._handle, size, start)).find(b"\n") < 0 and len(chunk) == size:
            size *= 4
        record = record_of(chunk.partition(b"\n")[0], start)
        if record is None:
            raise self._damaged(start)
        return record

    def _full(self) -> NotWritten:
        return NotWritten(f"{self._path}: expected a disk that takes a whole line, found it full; free some space")

    def _damaged(self, start: int) -> Invalid:
        return Invalid(f"{self._path}: expected a record at byte {start}, found a damaged one; restore the file")
