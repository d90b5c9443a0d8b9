"""What a source declares for good, as rows of its raw table were written by it. Columns may come later
(`jobs.ingest.later_columns`), but none may go: rows without one would be corrections once it is declared again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from jobs.errors import Invalid
from jobs.ingest import schemas
from jobs.ingest.parsing import KINDS_IN_TABLE, kind_in_table, table_schema
from jobs.lakehouse.envelope import DELETIONS, ENVELOPE
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Source, UseCase


def expect(lakehouse: Lakehouse, use_case: UseCase, source: Source) -> None:
    """Raises Invalid if the raw table holds rows, and the source declares otherwise what it was made by."""
    table = use_case.raw_table(source)
    if not lakehouse.exists(table) or not lakehouse.state(table).get("loaded_in"):
        return
    made_by = schemas.made_by(schemas.folder(lakehouse.settings.state, use_case), source)
    if lines := [*_by_others(source, made_by), *_of_other_columns(source, lakehouse.schema(table))]:
        raise Invalid(
            f"{source.name}: expected what its table was made by, found {'; '.join(lines)}; declare it as it was "
            "(a column that files lack by now: optional), another thing under another name, or begin a new home"
        )


def _by_others(source: Source, made_by: dict[str, object]) -> Iterator[str]:
    """Of a table from before this was recorded nothing is known."""
    for name, now in schemas.identity(source).items():
        if made_by.get(name, now) != now:
            yield f"{name} {now} and not {made_by[name]}"


def _of_other_columns(source: Source, held: pa.Schema) -> Iterator[str]:
    others = [*table_schema(source, {}).names, *ENVELOPE.names, *DELETIONS.names]
    yield from (f"no column {name}" for name in held.names if name not in others)
    for column in source.columns:
        if column.name in held.names:
            stored = held.field(column.name).type
            kind = kind_in_table(column, {column.name: "string" if pa.types.is_string(stored) else "integer"})
            if KINDS_IN_TABLE[kind] != stored:
                yield f"column {column.name} as {column.kind} where the table has {stored}"
