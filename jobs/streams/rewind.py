"""Setting a stream back: topics are read again from a moment on, and rows that are known count once as before."""

from __future__ import annotations

from datetime import datetime

from jobs.ingest import references
from jobs.lakehouse.envelope import POSITION
from jobs.lakehouse.tables import attach
from jobs.messages.connection import own_options, stream_of
from jobs.messages.position import Position
from jobs.messages.topics import Topics
from jobs.settings import Settings
from jobs.streams import control
from jobs.streams.landing import Landing
from jobs.streams.sources import places_at
from jobs.use_case import UseCase


def rewind(settings: Settings, use_case: UseCase, moment: datetime | None) -> list[Position]:
    """Let the next stream read all messages that were sent from a moment on; None: all that there are.

    Raises control.Taken while a stream runs, Invalid for a moment if messages do not say when they were sent.
    """
    url = stream_of(settings)
    sources = Topics.of(use_case, own_options(url)).sources
    lakehouse = attach(settings)
    with control.only_one(settings, use_case):
        found = places_at(url, list(sources), moment)
        for position in found:
            source = sources[position.topic]
            stamp = int(lakehouse.state(use_case.raw_table(source)).get(POSITION, {}).get("stamp", 0))
            identifiers = references.expected_identifiers(lakehouse, use_case, source)
            Landing(lakehouse, use_case, source).commit(identifiers, position, stamp)
    return found
