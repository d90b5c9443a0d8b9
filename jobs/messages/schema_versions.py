"""Versions of the schema of a topic: which are accepted beside the first one, and which are held.

A version that adds columns, leaves out ones that rows may lack, or widens integers is accepted; one that retypes a
declared column is held, as its values would be read as something else or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from jobs.ingest.column_matching import may_be_derived
from jobs.ingest.csv_records import MALFORMED
from jobs.messages.message import Decoded, Decoder, Message
from jobs.messages.registry import SchemaByNumber
from jobs.messages.schema_fields import INTEGER, NUMBER, TEXT, Sorts, fields_of
from jobs.use_case import Column, Source

HELD = "a schema version that is held: "
_WIDER: Mapping[str, frozenset[str]] = {
    "number": frozenset({INTEGER, NUMBER}),
    "string": frozenset({INTEGER, TEXT}),
    "category": frozenset({INTEGER, TEXT}),
    "text": frozenset({INTEGER, TEXT}),
}
"""Kind of column -> sorts of values that are read as the same thing."""


@dataclass
class AcceptedVersions:
    """A decoder of one source, by which messages of a held version are no records."""

    decode: Decoder
    source: Source
    schemas: SchemaByNumber
    names: Mapping[str, str] = field(default_factory=dict)
    """Column -> its name in messages, where that is not a declared one."""
    first: str | None = None
    """The version that others are held against; None: the first that comes."""
    _reasons: dict[str, str | None] = field(default_factory=dict)
    """Version -> why it is held; None: it is accepted."""

    def __call__(self, messages: Sequence[Message]) -> Decoded:
        """What the messages say, with the reason for those that are held. Raises RegistryError as the decoder does."""
        decoded = self.decode(messages)
        held = [None if version is None else self.why_held(version) for version in decoded.schemas]
        why = pl.coalesce(pl.Series(held, dtype=pl.String), MALFORMED).alias(MALFORMED)
        return decoded._replace(records=decoded.records.with_columns(why))

    def why_held(self, version: str) -> str | None:
        """Why a version is held; None: it is accepted, or says nothing of columns."""
        # A registry may come to know a version that it does not have.
        if version not in self._reasons and (later := self.schemas(int(version))) is not None:
            self._reasons[version] = self._compared(version, fields_of(later))
        return self._reasons.get(version)

    def _compared(self, version: str, later: Mapping[str, Sorts]) -> str | None:
        known = None if self.first is None else self.schemas(int(self.first))
        first = {} if known is None else fields_of(known)
        if not later or not first:
            self.first = version if later else self.first
            return None
        reasons = retyped(self.source, self.names, first, later)
        return f"{HELD}{'; '.join(reasons)}" if reasons else None


def retyped(
    source: Source, names: Mapping[str, str], first: Mapping[str, Sorts], later: Mapping[str, Sorts]
) -> list[str]:
    """Which declared columns a later version retypes, or lacks although rows must have them; empty: it is compatible.

    names: column -> its name in messages, where that is not a declared one.
    """
    return [
        f"{source.name}.{column.name}: expected {_said(was)}, found {_said(now)}"
        for column in source.columns
        if (was := _of_column(column, names, first)) is not None
        and not _is_compatible(source, column, was, now := _of_column(column, names, later))
    ]


def _of_column(column: Column, names: Mapping[str, str], fields: Mapping[str, Sorts]) -> Sorts | None:
    """The sorts of a column's values; None if there is no such field."""
    by_name = {name.casefold(): sorts for name, sorts in fields.items()}
    candidates = (names.get(column.name, column.name), column.name, *column.file_names)
    return next((by_name[name.casefold()] for name in candidates if name.casefold() in by_name), None)


def _is_compatible(source: Source, column: Column, was: Sorts, now: Sorts | None) -> bool:
    if now is None:
        return column.optional or column.nullable or may_be_derived(source, column)
    wider = _WIDER.get(column.kind, frozenset())
    # Of a version that leaves it open nothing can be said; each row is held against its contract anyway.
    return not was or not now or now <= was | (wider if was & wider else frozenset())


def _said(sorts: Sorts | None) -> str:
    return "no such column" if sorts is None else " or ".join(sorted(sorts))
