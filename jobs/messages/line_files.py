"""A topic in a folder of JSON Lines: files that are there, that come, and that grow at their end.

A partition is a file, by a number made of its name, and an offset the place of a line's first byte. A file is read up
to its last line feed, as somebody may be writing behind it. The place in a file that is gone is forgotten.
"""

from __future__ import annotations

import os
import time
from codecs import BOM_UTF8
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

from jobs.messages.message import Message
from jobs.messages.position import Position, PositionLost

ENDINGS = (".jsonl", ".ndjson")
TOPIC_ID = "files"
LOOK_EVERY = 0.02
"""Seconds between looks at a folder; ten times as long as a look takes, if that is longer."""
_CHUNK, _SHOWN = 1 << 20, 512
"""Bytes that are read at once, and that tell one file from another."""
_USUAL_LINE = 100


class _File(NamedTuple):
    """A file as it was seen last."""

    path: Path
    partition: int
    size: int
    changes: tuple[int, int, int]
    """Another one if the file was changed or replaced."""


def partition_of(name: str) -> int:
    """The partition that the file of a name is."""
    return int.from_bytes(blake2b(os.fsencode(name), digest_size=6).digest())


def holds_lines(folder: Path) -> bool:
    """Whether there is such a file in a folder."""
    return bool(_entries(folder))


class LineFiles:
    """The lines of one folder from a position on."""

    def __init__(self, folder: Path, position: Position) -> None:
        known = position if position.topic_id == TOPIC_ID else Position(position.topic)
        self._folder, self._topic = folder, position.topic
        self._next, self._marks = dict(known.next), dict(known.marks)
        self._files: list[_File] = []
        self._read: dict[int, tuple[int, int, int]] = {}
        """Files that were read to their end, as they were."""
        self._look_at = 0.0
        self._lines = self._bytes = 0

    def position(self) -> Position:
        """The place behind all lines that were handed out."""
        return Position(self._topic, TOPIC_ID, dict(self._next), dict(self._marks))

    def lag(self) -> int:
        """Lines that were not handed out, as far as their bytes tell."""
        left = sum(file.size - self._next.get(file.partition, 0) for file in self._files)
        return left * max(self._lines, 1) // max(self._bytes, _USUAL_LINE)

    def unread(self, most: int) -> Iterator[list[Message]]:
        """The next lines, file by file in the order of their names. Raises PositionLost, OSError."""
        if time.monotonic() >= self._look_at:
            self._look()
        for file in self._files:
            while most > 0 and self._read.get(file.partition) != file.changes:
                lines = self._next_lines(file, most)
                most -= len(lines)
                yield lines

    def _look(self) -> None:
        began = time.monotonic()
        self._files = sorted(map(_file, _entries(self._folder)))
        there = {file.partition for file in self._files}
        for kept in (self._next, self._marks, self._read):
            for partition in kept.keys() - there:
                del kept[partition]
        took = time.monotonic() - began
        self._look_at = began + max(LOOK_EVERY, 10 * took)

    def _next_lines(self, file: _File, most: int) -> list[Message]:
        """Some of the whole lines behind those that were handed out; a blank line is none."""
        with file.path.open("rb") as handle:
            start = self._next.get(file.partition, 0)
            self._prove(handle, file, start)
            lines, is_end = _whole_lines(handle, start, most)
            end = start + sum(map(len, lines))
            self._next[file.partition], self._marks[file.partition] = end, _mark(handle, end)
        if is_end:
            self._read[file.partition] = file.changes
        self._lines, self._bytes = self._lines + len(lines), self._bytes + end - start
        return self._messages(file.partition, start, lines)

    def _messages(self, partition: int, start: int, lines: list[bytes]) -> list[Message]:
        messages = []
        for line in lines:
            if text := (line.removeprefix(BOM_UTF8) if start == 0 else line).strip():
                messages.append(Message(self._topic, partition, start, -1, None, text))
            start += len(line)
        return messages

    def _prove(self, handle: BinaryIO, file: _File, start: int) -> None:
        """Raises PositionLost if what was handed out of a file is not what it begins with any more."""
        found, mark = os.fstat(handle.fileno()).st_size, _mark(handle, start)
        if found >= start and self._marks.get(file.partition, mark) == mark:
            return
        what = "other content" if found >= start else f"{found} bytes"
        raise PositionLost(
            self._topic,
            f"{file.path}: expected a file that grows at its end, of which {start} bytes were read, found {what}; "
            "bring what is new in a file of another name and put this one back or remove it, or read all that is there "
            "again by `evergreen stream rewind --earliest`",
        )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if _is_of_lines(entry)]


def _is_of_lines(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(ENDINGS) and not entry.name.startswith((".", "_")) and entry.is_file()


def _file(entry: os.DirEntry[str]) -> _File:
    found = entry.stat()
    changes = (found.st_ino, found.st_size, found.st_mtime_ns)
    return _File(Path(entry.path), partition_of(entry.name), found.st_size, changes)


def _whole_lines(handle: BinaryIO, start: int, most: int) -> tuple[list[bytes], bool]:
    """Lines with their line feeds, and whether no further one is there."""
    chunk = _CHUNK
    while True:
        content = os.pread(handle.fileno(), chunk, start)
        lines, is_end = [line + b"\n" for line in content.split(b"\n")[:-1]], len(content) < chunk
        if lines or is_end:
            return lines[:most], is_end and len(lines) <= most
        # A line may be longer than a chunk.
        chunk *= 4


def _mark(handle: BinaryIO, end: int) -> str:
    """What tells the part of a file before a place from another: of its first and last bytes."""
    first = os.pread(handle.fileno(), min(end, _SHOWN), 0)
    last = os.pread(handle.fileno(), min(end, _SHOWN), max(0, end - _SHOWN))
    return blake2b(first + last, digest_size=8).hexdigest()
