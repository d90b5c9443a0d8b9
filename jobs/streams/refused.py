"""Messages of a topic that were refused as they break the contract, as the quarantine has them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from jobs.ingest import quarantine
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.topics import Topics
from jobs.use_case import Source

DAY = timedelta(days=1)


def refused(lakehouse: Lakehouse, topics: Topics, source: Source, now: datetime) -> Counter[str]:
    """Reason -> messages that were refused in the last day. Those that wait for what they refer to are not refused."""
    table = quarantine.table_of(topics.use_case.raw_table(source))
    if not lakehouse.exists(table):
        return Counter()
    rows = lakehouse.to_arrow(table, columns=["reasons", "file"], filters=[("as_of", ">=", now - DAY)])
    place = f"{topics.topic(source)}["
    return Counter(
        row["reasons"]
        for row in rows.to_pylist()
        if row["file"].startswith(place) and not row["reasons"].startswith(quarantine.UNKNOWN)
    )
