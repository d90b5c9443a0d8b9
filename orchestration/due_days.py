"""Which days the run of a night is for: the one that ended, and those before it that no run was for.

A machine that was off for a week makes all of it up in one run over its days, each with what was known at its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from assets.run_context import AS_OF_TAG
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration import fingerprint, partitions

HOUR = 2
"""Hour of the day (UTC) at which the schedule of a use case starts its run."""
RECENT_RUNS = 50
"""Runs among which the one that got furthest is looked up."""
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DueDays:
    """Days of one run, the first and the last included."""

    first: date
    last: date

    @property
    def missed(self) -> int:
        """How many nights before the last one made no run."""
        return (self.last - self.first).days

    def tags(self) -> dict[str, str]:
        """Tags of the run, by which assets and Dagster know its days."""
        first, last = self.first.isoformat(), self.last.isoformat()
        if not self.missed:
            return {PARTITION_NAME_TAG: last}
        return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}

    def __str__(self) -> str:
        return f"{self.first} to {self.last}" if self.missed else str(self.last)


def last_night(now: datetime) -> datetime:
    """The latest moment until now at which the schedule was due."""
    tonight = now.replace(hour=HOUR, minute=0, second=0, microsecond=0)
    return tonight if tonight <= now else tonight - A_DAY


def due(settings: Settings, use_case: UseCase, instance: dg.DagsterInstance, night: datetime) -> DueDays | None:
    """Days of the run of a night; None: a run was for every day that ended before it."""
    last = night.date() - A_DAY
    covered = covered_until(settings, use_case, instance)
    growing = partitions.alive(settings, use_case, last)
    # The day that ended may have got rows since an earlier run was for it.
    first = covered + A_DAY if covered and covered < last else last if covered else date.min
    found = DueDays(*partitions.between(settings, use_case, first, last))
    return found if growing or covered is None or found.last > covered else None


def covered_until(settings: Settings, use_case: UseCase, instance: dg.DagsterInstance) -> date | None:
    """The last day that a run of the lineage was for and that was over then; None: there was no run.

    A run that is under way counts; once it failed, the next night does its days.
    """
    runs = instance.get_runs(RunsFilter(job_name=f"{use_case.name}_lineage"), limit=RECENT_RUNS)
    done = [run.tags for run in runs if run.status is DagsterRunStatus.SUCCESS or not run.is_finished]
    days = [day for tags in done for day in _covered(tags)]
    if not days and "as_of" in (last := fingerprint.last(settings, use_case)):
        days = [_ended_before(datetime.fromisoformat(last["as_of"]))]
    return max(days, default=None)


def _covered(tags: Mapping[str, str]) -> Iterator[date]:
    last = tags.get(ASSET_PARTITION_RANGE_END_TAG) or tags.get(PARTITION_NAME_TAG)
    if last:
        day = date.fromisoformat(last)
        known = _ended_before(datetime.fromisoformat(tags[AS_OF_TAG])) if AS_OF_TAG in tags else day
        yield min(day, known)


def _ended_before(moment: datetime) -> date:
    return moment.astimezone(UTC).date() - A_DAY
