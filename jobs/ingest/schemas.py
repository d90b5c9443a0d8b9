"""Schemas of input files: recorded at the first load, compared ever after, accepted by a person.

What the schema of a file is: see `jobs.ingest.inspection`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.errors import EvergreenError
from jobs.ingest.column_matching import may_be_derived
from jobs.ingest.inspection import FileSchema, Inspection
from jobs.ingest.readers import KNOWN_AT
from jobs.ingest.registered_inputs import InputError
from jobs.state_files import read_memory, read_state, replace_json
from jobs.use_case import Source, UseCase

FOUND_TYPES = ("integer", "number", "boolean", "timestamp", "string", "category", "vector")
"""What a column of a file may be; anything else is of no use."""


MADE_BY = "made_by"
"""What is recorded of the source, beside its files."""


class SchemaChanged(EvergreenError, RuntimeError):
    """Files of a source have other columns or types than before: nothing is loaded until a person accepts it."""

    def __init__(self, message: str, schema: FileSchema) -> None:
        super().__init__(message)
        self.schema = schema
        """What was found, which may be accepted."""


def folder(state: Path, use_case: UseCase) -> Path:
    """Where the schemas of a use case's sources are stored."""
    return state / use_case.name / "schemas"


def recorded(folder: Path, source: Source, *, pending: bool = False) -> FileSchema | None:
    """The accepted schema of a source's files under `folder`, or the one that waits to be accepted."""
    return read_state(path(folder, source, pending), _schema, "the next load records the columns that it finds")


def _schema(stored: Mapping[str, Any]) -> FileSchema:
    return FileSchema(dict(stored["columns"]), tuple(stored["undeclared"]), dict(stored["in_file"]))


def record(folder: Path, source: Source, schema: FileSchema, *, pending: bool = False) -> None:
    """Remember a schema under `folder` (atomically); an accepted one ends what was pending."""
    content = {
        "columns": dict(schema.columns),
        "undeclared": schema.undeclared,
        "in_file": dict(schema.in_file),
        MADE_BY: identity(source),
    }
    replace_json(path(folder, source, pending), content)
    if not pending:
        path(folder, source, True).unlink(missing_ok=True)


def identity(source: Source) -> dict[str, object]:
    """What tells rows of a raw table apart, and where they lie."""
    return {"key": list(source.key), "event_time": source.event_time, "daily": source.daily}


def made_by(folder: Path, source: Source) -> dict[str, object]:
    """The same as it was when the source was last loaded; {} if that is not known."""
    return read_memory(path(folder, source, False), lambda stored: dict(stored.get(MADE_BY, {}))) or {}


def path(folder: Path, source: Source, pending: bool) -> Path:
    """Where the recorded columns of a source lie, or those that wait to be accepted."""
    return folder / f"{source.name}{'.pending' if pending else ''}.json"


def changes(source: Source, expected: FileSchema, actual: FileSchema) -> list[str]:
    """What differs, one line per column; an undeclared column that has gone is no change."""
    lines = []
    for name in dict.fromkeys([*expected.columns, *actual.columns]):
        before, after = expected.columns.get(name), actual.columns.get(name)
        in_file = actual.in_file.get(name) or expected.in_file.get(name, name)
        if before != after:
            lines.append(
                f"column {name} ({in_file} in the file): expected {before or 'no such column'}, "
                f"found {after or 'no such column'}"
            )
    if (KNOWN_AT in expected.in_file) != (KNOWN_AT in actual.in_file):
        lines.append(
            f"column {KNOWN_AT}: expected {expected.in_file.get(KNOWN_AT) or 'none'}, "
            f"found {actual.in_file.get(KNOWN_AT) or 'none'} in the columns file"
        )
    new = [n for n in actual.undeclared if n not in expected.undeclared]
    return lines + [f"column {name}: expected no such column, found a new one" for name in new]


def check(
    folder: Path, source: Source, inspected: Inspection, found: FileSchema, use_case: str, *,
    first: bool = False, later: Sequence[str] = (),
) -> None:  # fmt: skip
    """Compare what was found in files with what was recorded, unless this is the first load of a table.

    Columns that were declared `later` than that are as they are found.

    Raises SchemaChanged if that differs; InputError if the files cannot be
    loaded at all.
    """
    before = None if first else recorded(folder, source)
    if before is not None:
        before = replace(before, columns={**before.columns, **{n: t for n, t in found.columns.items() if n in later}})
    if before is not None and (lines := changes(source, before, found)):
        raise SchemaChanged(
            f"{_changed_file(source, before, inspected)}: the columns of {source.name} changed: {'; '.join(lines)}. "
            "Nothing was loaded. Mend the file, or accept the change with "
            f"`evergreen schema accept {source.name} --use-case {use_case}`",
            found,
        )
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))


def _changed_file(source: Source, before: FileSchema, inspected: Inspection) -> Path:
    """The first file that differs from what was recorded; the first of all if they do so only together."""
    files = zip(inspected.files, inspected.schemas, strict=True)
    return next((f.path for f, schema in files if changes(source, before, schema)), inspected.files[0].path)


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
        type_found = after.columns.get(column.name)
        derived = may_be_derived(source, column)
        if type_found is None and not column.optional and not derived:
            reasons.append(f"column {column.name} is required and missing")
        elif column.kind == "identifier" and identifiers.get(column.name, type_found) != type_found:
            reasons.append(f"column {column.name} is {type_found}, and {identifiers[column.name]} in the table")
        elif type_found is not None and type_found not in FOUND_TYPES:
            reasons.append(f"column {column.name} is {type_found}, of which no {column.kind} can be made")
    return reasons
