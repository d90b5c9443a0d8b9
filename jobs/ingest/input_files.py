"""Which files an input is: a file, the data files of a folder, or a Delta table; and what tells their content apart.

What is in them: see `jobs.ingest.readers`.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from jobs.error_messages import in_words
from jobs.ingest import delta_input
from jobs.ingest.json_records import is_json_lines
from jobs.ingest.registered_inputs import InputError
from jobs.ingest.table_formats import DELTA, enclosing_table, table_format

_GZIPPED = ("", ".gz")
CSV_ENDINGS = tuple(text + packed for text in (".csv", ".tsv", ".txt") for packed in _GZIPPED)
JSON_ENDINGS = tuple(text + packed for text in (".jsonl", ".ndjson", ".json") for packed in _GZIPPED)
PARQUET_ENDINGS = (".parquet", ".pq")
PARQUET_MAGIC = b"PAR1"
UNREADABLE_ENDINGS = (
    ".orc", ".avro", ".feather", ".arrow", ".ipc", ".xlsx", ".xls", ".ods", ".zip", ".tar", ".tgz", ".7z", ".rar",
)  # fmt: skip
"""Files of rows that are not read: beside some that are, they are not passed over in silence."""
_PACKED = re.compile(r"\.(?:gz|gzip|bz2|xz|zst|zstd|lz4|snappy|br|z)$")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_PART = re.compile(r"part-\d+")
"""How the names of the files begin that Spark and Hadoop part a table into."""


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The data files at `paths`: files, the data files of folders in the order of their names, Delta tables.

    Hidden files, and those whose name or folder begins with `_`, are no data.

    Raises InputError if a path does not exist, a file is empty, is a part of a table or cannot be read, or a folder
    holds no data.
    """
    files: list[Path] = []
    # Thousands of files may lie in one folder, which is looked at once.
    enclosing = lru_cache(maxsize=None)(enclosing_table)
    for path in paths:
        if delta_input.table_at(path):
            files.append(path)
        elif path.is_dir() or path.is_file():
            _refuse_part(path, enclosing(path.absolute().parent))
            files += _expanded(path) if path.is_dir() else [path]
        else:
            raise InputError(
                f"{path}: expected a parquet, CSV or JSON Lines file, found {_instead_of_a_file(path)}; check the path"
            )
    for path in files:
        _refuse_unusable(path)
    if not files:
        raise InputError("expected at least one input file, found none; name a file")
    return files


def _refuse_unusable(path: Path) -> None:
    """Raises InputError if a file is empty, or its name cannot be stored in a table."""
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: expected a parquet, CSV or JSON Lines file, found an empty file; deliver it again")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise InputError(f"{shown}: expected a name in UTF-8, found another one; rename the file") from None


def _expanded(path: Path) -> list[Path]:
    files = list(_inside(path, ()))
    if not files:
        raise InputError(f"{path}: expected parquet, CSV or JSON Lines files in this folder, found none; name a file")
    return files


def _refuse_part(path: Path, table: tuple[Path, str] | None) -> None:
    """Raises InputError if `path` is a part of a table."""
    if table is None:
        return
    folder, name = table
    advice = f"give the folder {folder}" if name == DELTA else "export its rows as parquet or CSV files"
    raise InputError(
        f"{path}: expected files of their own, found a part of the {name} table {folder}, whose metadata say which "
        f"rows count; {advice}"
    )


def _inside(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Data files and Delta tables below a folder; `above` are the real folders that lead to it."""
    entries, name = _entries(folder), table_format(folder)
    if name == DELTA:
        yield folder
        return
    if name is not None:
        raise InputError(
            f"{folder}: expected parquet, CSV or JSON Lines files or a Delta table, found a table of another format "
            f"({name}), whose metadata say which rows count; export its rows as parquet or CSV files"
        )
    here = (*above, folder.resolve())
    for entry in entries:
        if entry.is_dir() and entry.resolve() not in here:
            yield from _inside(entry, here)
        elif not entry.is_dir() and _is_data(entry):
            yield entry


def _entries(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"{folder}: expected a folder that can be read, found {in_words(error)}; mend its rights"
        ) from error
    return [e for e in entries if not e.name.startswith((".", "_")) or (e.name[0] == "_" and "=" in e.name)]


def _is_data(file: Path) -> bool:
    name = file.name.lower()
    readable = CSV_ENDINGS + PARQUET_ENDINGS + JSON_ENDINGS
    if name.endswith(readable) and not _may_describe(name):
        if not file.is_file():
            raise InputError(
                f"{file}: expected a parquet, CSV or JSON Lines file, found {_instead_of_a_file(file)}; mend it"
            )
        return True
    if not file.is_file():
        return False
    if _is_whole_parquet(file):
        return True
    if _may_describe(name):
        return is_json_lines(file)
    if _PACKED.sub("", name).endswith(readable + UNREADABLE_ENDINGS):
        raise InputError(
            f"{file}: expected parquet, CSV or JSON Lines files in this folder, found one of a format that is not "
            "read; convert it, or move it elsewhere"
        )
    return False


def _instead_of_a_file(path: Path) -> str:
    if os.path.exists(path):
        return "a pipe, a socket or a device"
    return "a link to nothing" if os.path.islink(path) else "nothing there"


def _may_describe(name: str) -> bool:
    """Whether a file of this name may as well describe others, such as schema.json."""
    return name.removesuffix(".gz").endswith(".json")


def _is_whole_parquet(file: Path) -> bool:
    """Whether a file of any name is a parquet file, as Hive names them, and not one that is being written."""
    size = len(PARQUET_MAGIC)
    with file.open("rb") as handle:
        if handle.read(size) != PARQUET_MAGIC or handle.seek(0, os.SEEK_END) < 2 * size:
            return False
        handle.seek(-size, os.SEEK_END)
        return handle.read(size) == PARQUET_MAGIC


def columns_in_path(path: Path) -> dict[str, str | None]:
    """Columns in the names of the folders that a file lies in, as in `day=2026-05-01/part.parquet` (Hive's layout).

    A value is text, or None where the writer had no value.
    """
    columns: dict[str, str | None] = {}
    for folder in path.absolute().parents:
        name, is_column, value = folder.name.partition("=")
        if not is_column or not name:
            break
        columns.setdefault(unquote(name), None if value in ("", _NULL_PARTITION) else unquote(value))
    return columns


def table_of(path: Path) -> Path:
    """The file itself, or the folder of the table that it is a part of, by its name or those of its folders."""
    folders = path.absolute().parents
    whole = next(folder for folder in folders if "=" not in folder.name)
    return whole if _PART.match(path.name) or whole != folders[0] else path.absolute()


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of modification (nanoseconds) of a file, or of the log of a Delta table."""
    if delta_input.table_at(path):
        return delta_input.log_stamp(path)
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's bytes; of a Delta table, of its identity and version."""
    if delta_input.table_at(path):
        return delta_input.content_hash(path)
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
