"""What files hold of a source, read but not yet understood: matched columns, their types as found, and what is missing.

Comparing it with earlier files: see `jobs.ingest.schemas`. Which values parse: see `jobs.ingest.parsing`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from jobs.ingest.advice import ambiguous_numbers, days_for_months, epoch_advice, mixed_zones
from jobs.ingest.column_matching import match_columns, may_be_derived
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.csv_records import LINE, MALFORMED
from jobs.ingest.declared_formats import EPOCH_UNITS, ValueFormat
from jobs.ingest.identifier_text import EXACT_DOUBLES
from jobs.ingest.readers import FILE, FOUND, KNOWN_AT, DataFile, open_file, read_file
from jobs.ingest.vectors import is_list
from jobs.use_case import Column, Source

CARRIER_TIME = "_carrier_time"
"""Event time of the row of another source that carries a row of this one."""
MISSING, OF_NO_TYPE = "no such column", "a column of any type"
"""How a file may hold a column otherwise than in a type."""


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
    formats: Mapping[str, ValueFormat]
    """How the values of each column are written."""
    problems: tuple[str, ...]
    """Why the files cannot be loaded, whatever was accepted."""

    @property
    def schema(self) -> FileSchema:
        """What the files hold together; their identifiers are only known to be integers or text once rows are."""
        return merged(self.schemas)


def merged(schemas: Sequence[FileSchema]) -> FileSchema:
    """The columns of several files together; of a column in several, the type in the first of them."""
    columns = {name: kind for schema in reversed(schemas) for name, kind in schema.columns.items()}
    in_file = {name: named for schema in reversed(schemas) for name, named in schema.in_file.items()}
    undeclared = sorted({name for schema in schemas for name in schema.undeclared})
    return FileSchema(columns, tuple(undeclared), in_file)


def inspect(
    source: Source,
    paths: Sequence[Path],
    names: ColumnsFile,
    identifiers: Mapping[str, str],
    carrier: Source | None = None,
    declared: Collection[str] = (),
) -> Inspection:
    """Read `paths`; returns what they hold of `source`.

    `identifiers` says of which type identifier columns are expected to be, where that is known already; `carrier`
    is the source whose files these are, if they hold this source's columns too; `declared` are names of file
    columns that other sources declare. Raises InputError if a file cannot be read.
    """
    extended, aliases = _with_carrier_time(source, carrier, names)
    formats = value_formats(extended, carrier, names)
    problems: dict[str, None] = {}
    files, frames, texts, schemas = [], [], [], []
    for number, path in enumerate(paths):
        file = open_file(path, names.file_format(carrier or source))
        matched, missing = match_columns(extended, file, aliases, carrier)
        frame = _found(file, matched, formats, number)
        types, unusable = _found_types(extended, file, matched, frame, identifiers, formats)
        problems |= dict.fromkeys([*missing, *unusable])
        files.append(replace(file, content=None))
        frames.append(frame)
        texts.append(frame.drop(FOUND + name for name, c in matched.items() if c in file.unambiguous))
        undeclared = () if carrier else _undeclared(file, matched, declared)
        schemas.append(
            FileSchema(
                {k: v for k, v in types.items() if k != CARRIER_TIME},
                undeclared,
                {k: v for k, v in matched.items() if k != CARRIER_TIME},
            )
        )
    problems |= dict.fromkeys(_contradictions(extended, files, schemas, frames, formats))
    for ambiguous in (ambiguous_numbers, mixed_zones, days_for_months):
        problems |= dict.fromkeys(ambiguous(extended, files, texts, formats))
    return Inspection(extended, carrier, tuple(files), tuple(frames), tuple(schemas), formats, tuple(problems))


def carries(carrier: Source, source: Source, names: ColumnsFile, paths: Sequence[Path]) -> bool:
    """Whether one of the files of `carrier` has a column of `source` that is not its key."""
    declared, form = names.of(source), names.file_format(carrier)
    own = {
        name.casefold()
        for c in source.columns
        if c.name not in source.key
        for name in ((declared[c.name],) if c.name in declared else c.file_names)
    }
    return any(name.casefold() in own for path in paths for name in open_file(path, form).columns)


def _contradictions(
    source: Source,
    files: Sequence[DataFile],
    schemas: Sequence[FileSchema],
    frames: Sequence[pl.DataFrame],
    formats: Mapping[str, ValueFormat],
) -> list[str]:
    """Columns of which the files hold other types, or that only some of them hold although rows need one."""
    problems = []
    for column in source.columns:
        first_of_kind: dict[str, Path] = {}
        for file, schema, frame in zip(files, schemas, frames, strict=True):
            has_type = file.has_type(schema.in_file.get(column.name, ""))
            first_of_kind.setdefault(_kind_in(column, frame, has_type, formats[column.name]), file.path)
        if not (may_be_derived(source, column) or (column.optional and not column.nullable)):
            first_of_kind.pop(MISSING, None)
        if len(first_of_kind.keys() - {OF_NO_TYPE}) > 1 or first_of_kind.keys() == {OF_NO_TYPE, MISSING}:
            where = ", ".join(f"{kind} in {path}" for kind, path in first_of_kind.items())
            problems.append(
                f"{source.name}.{column.name}: expected one type in files that are loaded together, found {where}; "
                "load files of different schemas one by one"
            )
    return problems


def _kind_in(column: Column, frame: pl.DataFrame, has_type: bool, form: ValueFormat) -> str:
    dtype = frame.schema.get(FOUND + column.name)
    if dtype is None:
        return MISSING
    if not has_type or dtype == pl.Null or column.kind == "identifier":
        return OF_NO_TYPE
    return found_type(column, dtype, form) or str(dtype)


def _with_carrier_time(source: Source, carrier: Source | None, names: ColumnsFile) -> tuple[Source, dict[str, str]]:
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


def value_formats(source: Source, carrier: Source | None, names: ColumnsFile) -> dict[str, ValueFormat]:
    """How the values of each column are written; a column that the carrier has too is written as the carrier's."""
    formats = {}
    for name in (*(c.name for c in source.columns), KNOWN_AT):
        in_carrier = carrier is not None and name not in names.values.get(source.name, {})
        time = carrier.event_time if carrier is not None and name == CARRIER_TIME else name
        formats[name] = names.value_format(carrier if carrier is not None and in_carrier else source, time)
    return formats


def _found(file: DataFile, matched: Mapping[str, str], formats: Mapping[str, ValueFormat], number: int) -> pl.DataFrame:
    """The matched columns under their names in the table, as they are in the file."""
    frame = read_file(file, sorted(set(matched.values())))
    named = [present_values(frame[c], formats[name]).alias(FOUND + name) for name, c in matched.items()]
    return frame.select(*named, LINE, MALFORMED).with_columns(pl.lit(number, pl.UInt32).alias(FILE))


def present_values(values: pl.Series, form: ValueFormat) -> pl.Series:
    """Values without the words for none; a column without one value is of any type."""
    if values.null_count() == len(values):
        return values.cast(pl.Null)
    if values.dtype.is_integer() and any(declared not in EPOCH_UNITS for declared in form.times):
        values = values.cast(pl.String)  # such as 20260501
    if not form.null or is_list(values.dtype):
        return values
    is_null = values.cast(pl.String).str.strip_chars().is_in(form.null)
    if values.dtype.is_numeric():  # -999 is -999.0
        numbers = pl.Series(form.null, dtype=pl.String).cast(pl.Float64, strict=False)
        is_null |= values.cast(pl.Float64).is_in(numbers.filter(numbers.abs() < EXACT_DOUBLES).implode())
    return pl.select(pl.when(~is_null).then(values)).to_series()


def _found_types(
    source: Source,
    file: DataFile,
    matched: Mapping[str, str],
    frame: pl.DataFrame,
    identifiers: Mapping[str, str],
    formats: Mapping[str, ValueFormat],
) -> tuple[dict[str, str], list[str]]:
    """Type found of every declared column (that of text in a CSV file is as declared), and those of no use."""
    types: dict[str, str] = {}
    problems = []
    for column in (c for c in source.columns if FOUND + c.name in frame.columns):
        values = frame[FOUND + column.name]
        has_type = file.has_type(matched[column.name])
        kind = found_type(column, values.dtype, formats[column.name]) if has_type else _kind(column)
        types[column.name] = kind or str(values.dtype)
        if kind is None:
            problems.append(
                f"{file.path}: {source.name}.{column.name}: expected {column.kind}, found {values.dtype}; convert it, "
                f"or name another column in a columns file (`--columns`){epoch_advice(source, column, values)}"
            )
        elif column.kind == "identifier":
            types[column.name] = identifiers.get(column.name, "integer")
    return types, problems


def found_type(column: Column, dtype: pl.DataType, form: ValueFormat) -> str | None:
    """The type of a parquet column in the words of the declaration; None if the declared kind cannot be made of it."""
    kind = _kind(column)
    if dtype == pl.Null:
        return kind
    if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return kind if kind in ("category", "vector") else "string"
    if kind == "vector":
        return kind if is_list(dtype) else None
    number = dtype.is_numeric()
    usable = {
        "timestamp": isinstance(dtype, (pl.Datetime, pl.Date)) or (number and bool(form.epoch)),
        "boolean": isinstance(dtype, pl.Boolean) or number,
        **dict.fromkeys(("string", "category"), number or isinstance(dtype, pl.Boolean)),
    }
    return kind if usable.get(kind, number) else None


def _kind(column: Column) -> str:
    """What files hold: a text that is read word by word is a string there, as it was before it was declared so."""
    return "string" if column.kind == "text" else column.kind


def _undeclared(file: DataFile, matched: Mapping[str, str], declared: Collection[str]) -> tuple[str, ...]:
    declared_names = {d.casefold() for d in declared}
    return tuple(sorted(c for c in file.columns if c not in matched.values() and c.casefold() not in declared_names))
