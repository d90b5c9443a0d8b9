"""Messages of a topic that were refused as they break the contract, as the quarantine has them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from jobs.ingest import quarantine
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.place import Place
from jobs.messages.topics import Topics
from jobs.use_case import Source

DAY = timedelta(days=1)


def refused(lakehouse: Lakehouse, topics: Topics, source: Source, now: datetime) -> Counter[str]:
    """Reason -> messages that were refused in the last day. Those that wait for what they refer to are not refused."""
    table = quarantine.table_of(topics.use_case.raw_table(source))
    if not lakehouse.exists(table):
        return Counter()
    rows = lakehouse.to_arrow(table, columns=["reasons", "file"], filters=[("as_of", ">=", now - DAY)])
    of_topic = [row for row in rows.to_pylist() if _topic(row["file"]) == topics.topic(source)]
    return Counter(row["reasons"] for row in of_topic if not row["reasons"].startswith(quarantine.UNKNOWN))


def _topic(file: str) -> str | None:
    place = Place.parsed(file)
    return None if place is None else place.topic
