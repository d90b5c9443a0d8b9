"""Reading input files: telling a file that can be read from one that cannot.

Which files an input is: see `jobs.ingest.input_files`. What the values mean: see `jobs.ingest.parsing`; which rows are
good: see `jobs.ingest.contracts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from jobs.display import listed
from jobs.ingest import csv_records, delta_input, json_records
from jobs.ingest.arrow_columns import readable
from jobs.ingest.csv_records import LINE, MALFORMED, Csv
from jobs.ingest.declared_formats import AS_ITS_FIRST_LINE_SAYS, FileFormat
from jobs.ingest.input_files import CSV_ENDINGS, JSON_ENDINGS, PARQUET_ENDINGS, PARQUET_MAGIC, columns_in_path
from jobs.ingest.registered_inputs import InputError
from jobs.ingest.text_files import packed_by, read_lines

if TYPE_CHECKING:
    import pyarrow as pa

KNOWN_AT = "known_at"
FOUND = "found:"
"""Prefix of the columns that hold the values as the file has them."""
FILE = "_file"
"""Position of a row's file in the load."""
ZONED = r":\d{2}(?:\.\d+)? ?(?:[zZ]|UTC|[+-]\d{2}(?::?\d{2})?)$"
"""A time of day, in text, with its zone."""


@dataclass(frozen=True)
class DataFile:
    """One readable file or Delta table: where, of which format, and the names of its columns."""

    path: Path
    format: str
    own_columns: Sequence[str]
    """Names in the file itself."""
    content: Csv | pl.DataFrame | None = None
    """Lines of a CSV file, or records of JSON Lines, until they are read."""
    version: int = 0
    """Of a Delta table."""
    in_path: Mapping[str, str | None] = field(default_factory=dict)
    """Columns that the file itself lacks, and whose one value is in the names of its folders."""

    unambiguous: frozenset[str] = frozenset()
    """Columns of JSON Lines whose numbers are no text, and so written in one way only."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All names, those in the file itself first."""
        return (*self.own_columns, *self.in_path)

    def has_type(self, column: str) -> bool:
        """Whether the values of a column are of a type, and not just text."""
        return self.format not in ("csv", "json") and column not in self.in_path


def open_file(path: Path, declared: FileFormat = AS_ITS_FIRST_LINE_SAYS) -> DataFile:
    """A file with the names of its columns; `declared` says how text is written.

    Raises InputError if it is no parquet, CSV or JSON Lines file or Delta table.
    """
    if delta_input.table_at(path):
        version, columns = delta_input.columns_of(path)
        return DataFile(path, "delta", columns, version=version)
    file = _open_plain(path, declared)
    own = {name.casefold() for name in file.own_columns}
    in_path = {name: value for name, value in columns_in_path(path).items() if name.casefold() not in own}
    return replace(file, in_path=in_path)


def _open_plain(path: Path, declared: FileFormat) -> DataFile:
    name = path.name.lower()
    with path.open("rb") as handle:
        magic = handle.read(len(PARQUET_MAGIC))
    if name.endswith(PARQUET_ENDINGS) or magic == PARQUET_MAGIC:
        return DataFile(path, "parquet", _parquet_columns(path, magic))
    if name.endswith(CSV_ENDINGS):
        return _open_csv(path, declared)
    if name.endswith(JSON_ENDINGS):
        content, unambiguous = json_records.records(path, read_lines(path, declared))
        own_columns = [name for name in content.columns if name not in (LINE, MALFORMED)]
        return DataFile(path, "json", own_columns, content, unambiguous=unambiguous)
    packed, ending = packed_by(magic), f"the ending {path.suffix!r}" if path.suffix else "no ending"
    found, what_to_do = (f"a file packed by {packed}", "unpack") if packed else (ending, "rename or convert")
    raise InputError(f"{path}: expected a file that ends in .parquet, .csv or .jsonl, found {found}; {what_to_do} it")


def _parquet_columns(path: Path, magic: bytes) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return tuple(pq.read_schema(path).names)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        size = path.stat().st_size
        what = "a truncated or damaged one" if magic == PARQUET_MAGIC else f"no parquet file (it begins with {magic!r})"
        raise InputError(f"{path}: expected a parquet file, found {what} of {size} bytes; deliver it again") from error


def _open_csv(path: Path, declared: FileFormat) -> DataFile:
    content = csv_records.opened(path, read_lines(path, declared), declared)
    names = content.names
    if len(set(names)) < len(names):
        found = listed(names)
        raise InputError(f"{path}: expected a header of distinct column names, found {found}; rename the columns")
    return DataFile(path, "csv", names, content=content)


def read_file(file: DataFile, columns: Sequence[str]) -> pl.DataFrame:
    """The `columns` of a file, as they are there; those of CSV and JSON Lines are text.

    `_line` numbers the records (from 1; a header is a line too), and `_malformed` says why one is none.

    Raises InputError if the file's rows cannot be read.
    """
    frame = _read_own(file, [name for name in columns if name not in file.in_path])
    in_path = [pl.lit(file.in_path[name], pl.String).alias(name) for name in columns if name in file.in_path]
    return frame.with_columns(in_path).select(*columns, LINE, MALFORMED)


def _read_own(file: DataFile, columns: Sequence[str]) -> pl.DataFrame:
    if isinstance(file.content, pl.DataFrame):
        return file.content
    if file.content is not None:
        return csv_records.records(file.content)
    if file.format == "parquet":
        frame = _parquet(file.path, columns)
    else:
        frame = delta_input.rows_of(file.path, file.version, columns or file.own_columns[:1])
        frame = frame.with_row_index(LINE, offset=1)
    return frame.with_columns(pl.lit(None, pl.String).alias(MALFORMED))


def _parquet(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Arrow reads damaged pages with an error, where Polars may panic. Nanoseconds hold no year before 1677.
        rows = pq.ParquetFile(path, coerce_int96_timestamp_unit="us").read(columns=list(columns))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        if "lists to be of size" in str(error):  # https://github.com/apache/arrow/issues/35692
            raise InputError(
                f"{path}: expected lists of any size, found a column of lists of a fixed size with a null in it, which "
                "Arrow cannot read; write it as a list of any size"
            ) from error
        raise InputError(f"{path}: expected a readable parquet file, found a damaged one; deliver it again") from error
    # A file of whose columns none is asked for still says how many rows there are.
    numbers = pl.int_range(1, rows.num_rows + 1, dtype=pl.UInt32, eager=True)
    return pl.DataFrame({**{name: _values(path, name, rows[name]) for name in columns}, LINE: numbers})


def _values(path: Path, name: str, column: "pa.ChunkedArray") -> pl.Series:
    try:
        return pl.Series(readable(column))
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{path}: {name}: expected a column of numbers, text or times, found {column.type}; convert it, or name "
            "another column in a columns file (`--columns`)"
        ) from error
