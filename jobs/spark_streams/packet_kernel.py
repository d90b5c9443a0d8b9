"""Facts of a bucket of entities, packet by packet, and the window features of the events among them.

A packet is a table of facts as bytes: events, and below them labels or facts of another source, with the columns of
`jobs.features.fact_frames.together` and GONE. How packets are made is `jobs.spark_streams.packets`; what is computed of
all facts of a bucket is the kernel's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO

import polars as pl
import pyarrow as pa

from jobs.windows import FACT_ID, WindowFeatures

GONE = "gone"
"""Column of facts: an entity has that event, or that label, no more from `known_at` on; nothing else is said."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def packed(rows: pl.DataFrame) -> bytes:
    """Rows as bytes."""
    buffer = BytesIO()
    rows.write_ipc(buffer, compression="lz4", compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def unpacked(packet: bytes) -> pl.DataFrame:
    """The rows of a packet."""
    return pl.read_ipc(BytesIO(packet))


@dataclass(frozen=True)
class Fold:
    """What a bucket makes of packets: the facts that it keeps, and the features of events that came."""

    features: WindowFeatures
    kernel: Callable[[pa.Table], pa.Table]
    """Of facts, as in `jobs.features.window_runs`."""

    def __call__(self, state: bytes | None, packets: Sequence[bytes], stamp: int) -> tuple[bytes, bytes | None]:
        """The facts to keep after packets, and the features of the events that are new in them; None: there are none.

        Args:
            state: what was kept after the packets before.
            stamp: that of the last fact, in microseconds since 1970: no event is decided before it any more.
        """
        came = pl.concat(map(unpacked, packets))
        facts = self._superseded(came.clear() if state is None else unpacked(state), came)
        return packed(self._kept(facts, stamp)), self._computed(facts)

    def _superseded(self, before: pl.DataFrame, came: pl.DataFrame) -> pl.DataFrame:
        """The facts, each up to what was known next of the same event, or of its label: of most nothing came."""
        # Targets that are no facts themselves have no id among those of facts.
        id = self.features.id if self.features.facts is None else FACT_ID
        ids = came.select(id).drop_nulls().unique()
        told = before.join(ids, on=id, how="semi")
        facts = pl.concat([told, came]).sort("known_at", maintain_order=True)
        following = pl.col("known_at").shift(-1).over(id, pl.col("is_target").is_null())
        ends = pl.when(pl.col(id).is_not_null()).then(following)
        facts = facts.with_columns(superseded_at=pl.min_horizontal("superseded_at", ends)).filter(~pl.col(GONE))
        return pl.concat([before.join(ids, on=id, how="anti"), facts])

    def _computed(self, facts: pl.DataFrame) -> bytes | None:
        keys = list(self.features.keys)
        asked = facts.filter("is_target").select(keys).unique()
        if asked.is_empty():
            return None
        theirs = facts.drop(GONE).join(asked, on=keys, how="semi", nulls_equal=True)
        return packed(pl.DataFrame(self.kernel(theirs.to_arrow(compat_level=pl.CompatLevel.oldest()))))

    def _kept(self, facts: pl.DataFrame, stamp: int) -> pl.DataFrame:
        """The facts that events of later stamps may count; none of them is a target any more."""
        if self.features.facts is not None:
            facts = facts.filter(pl.col("is_target").is_null())
        since = _EPOCH + timedelta(microseconds=stamp) - self.features.history
        is_target = pl.when(pl.col("is_target").is_not_null()).then(False)
        return facts.filter(pl.col(self.features.event_timestamp) >= since).with_columns(is_target=is_target)
