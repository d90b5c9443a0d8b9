"""What becomes of the messages of one topic: new rows, further versions, deletions, repetitions, and broken rows.

The contract and the values are read as those of files are (`jobs.ingest`), so that a row is the same row whichever way
it comes. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from jobs.arrays import Ints
from jobs.ingest import contracts
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.contracts import COLUMNS, REASONS, RowCheck
from jobs.ingest.csv_records import LINE, MALFORMED
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.declared_formats import ValueFormat
from jobs.ingest.identifiers import as_kind
from jobs.ingest.inspection import FileSchema, Inspection, present_values, value_formats
from jobs.ingest.parsing import UTC as UTC_TYPE
from jobs.ingest.quarantine import UNKNOWN
from jobs.ingest.readers import FILE, FOUND, KNOWN_AT, DataFile
from jobs.lakehouse.envelope import DELETED, OFFSET, PARTITION, SCHEMA, TOPIC
from jobs.messages.message import Decoded, Decoder, Message
from jobs.streams.known_rows import CHANGED, DELETION, NEW, OF_NO_ROW, VERSION, KnownRows
from jobs.use_case import Source

AHEAD = timedelta(minutes=5)
"""Clocks of producers may be ahead by as much."""
KIND = "_kind"
"""What a row is: NEW, VERSION or DELETION of `jobs.streams.known_rows`."""
TOMBSTONE, DELETE = "tombstone", "delete"
NOT_DELETABLE = "a deletion, which the source does not declare"
ROW_UNKNOWN = "a deletion of a row that nobody knows"


@dataclass(frozen=True)
class Taken:
    """What became of some messages, each counted once; tombstones say nothing new and are not here."""

    new: pl.DataFrame
    """Rows to append, in the order of their stamps: declared columns, `known_at`, the envelope, DELETED, `event_date`,
    KIND. Of a deletion all but the key is null, and its day is the one on which it became known."""
    bad: pl.DataFrame
    """Rows for quarantine, as found, with their reasons and the envelope."""
    waiting: pl.DataFrame
    """Rows like `new` that refer to what has not come yet."""
    repeated: int = 0
    """Rows that were known."""


@dataclass
class Intake:
    """One source, and what is known of it."""

    source: Source
    names: ColumnsFile
    decode: Decoder
    known: KnownRows
    identifiers: Mapping[str, str]
    """Types of the identifier columns as tables have them: `integer` or `string`."""
    referred: Mapping[str, KnownRows] = field(default_factory=dict)
    """Column -> rows of the source that it refers to."""
    decided: dict[str, str] = field(default_factory=dict)
    """Types of identifier columns as the first rows that came have them, of all sources."""
    undeclared: set[str] = field(default_factory=set)
    """Names in messages that are no column: they are left out."""
    waited: set[int] = field(default_factory=set)
    """Hashes of keys of rows that have waited: their deletions wait behind them."""

    def take(self, messages: Sequence[Message], decoded: Decoded, stamps: Ints, now: datetime) -> Taken:
        """What becomes of messages, decoded by `decode`, with their stamps; what is new is known from here on."""
        said = pl.Series(decoded.changes, dtype=pl.String)
        told = [said.eq_missing(DELETE).alias(DELETED), said.is_not_null().alias(CHANGED)]
        frame = self._frame(decoded, now).with_columns(*envelope(messages, decoded, stamps), *told)
        rows = frame.filter(~said.eq_missing(TOMBSTONE))
        checks = contracts.row_checks(self.source, rows.columns, self.names.timezone, now + AHEAD)
        good, bad = self._judged(rows, checks) if rows[DELETED].any() else contracts.split(rows, checks)[:2]
        new, waiting, of_no_row = self._sorted_out(good)
        bad = bad if of_no_row.is_empty() else pl.concat([bad, of_no_row])
        return Taken(new, bad, waiting, rows.height - new.height - bad.height - waiting.height)

    def _judged(self, rows: pl.DataFrame, checks: Sequence[RowCheck]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Rows and deletions that hold the contract, and the others."""
        good, bad, _ = contracts.split(rows.filter(~rows[DELETED]), checks)
        gone, refused = self._deletions(rows.filter(rows[DELETED]), checks)
        return pl.concat([good, gone]).sort(KNOWN_AT), pl.concat([bad, refused])

    def _deletions(self, rows: pl.DataFrame, checks: Sequence[RowCheck]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Deletions whose key holds the contract, of whose other columns nothing is asked; and the others."""
        if not self.source.deletions:
            return rows.clear(), contracts.with_reasons(rows, [NOT_DELETABLE], [])
        return contracts.split(rows, [check for check in checks if check.column in ("", *self.source.key)])[:2]

    def release(self, waiting: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Of rows that waited those that refer to what has come, with what they are, and those that go on waiting."""
        there = pl.Series([not missing for missing in self._missing(waiting)], dtype=pl.Boolean)
        kinds = pl.Series(KIND, self.known.take(waiting.filter(there)), pl.Int8)
        released = waiting.filter(there).drop(REASONS, COLUMNS).with_columns(kinds)
        return self._new(released), waiting.filter(~there)

    def _sorted_out(self, good: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Rows that are new, rows that wait, and deletions of rows that nobody knows, as found."""
        waits = pl.Series(self._missing(good), dtype=pl.Boolean)
        waiting, rows = (good.filter(waits), good.filter(~waits)) if waits.any() else (good.clear(), good)
        kinds = self.known.take(rows)
        new = self._new(self._plain(rows).with_columns(pl.Series(KIND, kinds, pl.Int8)))
        of_no_row = rows.filter(pl.Series(kinds) == OF_NO_ROW) if OF_NO_ROW in kinds else rows.clear()
        if not of_no_row.is_empty():
            follows = of_no_row.select(self.source.key).hash_rows().is_in(list(self.waited))
            waiting = pl.concat([waiting, of_no_row.filter(follows)])
            of_no_row = contracts.with_reasons(of_no_row.filter(~follows), [ROW_UNKNOWN], self.source.key)
        return new, self._explained(self._plain(waiting)), of_no_row

    def _plain(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows without the values found, with their days."""
        return rows.select(*self.columns, pl.col(self.source.event_time).dt.date().alias(EVENT_DATE), CHANGED)

    def _new(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of rows, which bear KIND, that raw tables do not have; deletions say nothing but what is no more."""
        is_new = pl.col(KIND).is_in([NEW, VERSION, DELETION])
        new = rows.drop(CHANGED).filter(is_new)
        if not new[DELETED].any():
            return new
        others = [c.name for c in self.source.columns if c.name not in self.source.key]
        day = pl.when(DELETED).then(pl.col(KNOWN_AT).dt.date()).otherwise(EVENT_DATE).alias(EVENT_DATE)
        return new.with_columns(day, *(pl.when(~pl.col(DELETED)).then(name).alias(name) for name in others))

    def _explained(self, waiting: pl.DataFrame) -> pl.DataFrame:
        if not waiting.is_empty():
            self.waited.update(waiting.select(self.source.key).hash_rows())
        columns = list(self.referred)
        return contracts.with_reasons(waiting, [UNKNOWN + column for column in columns], columns)

    def _missing(self, rows: pl.DataFrame) -> list[bool]:
        """Whether each row refers to something that has not come."""
        missing = [False] * rows.height
        for column, target in self.referred.items():
            there = target.has(rows[column])
            is_null = rows[column].is_null().to_list()
            missing = [m or not (t or n) for m, t, n in zip(missing, there, is_null, strict=True)]
        return missing

    def _frame(self, decoded: Decoded, now: datetime) -> pl.DataFrame:
        """The messages in canonical columns, a row each, with the values found."""
        formats = value_formats(self.source, None, self.names)
        found, in_file = self._found(decoded.records, formats)
        # Two equal messages are one row: where a key is made of the rows of a file, each message is a file.
        has_made_keys = any(column.made_of for column in self.source.columns)
        files = tuple(DataFile(Path(f"{n}"), "json", ()) for n in range(found.height if has_made_keys else 1))
        number = pl.int_range(found.height, dtype=pl.UInt32) if has_made_keys else pl.lit(0, pl.UInt32)
        found = found.with_columns(number.alias(FILE))
        identifiers = [c.name for c in self.source.columns if c.kind == "identifier"]
        kinds = {c.name: str(c.kind) for c in self.source.columns}
        kinds |= {name: self.types.get(name, "integer") for name in identifiers}
        schema = FileSchema(kinds, (), in_file)
        inspected = Inspection(self.source, None, files, (found,), (schema,), formats, ())
        batch = read_batch(self.source, inspected, self.names, self.types, now)
        for name in identifiers:
            if name not in self.types and batch.frame[name].null_count() < batch.frame.height:
                self.decided[name] = batch.schema.columns[name]
        # A batch of nothing but other text is no reason to take a table of integers for one of text.
        held = [as_kind(batch.frame[name], kind).alias(name) for name, kind in self.types.items()]
        return batch.frame.with_columns(held)

    @property
    def columns(self) -> list[str]:
        """What rows have besides their days and what they are."""
        return [*(c.name for c in self.source.columns), KNOWN_AT, TOPIC, PARTITION, OFFSET, SCHEMA, DELETED]

    @property
    def types(self) -> dict[str, str]:
        """Types of the identifier columns, as far as they are known."""
        names = {column.name for column in self.source.columns}
        return {**{name: kind for name, kind in self.decided.items() if name in names}, **self.identifiers}

    def _found(self, records: pl.DataFrame, formats: Mapping[str, ValueFormat]) -> tuple[pl.DataFrame, dict[str, str]]:
        """Values as found, by declared column, whichever of its names messages have for it."""
        by_name: dict[str, list[str]] = {}
        for name in records.columns:
            by_name.setdefault(name.casefold(), []).append(name)
        found, in_file, used = [], {}, {LINE, MALFORMED}
        for column in self.source.columns:
            candidates = dict.fromkeys(
                filter(None, [self.names.of(self.source).get(column.name), column.name, *column.file_names])
            )
            present = [name for each in candidates for name in by_name.get(each.casefold(), ())]
            if present:
                values = records.select(pl.coalesce(present)).to_series()
                found.append(present_values(values, formats[column.name]).alias(FOUND + column.name))
                in_file[column.name] = present[0]
                used |= set(present)
        self.undeclared |= set(records.columns) - used
        return records.select(*found, LINE, MALFORMED), in_file


def envelope(messages: Sequence[Message], decoded: Decoded, stamps: Ints) -> list[pl.Series]:
    """Columns that say where messages are, and when they became known."""
    return [
        pl.Series(KNOWN_AT, stamps, pl.Int64).cast(UTC_TYPE),
        pl.Series(TOPIC, [message.topic for message in messages], pl.String),
        pl.Series(PARTITION, [message.partition for message in messages], pl.Int64),
        pl.Series(OFFSET, [message.offset for message in messages], pl.Int64),
        pl.Series(SCHEMA, decoded.schemas, pl.String),
    ]
