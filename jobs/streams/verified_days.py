"""Which days of streamed features were verified, so that each look compares what came since the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow.compute as pc

from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.state_files import read_memory, replace_json
from jobs.streams import control
from jobs.streams.stored_features import stored_stamp
from jobs.streams.verify import Verified, verify
from jobs.times import moment_of
from jobs.use_case import UseCase

NAME = "verified.json"


@dataclass(frozen=True)
class Look:
    """Up to where streamed features were verified."""

    stamp: int = 0
    """Those of later stamps were not."""
    waiting: Sequence[str] = ()
    """Days of events that marts lacked then."""


def verify_new(lakehouse: Lakehouse, use_case: UseCase) -> Verified | None:
    """Verify what was streamed since the last look that found no difference; None if there is nothing."""
    file = control.folder(lakehouse.settings, use_case) / NAME
    last = read_memory(file, lambda stored: Look(**stored)) or Look()
    stamp, days = _since(lakehouse, use_case, last)
    if not days:
        return None
    found = verify(lakehouse, use_case, days)
    if not found.different and not found.of_others:
        replace_json(file, {"stamp": stamp, "waiting": sorted(map(str, found.waiting_days))})
    return found


def _since(lakehouse: Lakehouse, use_case: UseCase, last: Look) -> tuple[int, list[date]]:
    """The stamp up to which every table has features, and the days to look at."""
    tables = [use_case.stream_table(windows) for windows in use_case.windows]
    there = [table for table in tables if lakehouse.exists(table)]
    # Before the rows: what is stored meanwhile is looked at next time.
    stamp = min((stored_stamp(lakehouse, table) for table in there), default=0)
    days = {date.fromisoformat(day) for day in last.waiting}
    for table in there:
        later = [("created_timestamp", ">", moment_of(last.stamp))]
        days |= set(pc.unique(lakehouse.to_arrow(table, columns=[PARTITION], filters=later)[PARTITION]).to_pylist())
    return stamp, sorted(days)
