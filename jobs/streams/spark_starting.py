"""The start of features that Spark computes: what queries stand on is made of tables, each time."""

from __future__ import annotations

from jobs.streams import control
from jobs.streams.bootstrap import Bootstrap
from jobs.streams.spark_features import SparkFeatures, SparkTables
from jobs.streams.stream import Stream
from jobs.streams.tail_publishing import TailPublisher


def start_on_spark(stream: Stream, last: int) -> bool:
    """Let Spark compute features from here on; returns whether there is a stamp to start behind.

    No query may add to what is stored. Raises EngineUnreachable, and Invalid if features cannot be computed.

    Args:
        last: that stamp where no features are stored; 0: the last one of raw tables is.
    """
    lakehouse, use_case = stream.lakehouse, stream.use_case
    tables = SparkTables(lakehouse, use_case)
    if not (stored := tables.stored_or(last or stream.clock.last)):
        return False
    bootstrap = Bootstrap.of(lakehouse, use_case, stored)
    features = SparkFeatures(bootstrap, tables, stored, control.journal(lakehouse.settings, use_case))
    list(features.take(bootstrap.raw()))
    stream.compute(features, tables, bootstrap.versions)
    if stream.publish is not None:
        stream.publish = TailPublisher(lakehouse, use_case, bootstrap.start - 1)
    return True
