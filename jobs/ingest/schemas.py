"""Schemas of input files: found, recorded at the first load, compared ever after, accepted by a person.

Which values parse: see `jobs.ingest.parsing`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from jobs.ingest.readers import FILE, FOUND, KNOWN_AT, RAGGED, ColumnNames, DataFile, open_file, read_file
from jobs.ingest.registered_inputs import InputError
from jobs.state_files import replace_json
from jobs.use_case import Column, Source, UseCase

CARRIER_TIME = "_carrier_time"
"""Event time of the row of another source that carries a row of this one."""


class SchemaChanged(RuntimeError):
    """Files of a source have other columns or types than before: nothing is loaded until a person accepts it."""


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
    """Read `paths` and say what they hold of `source`.

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


def match_columns(
    source: Source, file: DataFile, names: Mapping[str, str], carrier: Source | None
) -> tuple[dict[str, str], list[str]]:
    """Which column of the file holds which column of the table, and what is missing.

    Named by the columns file, else the declared name, else the one column that equals it but for case.
    """
    matched: dict[str, str] = {}
    problems = []
    for column in source.columns:
        wanted = names.get(column.name, column.file_name)
        alike = _matches(wanted, file)
        derived = carrier is not None and _may_be_derived(source, column)
        if len(alike) == 1:
            matched[column.name] = alike[0]
        elif alike or column.name in names or not (column.optional or derived):
            problems.append(_problem(source, column.name, wanted, file, alike))
    if KNOWN_AT in names:
        if alike := _matches(names[KNOWN_AT], file):
            matched[KNOWN_AT] = alike[0]
        else:
            problems.append(_problem(source, KNOWN_AT, names[KNOWN_AT], file, alike))
    return matched, problems


def _may_be_derived(source: Source, column: Column) -> bool:
    """A carried row without the time at which it became known is known some time after the carrier's event."""
    return source.carried_by is not None and source.carried_delay is not None and column.name == source.known_at


def _matches(wanted: str, file: DataFile) -> list[str]:
    return [wanted] if wanted in file.columns else [c for c in file.columns if c.casefold() == wanted.casefold()]


def _problem(source: Source, column: str, wanted: str, file: DataFile, alike: Sequence[str]) -> str:
    found = alike or list(file.columns)
    own_file = f", or give a file of {source.name} (`--{source.input} FILE`)" if source.carried_by else ""
    return (
        f"{file.path}: {source.name}.{column}: expected one column {wanted}, found {found}; rename it in the file, or "
        f"name it in a columns file (`--columns`){own_file}"
    )


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


def folder(state: Path, use_case: UseCase) -> Path:
    """Where the schemas of a use case's sources are stored."""
    return state / use_case.name / "schemas"


def recorded(folder: Path, source: Source, *, pending: bool = False) -> FileSchema | None:
    """The accepted schema of a source's files under `folder`, or the one that waits to be accepted."""
    try:
        stored = json.loads(_path(folder, source, pending).read_text())
    except FileNotFoundError:
        return None
    return FileSchema(stored["columns"], tuple(stored["undeclared"]), stored["in_file"])


def record(folder: Path, source: Source, schema: FileSchema, *, pending: bool = False) -> None:
    """Remember a schema under `folder` (atomically); an accepted one ends what was pending."""
    content = {
        "columns": dict(schema.columns),
        "undeclared": schema.undeclared,
        "in_file": dict(schema.in_file),
    }
    replace_json(_path(folder, source, pending), content)
    if not pending:
        _path(folder, source, True).unlink(missing_ok=True)


def _path(folder: Path, source: Source, pending: bool) -> Path:
    return folder / f"{source.name}{'.pending' if pending else ''}.json"


def changes(source: Source, expected: FileSchema, found: FileSchema) -> list[str]:
    """What differs, one line per column; an undeclared column that has gone is no change."""
    lines = []
    for name in dict.fromkeys([*expected.columns, *found.columns]):
        before, after = expected.columns.get(name), found.columns.get(name)
        in_file = found.in_file.get(name) or expected.in_file.get(name, name)
        if before != after:
            lines.append(
                f"column {name} ({in_file} in the file): expected {before or 'no such column'}, "
                f"found {after or 'no such column'}"
            )
    if (KNOWN_AT in expected.in_file) != (KNOWN_AT in found.in_file):
        lines.append(
            f"column {KNOWN_AT}: expected {expected.in_file.get(KNOWN_AT) or 'none'}, "
            f"found {found.in_file.get(KNOWN_AT) or 'none'} in the columns file"
        )
    new = [n for n in found.undeclared if n not in expected.undeclared]
    return lines + [f"column {name}: expected no such column, found a new one" for name in new]


def check(folder: Path, source: Source, inspected: Inspection, use_case: str, *, first: bool = False) -> None:
    """Compare files with what was recorded, unless this is the first load of a table.

    Raises SchemaChanged if they differ, with the new schema saved for `accept`; InputError if they cannot be
    loaded at all, or differ among each other.
    """
    before = None if first else recorded(folder, source)
    for file, schema in zip(inspected.files, inspected.schemas, strict=True):
        if before is not None and (lines := changes(source, before, schema)):
            record(folder, source, schema, pending=True)
            raise SchemaChanged(
                f"{file.path}: the columns of {source.name} changed: {'; '.join(lines)}. Nothing was loaded. Mend the "
                f"file, or accept the change with `evergreen schema accept {source.name} --use-case {use_case}`"
            )
        if lines := changes(source, inspected.schema, schema):
            raise InputError(
                f"{file.path}: expected the columns of {inspected.files[0].path}: {'; '.join(lines)}; load files of "
                "different schemas one by one"
            )
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))


def accept(folder: Path, source: Source, identifiers: Mapping[str, str]) -> list[str]:
    """Make the pending schema of a source the recorded one; returns what changed.

    `identifiers` are the types of the identifier columns of the raw table ({} if it is empty).
    Raises InputError if nothing is pending, or with the reasons why the change cannot work.
    """
    before, after = recorded(folder, source), recorded(folder, source, pending=True)
    if before is None or after is None:
        raise InputError(f"{source.name}: expected a changed schema that waits to be accepted, found none")
    lines = changes(source, before, after)
    if reasons := _impossible(source, after, identifiers):
        raise InputError(f"{source.name}: this schema cannot be accepted: {'; '.join(reasons)}. Mend the file")
    record(folder, source, after)
    return lines


def _impossible(source: Source, after: FileSchema, identifiers: Mapping[str, str]) -> list[str]:
    reasons = []
    for column in source.columns:
        found = after.columns.get(column.name)
        derived = _may_be_derived(source, column)
        if found is None and not column.optional and not derived:
            reasons.append(f"column {column.name} is required and missing")
        elif column.kind == "identifier" and identifiers.get(column.name, found) != found:
            reasons.append(f"column {column.name} is {found}, and {identifiers[column.name]} in the table")
        elif found is not None and found not in (
            "integer",
            "number",
            "boolean",
            "timestamp",
            "string",
        ):
            reasons.append(f"column {column.name} is {found}, of which no {column.kind} can be made")
    return reasons
