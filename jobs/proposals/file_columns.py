"""The columns of the files of one input, one at a time, as a load reads them.

Text files are read whole, as a load does; of one above `LARGEST` the beginning and the end are read.
"""

from __future__ import annotations

import codecs
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from jobs.display import listed
from jobs.ingest.csv_records import MALFORMED
from jobs.ingest.declared_formats import FileFormat
from jobs.ingest.input_files import find_files
from jobs.ingest.readers import DataFile, open_file, read_file
from jobs.ingest.registered_inputs import InputError

LARGEST = 400_000_000
"""Bytes of a text file that are read."""
MOST_COLUMNS = 500
_LOOKED_AT = 50_000_000


@dataclass(frozen=True, eq=False)
class FileColumns:
    """Files that are open; text files with their rows."""

    path: Path
    names: tuple[str, ...]
    files: tuple[tuple[DataFile, pl.DataFrame | None], ...]
    is_part: bool
    """A text file was too large to be read whole."""
    encoding: str = ""
    """Of text files that are not in UTF-8."""

    def values(self, name: str) -> pl.Series:
        """The values of a column in all files, as text where these differ in type."""
        parts = [_values(file, frame, name) for file, frame in self.files]
        types = {part.dtype for part in parts if part.dtype != pl.Null}
        if len(types) > 1:
            return pl.concat([part.cast(pl.String) for part in parts])
        return pl.concat([part.cast(next(iter(types))) if types else part for part in parts])


def opened(path: Path) -> FileColumns:
    """The files at `path`. Raises InputError if one cannot be read, or names a column twice."""
    found = find_files([path])
    large = [each for each in found if each.is_file() and each.stat().st_size > LARGEST and _is_plain_text(each)]
    encoding = "" if all(_is_utf8(each) for each in found) else "cp1252"
    files = [_opened(each, each in large, FileFormat(encoding=encoding)) for each in found]
    for file, _ in files:
        if twice := [name for name, count in Counter(file.columns).items() if count > 1]:
            raise InputError(f"{file.path}: expected distinct column names, found {listed(twice)} twice; rename one")
    # A column without a name is the number of the row, as pandas writes it.
    names = tuple(dict.fromkeys(name for file, _ in files for name in file.columns if name.strip()))
    if not 2 <= len(names) <= MOST_COLUMNS:
        raise InputError(
            f"{path}: expected 2 to {MOST_COLUMNS} columns, a time and more, found {len(names)} ({listed(names)}); "
            "check the separator, or deliver other columns"
        )
    return FileColumns(path, names, tuple(files), bool(large), encoding)


def _opened(path: Path, in_part: bool, form: FileFormat) -> tuple[DataFile, pl.DataFrame | None]:
    if not in_part:
        file = open_file(path, form)
        in_memory = file.format in ("csv", "json")
        return replace(file, content=None), _rows(file, file.columns) if in_memory else None
    with tempfile.TemporaryDirectory() as folder:
        file = open_file(_ends_of(path, Path(folder)), form)
        return replace(file, path=path, content=None), _rows(file, file.columns)


def _rows(file: DataFile, names: Sequence[str]) -> pl.DataFrame:
    """Rows that are records, without those that are none."""
    return read_file(file, list(names)).filter(pl.col(MALFORMED).is_null())


def _values(file: DataFile, frame: pl.DataFrame | None, name: str) -> pl.Series:
    if frame is not None and name in frame.columns:
        return frame[name]
    if frame is None and name in file.columns:
        return read_file(file, [name])[name]
    rows = frame.height if frame is not None else read_file(file, [file.columns[0]]).height
    return pl.Series([None]).new_from_index(0, rows)


def _is_utf8(path: Path) -> bool:
    """Whether a text file is one that is read as it is: in UTF-8, with a byte order mark, or packed."""
    if not _is_plain_text(path):
        return True
    with path.open("rb") as file:
        first = file.read(_LOOKED_AT)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in first:
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(first)
    except UnicodeDecodeError:
        return False
    return True


def _is_plain_text(path: Path) -> bool:
    return path.name.lower().endswith((".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json"))


def _ends_of(path: Path, folder: Path) -> Path:
    """A file with the first and the last lines of a large one."""
    part = folder / path.name
    with path.open("rb") as whole:
        first = whole.read(LARGEST // 2)
        whole.seek(-(LARGEST // 2), 2)
        last = whole.read()
    part.write_bytes(first[: first.rfind(b"\n") + 1] + last[last.find(b"\n") + 1 :])
    return part
