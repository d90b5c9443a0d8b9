"""The start of features that this process computes, from what marts and raw tables have."""

from __future__ import annotations

from jobs.streams import control, stored_features
from jobs.streams.bootstrap import Bootstrap
from jobs.streams.feature_tables import FeatureTables
from jobs.streams.rebuilding import Rebuilding
from jobs.streams.stream import Stream


class Here:
    """Features are computed in this process."""

    def ready(self, stream: Stream) -> None:
        """Nobody else adds to what is stored."""

    def start(self, stream: Stream, last: int) -> bool:
        """Compute features from here on; returns whether there is a stamp to start behind.

        Raises Invalid if they cannot be computed.

        Args:
            last: that stamp where no features are stored; 0: the last one of raw tables is.
        """
        lakehouse, use_case = stream.lakehouse, stream.use_case
        tables = FeatureTables(lakehouse, use_case)
        if not (stored := tables.stored_or(last or stream.clock.last)):
            return False
        bootstrap = Bootstrap.of(lakehouse, use_case, stored)
        features = bootstrap.features(control.journal(lakehouse.settings, use_case))
        computed = list(features.take(bootstrap.raw()))
        for each in computed:
            tables.add(each)
        if stream.features is None:
            stored_features.remove_beside(lakehouse, use_case)  # what a death left that came to nothing
        stream.compute(features, tables, bootstrap.versions)
        # The one before may have died before it published them.
        if stream.publish is not None:
            stream.publish(computed)
        return True

    def go_on(self, stream: Stream, rebuilding: Rebuilding) -> None:
        """Go on with the state that made what was beside, and is in place by now."""
        stream.compute(rebuilding.features, rebuilding.tables, rebuilding.bootstrap.versions)
