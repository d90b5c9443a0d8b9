"""Whether a load left a raw table that can be built on: no row vanished, few are in quarantine, and the source goes on.

What a single row has to hold is a contract (`jobs.ingest.contracts`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from itertools import pairwise

from jobs.checks.check import Check, Outcome
from jobs.ingest.load_memory import LoadResult
from jobs.ingest.raw_table import rows_per_day
from jobs.lakehouse.tables import Lakehouse
from jobs.times import end_of
from jobs.use_case import Source, UseCase

COMPARED_DAYS, GAP_FACTOR = timedelta(days=28), 2
"""A source may be silent for this many times its longest silence of the days before."""
ROWS_ACCOUNTED = Check(
    "rows_accounted",
    "Of every row that was read it is known what became of it: in the table, a repetition, in quarantine, not yet "
    "known, or of days that were not asked for.",
)
QUARANTINE_SHARE = Check(
    "quarantine_share", "No larger share of the rows read is in quarantine than the source declares as usual."
)
EVENTS_FRESH = Check(
    "events_fresh", "The newest event is no older than the source's silences so far explain.", severity="warning"
)
CHECKS = (ROWS_ACCOUNTED, QUARANTINE_SHARE, EVENTS_FRESH)


def judge(
    lakehouse: Lakehouse, use_case: UseCase, source: Source, loaded: LoadResult, as_of: datetime
) -> list[Outcome]:
    """The outcomes of CHECKS after a load."""
    days = rows_per_day(lakehouse, use_case.raw_table(source)) if source.daily else {}
    return [_accounted(loaded), _quarantine_share(source, loaded), _fresh(use_case, source, days, as_of)]


def _accounted(loaded: LoadResult) -> Outcome:
    if not loaded.rows_read:
        return ROWS_ACCOUNTED.not_judged("no file, or one without rows")
    return ROWS_ACCOUNTED.outcome(
        not loaded.unaccounted,
        f"to know what became of all {loaded.rows_read:,} rows",
        f"that of {abs(loaded.unaccounted):,} it is not known" if loaded.unaccounted else "just that",
        rows=loaded.rows_read, unaccounted=loaded.unaccounted, quarantined=loaded.rows_quarantined,
    )  # fmt: skip


def _quarantine_share(source: Source, loaded: LoadResult) -> Outcome:
    if not loaded.rows_read:
        return QUARANTINE_SHARE.not_judged("no file, or one without rows")
    share = loaded.rows_quarantined / loaded.rows_read
    return QUARANTINE_SHARE.outcome(
        share <= source.usual_quarantine,
        f"at most {source.usual_quarantine:.0%} of {loaded.rows_read:,} rows in quarantine",
        f"{loaded.rows_quarantined:,} ({share:.2%})",
        rows=loaded.rows_read, quarantined=loaded.rows_quarantined, share=share,
    )  # fmt: skip


def _fresh(use_case: UseCase, source: Source, days: Collection[date], as_of: datetime) -> Outcome:
    past = sorted(day for day in days if end_of(day) - timedelta(days=1) < as_of)
    if not past:
        return EVENTS_FRESH.not_judged("no rows by day yet" if source.daily else "the source does not bring rows daily")
    before = [day for day in past if past[-1] - day <= COMPARED_DAYS]
    silence = max((later - earlier for earlier, later in pairwise(before)), default=timedelta(0))
    allowed = max(use_case.features_fresh, GAP_FACTOR * silence)
    age = max(as_of - end_of(past[-1]), timedelta(0))
    hours = allowed / timedelta(hours=1)
    return EVENTS_FRESH.outcome(
        age <= allowed,
        f"rows of the {hours:.0f} hours before {as_of:%Y-%m-%d %H:%M} UTC",
        f"the newest of {past[-1]}",
        hours_since=age / timedelta(hours=1), hours_allowed=hours,
    )  # fmt: skip
