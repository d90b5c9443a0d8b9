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
from typing import Self

from jobs.errors import EvergreenError, Invalid
from jobs.online.log_records import HEADER, Appended, Conflict, Record, Seen, line_of, record_of
from jobs.online.log_sync import GroupSync
from jobs.online.start_index import StartIndex

SYNC_EVERY = 0.05
"""Seconds that a record may be on its way to the disk; it survives the death of every process at once."""
_CHUNK, _USUAL = 1 << 20, 4096
"""Bytes that are read at once, of many records and of one."""


class NotWritten(EvergreenError, OSError):
    """A record that the disk took in part; nothing of it is left in the log."""


class FileLog:
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
        """Microseconds since 1970, by the clock that stamps are taken from."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._turn = threading.Lock()
        self._starts = StartIndex()
        self._end, self._stamp = 0, 0
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

    def append(
        self, id: str, content: bytes, seen: Sequence[Seen] = (), *, opens: bool = False, closes: str = ""
    ) -> Appended:
        """Stamp a record and write it, unless its id is there already; who reads all of them needs no further words.

        Raises:
            Conflict: the id is there with other content.
            OSError: the disk did not take it; then nothing is in the log.
        """
        with self._turn, self._alone():
            before = []
            if os.fstat(self._handle).st_size != self._end:
                before = self._read()
                self._cut()
            if (known := self.get(id)) is not None:
                return Appended(_same(known, content), False, before)
            stamp = max(self.now(), self._stamp + 1)
            line = line_of(stamp, id, content)
            self._write(line)
            record = Record(stamp, id, content, self._end + len(line))
            self._take(record)
        if self._sync is not None:
            self._sync.due()
        return Appended(record, True, before)

    def tail(self) -> list[Record]:
        """What others appended since this worker last read, in order."""
        with self._turn:
            return self._read() if os.fstat(self._handle).st_size != self._end else []

    def get(self, id: str) -> Record | None:
        """A record of those that this worker has read."""
        for start in self._starts.starts(id):
            record = self._at(start)
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
            self._write(HEADER)
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

    def _write(self, line: bytes) -> None:
        try:
            if os.write(self._handle, line) != len(line):
                raise NotWritten(
                    f"{self._path}: expected a disk that takes a whole record, found it full; free some space"
                )
            if self._sync_each:
                os.fdatasync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self._end)
            raise

    def _at(self, start: int) -> Record:
        """The record whose line starts at a position."""
        size = _USUAL
        while (chunk := os.pread(self._handle, size, start)).find(b"\n") < 0 and len(chunk) == size:
            size *= 4
        record = record_of(chunk.partition(b"\n")[0], start)
        if record is None:
            raise self._damaged(start)
        return record

    def _damaged(self, start: int) -> Invalid:
        return Invalid(f"{self._path}: expected a record at byte {start}, found a damaged one; restore the file")


def _same(record: Record, content: bytes) -> Record:
    if record.content != content:
        raise Conflict(record)
    return record
