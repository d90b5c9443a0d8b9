"""The start of features where Spark may compute them: what queries stand on is made of tables, each time."""

from __future__ import annotations

from jobs.settings import Settings
from jobs.spark_streams import session
from jobs.spark_streams.features import SparkFeatures, SparkTables
from jobs.spark_streams.tail_publishing import TailPublisher
from jobs.streams import control
from jobs.streams.bootstrap import Bootstrap
from jobs.streams.ends import Starter
from jobs.streams.here import Here
from jobs.streams.rebuilding import Rebuilding
from jobs.streams.stream import Stream


def starter_of(settings: Settings) -> Starter:
    """What starts features as SPARK_REMOTE says: on Spark, or here, once no query on Spark goes on."""
    return OnSpark() if settings.spark_remote else HereAfterSpark()


class HereAfterSpark(Here):
    """Features are computed in this process, as nothing is left on Spark of the one before."""

    def ready(self, stream: Stream) -> None:
        """Raises Invalid if queries on Spark may add to what is stored."""
        session.end_left_over(stream.lakehouse.settings, stream.use_case)


class OnSpark:
    """Spark computes features."""

    def ready(self, stream: Stream) -> None:
        """End what adds to what is stored: queries of this process, and of one before. Raises EngineUnreachable."""
        stream.end_features("features start on Spark")
        session.end_left_over(stream.lakehouse.settings, stream.use_case)

    def start(self, stream: Stream, last: int) -> bool:
        """Let Spark compute features from here on; returns whether there is a stamp to start behind.

        Raises EngineUnreachable, and Invalid if features cannot be computed.

        Args:
            last: that stamp where no features are stored; 0: the last one of raw tables is.
        """
        lakehouse, use_case = stream.lakehouse, stream.use_case
        tables = SparkTables(lakehouse, use_case)
        if not (stored := tables.stored_or(last or stream.clock.last)):
            return False
        bootstrap = Bootstrap.of(lakehouse, use_case, stored)
        with session.errors():
            features = SparkFeatures(bootstrap, tables, stored, control.journal(lakehouse.settings, use_case))
        list(features.take(bootstrap.raw()))
        stream.compute(features, tables, bootstrap.versions)
        if stream.publish is not None:
            stream.publish = TailPublisher(lakehouse, use_case, bootstrap.start - 1)
        return True

    def go_on(self, stream: Stream, rebuilding: Rebuilding) -> None:
        """Go on behind what was made beside, and is in place by now."""
        rebuilding.close()
        self.start(stream, 0)
