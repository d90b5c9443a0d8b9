"""Records of an ordered log and the lines that hold them; files and locks are `jobs.online.file_log`'s business.

A line is checksum, stamp, id and content, parted by tabs. The id is JSON and the content has no line break, so a line
break ends a record and nothing else.
"""

import json
import zlib
from typing import NamedTuple

from jobs.errors import Invalid

HEADER = b"evergreen ordered log 1\n"


class Record(NamedTuple):
    """One thing that came in, in its place among all others."""

    stamp: int
    """Microseconds since 1970 at which it became known; greater than that of every record before it."""
    id: str
    content: bytes
    end: int
    """Position in the log behind it."""


def line_of(stamp: int, id: str, content: bytes) -> bytes:
    """The line that holds a record; raises Invalid for content with a line break."""
    if b"\n" in content:
        raise Invalid(f"record {id!r}: expected content on one line, found a line break; write compact JSON")
    body = b"%d\t%s\t%s" % (stamp, json.dumps(id).encode(), content)
    return b"%08x\t%s\n" % (zlib.crc32(body), body)


def record_of(line: bytes, start: int) -> Record | None:
    """The record in a line, without its break, that starts at a position; None if the line is damaged."""
    checksum, _, body = line.partition(b"\t")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    stamp, id, content = body.split(b"\t", 2)
    return Record(int(stamp), json.loads(id), content, start + len(line) + 1)
