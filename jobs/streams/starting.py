"""Where a stream goes on: what raw tables say is known, how far topics are read, and what features stand on."""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl

from jobs.errors import Invalid
from jobs.ingest import references
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.parsing import UTC as UTC_TYPE
from jobs.ingest.readers import KNOWN_AT
from jobs.lakehouse.engine import EngineUnreachable
from jobs.lakehouse.envelope import DELETED, POSITION
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.message import Decoder
from jobs.messages.position import Position
from jobs.messages.topics import Topics
from jobs.streams import stored_features
from jobs.streams.clock import Clock
from jobs.streams.ends import Reader
from jobs.streams.here import Here
from jobs.streams.intake import Intake
from jobs.streams.known_rows import KnownRows
from jobs.streams.landing import Landing
from jobs.streams.rebuilding import Rebuilding
from jobs.streams.stream import Stream
from jobs.streams.waiting_rows import waiting_rows
from jobs.use_case import Source, UseCase


def positions(lakehouse: Lakehouse, topics: Topics) -> list[Position]:
    """How far the topics of all sources are read."""
    stored = {topic: _stored(lakehouse, topics.use_case, source) for topic, source in topics.sources.items()}
    return [Position.restored(topic, told) for topic, told in stored.items()]


def open_stream(lakehouse: Lakehouse, topics: Topics, reader: Reader, decode: Decoder, names: ColumnsFile) -> Stream:
    """A stream that goes on where the last commit of each raw table ended, without features (see `start_features`)."""
    use_case = topics.use_case
    known = {source.name: _known(lakehouse, use_case, source) for source in use_case.sources}
    intakes: dict[str, Intake] = {}
    decided: dict[str, str] = {}
    for source in use_case.sources:
        referred = {column: known[target.split(".")[0]] for column, target in source.references.items()}
        identifiers = references.expected_identifiers(lakehouse, use_case, source)
        intakes[source.name] = Intake(source, names, decode, known[source.name], identifiers, referred, decided)
    last = max([0, *(int(_stored(lakehouse, use_case, source).get("stamp", 0)) for source in use_case.sources)])
    landings = {source.name: Landing(lakehouse, use_case, source) for source in use_case.sources}
    waiting = {}
    for name, intake in intakes.items():
        if intake.referred and (rows := waiting_rows(lakehouse, landings[name].table, intake)) is not None:
            waiting[name] = rows
    return Stream(lakehouse, topics, reader, Clock(last), intakes, landings, waiting, Here())


def start_features(stream: Stream, last: int = 0, rebuilding: Rebuilding | None = None) -> None:
    """Compute features from here on, from what marts and raw tables have; a note says why not, if they cannot be.

    Args:
        last: the stamp behind which features begin where none was given yet; 0: that of the first message says it.
        rebuilding: what was made beside tables that are of other declarations, as far as it is; None: nothing.
    """
    lakehouse, use_case = stream.lakehouse, stream.use_case
    try:
        stream.starter.ready(stream)
        if stored_features.are_of_others(lakehouse, use_case):
            _start_rebuilt(stream, rebuilding or Rebuilding(lakehouse, use_case))
        elif not stream.starter.start(stream, last):
            stream.start = partial(start_features, stream)
    except (EngineUnreachable, Invalid) as error:
        stream.note = str(error)


def _start_rebuilt(stream: Stream, rebuilding: Rebuilding) -> None:
    rebuilding.finish()
    stream.starter.go_on(stream, rebuilding)
    if stream.publish is not None:
        stream.publish.anew()


def _known(lakehouse: Lakehouse, use_case: UseCase, source: Source) -> KnownRows:
    """The rows that the raw table has, whichever way they came."""
    columns = [column.name for column in source.columns]
    known, table = KnownRows(source.key, columns), use_case.raw_table(source)
    if lakehouse.exists(table):
        told = [KNOWN_AT, DELETED] if DELETED in lakehouse.schema(table).names else []
        rows = pl.DataFrame(lakehouse.to_arrow(table, columns=list(dict.fromkeys([*columns, *told]))))
        rows = rows.sort(KNOWN_AT) if told else rows
        known.take(rows.with_columns(pl.selectors.datetime().cast(UTC_TYPE)))
    return known


def _stored(lakehouse: Lakehouse, use_case: UseCase, source: Source) -> dict[str, Any]:
    found: dict[str, Any] = lakehouse.state(use_case.raw_table(source)).get(POSITION, {})
    return found
