"""Records of an ordered log and the lines that hold them; files and locks are `jobs.online.file_log`'s business.

A line is checksum, stamp, id and content, parted by tabs. The id is JSON and the content has no line break, so a line
break ends a record and nothing else.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from jobs.errors import EvergreenError, Invalid

_json_of = json.encoder.encode_basestring_ascii
HEADER = b"evergreen ordered log 1\n"


class Record(NamedTuple):
    """One thing that came in, in its place among all others."""

    stamp: int
    """Microseconds since 1970 at which it became known; greater than that of every record before it."""
    id: str
    content: bytes
    end: int
    """Position in the log behind it."""
    start: int = 0
    """Position of its first byte, in a log in a file."""


class OfEntity(NamedTuple):
    """What a worker had not seen of an entity before a record about it."""

    facts: list[tuple[int, bytes]]
    """Stamps and contents, in order; all that there are, if some were dropped that it had not seen."""
    is_whole: bool
    """The worker must begin anew: facts between its own and these were dropped."""
    seen: int
    """How many there are, with the record."""


class Appended(NamedTuple):
    """What an append did."""

    record: Record
    is_new: bool
    """False: the id was there with the same content, and counts once."""
    before: list[Record]
    """What others appended since this worker last heard of it, in order, where every worker reads everything."""
    of_entities: Sequence[OfEntity] = ()
    """The same of each entity that the record is about, then of those it hears of, where a worker reads of entities
    alone."""


class Conflict(Invalid):
    """An id that is in the log with other content."""

    def __init__(self, record: Record) -> None:
        super().__init__(f"record {record.id!r}: expected the content that is in the log, found other; use another id")
        self.record = record
        """What the log has."""


class StoreDown(EvergreenError, OSError):
    """The store does not answer, or is not the one that it was; nothing was appended."""


Answer: TypeAlias = Appended | Conflict | OSError
"""What became of one of several records; an OSError: the disk did not take it."""
Seen = tuple[str, int]
"""Name of an entity, and how many of its facts a worker has."""


class Entry(NamedTuple):
    """A record that is to be appended."""

    id: str
    content: bytes
    seen: Sequence[Seen] = ()
    """The entities that it is about, where a worker reads of entities alone."""
    opens: bool = False
    """It waits for another that closes it."""
    closes: str = ""
    """Id of a record that waited."""
    hears: Sequence[Seen] = ()
    """Entities that it is not about, of which the worker learns too; their facts are never dropped."""
    is_kept: bool = False
    """Its entities' facts are never dropped."""


class Log(Protocol):
    """An ordered log as workers use it."""

    by_entity: bool
    """Whether a worker learns of others' records by entity, or of all of them in order."""
    now: Callable[[], int]
    """Microseconds since 1970, by the clock that stamps are taken from."""

    def append(self, id: str, content: bytes) -> Appended:
        """Append one record (see `append_all`).

        Raises:
            Conflict: the id is there with other content.
            OSError: it was not appended.
        """
        [answer] = self.append_all([Entry(id, content)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def append_all(self, entries: Sequence[Entry]) -> list[Answer]: ...
    def tail(self) -> list[Record]: ...
    def get(self, id: str) -> Record | None: ...
    def records(self, after: int = 0) -> Iterator[Record]: ...
    def last_stamp(self) -> int: ...
    def close(self) -> None: ...


def line_of(stamp: int, id: str, content: bytes) -> bytes:
    """The line that holds a record; raises Invalid for content with a line break."""
    if b"\n" in content:
        raise Invalid(f"record {id!r}: expected content on one line, found a line break; write compact JSON")
    body = b"%d\t%s\t%s" % (stamp, _json_of(id).encode(), content)
    return b"%08x\t%s\n" % (zlib.crc32(body), body)


def record_of(line: bytes, start: int) -> Record | None:
    """The record in a line, without its break, that starts at a position; None if the line is damaged."""
    checksum, _, body = line.partition(b"\t")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    stamp, id, content = body.split(b"\t", 2)
    return Record(int(stamp), json.loads(id), content, start + len(line) + 1, start)
