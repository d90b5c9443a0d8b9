"""What reviewers said of events while they were fresh: `{use_case}_serving.live_verdicts`, a row per verdict.

The decision service takes them (`jobs.decisions.live_reviews`); `jobs.decisions.verdict_shipping` brings them here, and
`jobs.actions.live_verdict_files` to the labels.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring.prediction_log import TIME
from jobs.times import midnight
from jobs.use_case import UseCase

MOMENT, VERDICT, REVIEWER = "judged_at", "verdict", "reviewer"


class JudgedEvents(NamedTuple):
    """Events that need no further look."""

    ids: pa.Array
    """Of events that got a verdict, be it that nobody can say."""
    of_day: int
    """How many got one on the day."""


def table(use_case: UseCase) -> str:
    """Name of the table."""
    return f"{use_case.name}_serving.live_verdicts"


def schema(use_case: UseCase, id_type: pa.DataType) -> pa.Schema:
    """Its columns: the event, when the verdict became known, which it is, whose, and its UTC day."""
    return pa.schema({
        use_case.event_id: id_type, MOMENT: TIME, VERDICT: pa.string(), REVIEWER: pa.string(), PARTITION: pa.date32(),
    })  # fmt: skip


def since(lakehouse: Lakehouse, use_case: UseCase, day: date) -> pa.Table | None:
    """Verdicts of a day and of later ones, in their order; None if there never was one."""
    if not lakehouse.exists(table(use_case)):
        return None
    return lakehouse.to_arrow(table(use_case), filters=[(PARTITION, ">=", day)]).sort_by(MOMENT)


def judged(lakehouse: Lakehouse, use_case: UseCase, day: date, as_of: datetime) -> JudgedEvents:
    """What was known at a moment of verdicts about events of a day, or given on it."""
    found = since(lakehouse, use_case, day - timedelta(days=1))
    if found is None:
        return JudgedEvents(pa.array([], pa.int64()), 0)
    found = found.filter(pc.less_equal(found[MOMENT], pa.scalar(as_of, found[MOMENT].type)))
    begin, end = (pa.scalar(midnight(each), found[MOMENT].type) for each in (day, day + timedelta(days=1)))
    on_day = found.filter(pc.and_(pc.greater_equal(found[MOMENT], begin), pc.less(found[MOMENT], end)))
    ids = found[use_case.event_id].combine_chunks()
    return JudgedEvents(ids, pc.count_distinct(on_day[use_case.event_id]).as_py())
