"""A stream of a home as its settings say: which topics, which format, and where what is computed goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobs.ingest import registered_inputs
from jobs.ingest.columns_file import ColumnsFile, columns_file
from jobs.lakehouse.tables import attach
from jobs.messages.connection import client_options, is_kafka, own_options, stream_of
from jobs.messages.dead_letters import DeadLetters
from jobs.messages.formats import decoder
from jobs.messages.position import Position
from jobs.messages.registry import Registry
from jobs.messages.topics import Topics
from jobs.settings import Settings
from jobs.streams import sources
from jobs.streams.decision_log_reader import DecisionLogReader
from jobs.streams.ends import Reader, Starter
from jobs.streams.held_versions import hold_versions
from jobs.streams.publishing import Publisher
from jobs.streams.rebuilding import Rebuilding
from jobs.streams.starting import open_stream, positions, start_features
from jobs.streams.stream import Stream
from jobs.use_case import UseCase


def open_of(
    settings: Settings,
    use_case: UseCase,
    rebuilding: Rebuilding | None = None,
    starter: Starter | None = None,
    reader_of: Callable[[Settings, Topics, Sequence[Position]], Reader] = sources.reader_of,
) -> Stream:
    """The stream of EVERGREEN_STREAM, from where it ended, with what was made beside tables of other declarations.

    starter: of features; None: this process computes them. Raises Invalid if that is not set or wrong.
    """
    url, lakehouse = stream_of(settings), attach(settings)
    own = own_options(url)
    registry = Registry(own["registry"]) if "registry" in own else None
    decode = decoder(own.get("format", "auto"), registry)
    topics = Topics.of(use_case, own)
    reader = reader_of(settings, topics, positions(lakehouse, topics))
    stream = open_stream(lakehouse, topics, reader, decode, names_of(settings, use_case))
    if isinstance(reader, DecisionLogReader):
        stream.clock.now = reader.now
    if registry is not None:
        hold_versions(stream, registry.schema)
    if is_kafka(url):
        stream.dead_letters = DeadLetters(client_options(url), use_case.name)
    if starter is not None:
        stream.starter = starter
    stream.publish = Publisher(lakehouse, use_case)
    start_features(stream, rebuilding=rebuilding)
    return stream


def names_of(settings: Settings, use_case: UseCase) -> ColumnsFile:
    """How the registered files name their columns, as messages may name them too."""
    inputs = registered_inputs.registered(settings, use_case)
    return ColumnsFile() if inputs is None else columns_file(inputs.columns, use_case)
