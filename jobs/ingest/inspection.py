"""What files hold of a source, read but not yet understood: matched columns, their types as found, and what is missing.

Comparing it with earlier files: see `jobs.ingest.schemas`. Which values parse: see `jobs.ingest.parsing`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from jobs.ingest.column_matching import match_columns
from jobs.ingest.readers import FILE, FOUND, RAGGED, ColumnNames, DataFile, open_file, read_file
from jobs.use_case import Column, Source

CARRIER_TIME = "_carrier_time"
"""Event time of the row of another source that carries a row of this one."""


@dataclass(frozen=True)
class FileSchema:
    """What the files of a load bring: type found of each declared column, and the names that are not declared."""

    columns: Mapping[str, str]
    """Column of the table -> integer, number, boolean, timestamp or string, as found."""
    undeclared: tuple[str, ...]
    in_file: Mapping[str, str]
    """Column of the table -> column in the file."""


@dataclass(frozen=True)
class Inspection:
    """Files of one load, read but not yet understood."""

    source: Source
    """The source, with its carrier's event time as a further column if there is a carrier."""
    carrier: Source | None
    files: tuple[DataFile, ...]
    frames: tuple[pl.DataFrame, ...]
    """Per file the matched columns, `found:` before their names in the table."""
    schemas: tuple[FileSchema, ...]
    problems: tuple[str, ...]
    """Why the files cannot be loaded, whatever was accepted."""

    @property
    def schema(self) -> FileSchema:
        return self.schemas[0]


def inspect(
    source: Source,
    paths: Sequence[Path],
    names: ColumnNames,
    identifiers: Mapping[str, str],
    carrier: Source | None = None,
    declared: Collection[str] = (),
) -> Inspection:
    """Read `paths`; returns what they hold of `source`.

    `identifiers` says of which type identifier columns are expected to be, where that is known already; `carrier`
    is the source whose files these are, if they hold this source's columns too; `declared` are names of file
    columns that other sources declare. Raises InputError if a file cannot be read.
    """
    files = tuple(open_file(path) for path in paths)
    wanted, aliases = _with_carrier_time(source, carrier, names)
    problems: dict[str, None] = {}
    frames, schemas = [], []
    for number, file in enumerate(files):
        matched, missing = match_columns(wanted, file, aliases, carrier)
        frame = _found(file, matched, number)
        types, unusable = _found_types(wanted, file, frame, identifiers)
        problems |= dict.fromkeys([*missing, *unusable])
        frames.append(frame)
        undeclared = () if carrier else _undeclared(file, matched, declared)
        schemas.append(
            FileSchema(
                {k: v for k, v in types.items() if k != CARRIER_TIME},
                undeclared,
                {k: v for k, v in matched.items() if k != CARRIER_TIME},
            )
        )
    return Inspection(wanted, carrier, files, tuple(frames), tuple(schemas), tuple(problems))


def _with_carrier_time(source: Source, carrier: Source | None, names: ColumnNames) -> tuple[Source, dict[str, str]]:
    """`source` with the carrier's event time as a further column, from which it follows when a row was known."""
    if carrier is None:
        return source, dict(names.of(source))
    time = next(c for c in carrier.columns if c.name == carrier.event_time)
    shared = {k: v for k, v in names.of(carrier).items() if k in {c.name for c in source.columns}}
    aliases = {**shared, **names.of(source)}
    if carrier.event_time in names.of(carrier):
        aliases[CARRIER_TIME] = names.of(carrier)[carrier.event_time]
    extra = replace(time, name=CARRIER_TIME, in_file=time.file_name)
    return replace(source, columns=(*source.columns, extra)), aliases


def _found(file: DataFile, matched: Mapping[str, str], number: int) -> pl.DataFrame:
    """The matched columns under their names in the table, as they are in the file."""
    frame = read_file(file, sorted(set(matched.values())))
    ragged = [pl.col(RAGGED)] if RAGGED in frame.columns else []
    named = [pl.col(c).alias(FOUND + name) for name, c in matched.items()]
    return frame.select(*named, *ragged).with_columns(pl.lit(number, pl.UInt32).alias(FILE))


def _found_types(
    source: Source, file: DataFile, frame: pl.DataFrame, identifiers: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Type found of every declared column (a CSV's are as declared), and those of no use."""
    found: dict[str, str] = {}
    problems = []
    for column in (c for c in source.columns if FOUND + c.name in frame.columns):
        values = frame[FOUND + column.name]
        if file.format == "csv":
            expected = identifiers.get(column.name)
            found[column.name] = _identifier(values, expected) if column.kind == "identifier" else column.kind
        elif (kind := found_type(column, values.dtype)) is not None:
            found[column.name] = kind
        else:
            found[column.name] = str(values.dtype)
            problems.append(
                f"{file.path}: {source.name}.{column.name}: expected {column.kind}, found {values.dtype}; convert it, "
                "or name another column in a columns file (`--columns`)"
            )
    return found, problems


def found_type(column: Column, dtype: pl.DataType) -> str | None:
    """The type of a parquet column in the words of the declaration; None if the declared kind cannot be made of it."""
    if dtype == pl.Null:
        return "integer" if column.kind == "identifier" else column.kind
    if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return "string"
    number = dtype.is_numeric()
    usable = {
        "timestamp": isinstance(dtype, (pl.Datetime, pl.Date)),
        "boolean": isinstance(dtype, pl.Boolean) or number,
        "string": number or isinstance(dtype, pl.Boolean),
    }
    if not usable.get(column.kind, number):
        return None
    return "integer" if column.kind == "identifier" else column.kind


def _identifier(values: pl.Series, expected: str | None) -> str:
    """`integer` if all values are plain integers (no leading zeros), or some are where integers are expected."""
    if expected == "string":
        return "string"
    plain = values.drop_nulls().str.strip_chars().str.contains(r"^(0|-?[1-9]\d{0,17})$")
    if plain.is_empty():
        return expected or "integer"
    return "integer" if (plain.any() if expected == "integer" else plain.all()) else "string"


def _undeclared(file: DataFile, matched: Mapping[str, str], declared: Collection[str]) -> tuple[str, ...]:
    known = {d.casefold() for d in declared}
    return tuple(sorted(c for c in file.columns if c not in matched.values() and c.casefold() not in known))
