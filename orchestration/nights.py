"""The last run of a use case's lineage and the next one by its schedule, as Dagster's storage knows them.

Only reads: what killed runs left behind is marked by the next command that runs something.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._daemon.types import DaemonHeartbeat

from assets.run_context import AS_OF_TAG
from jobs.processes import is_alive
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration.due_days import last_night
from orchestration.instance import PROCESS_TAG, from_configuration

SWITCHED_ON = (InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE)
"""By a person, or from the start (`evergreen up`)."""
DAEMON_SILENT = timedelta(minutes=2)
"""The daemon of Dagster tells every half a minute that it lives."""


@dataclass(frozen=True)
class LastRun:
    """The latest run of a lineage, by whomever it was started."""

    run_id: str
    status: str
    """Such as success, failure, started, queued; killed: its process is gone."""
    started_at: datetime | None
    ended_at: datetime | None
    as_of: datetime | None
    """The moment that the run was asked for; None: it was started for days."""


@dataclass(frozen=True)
class NextRun:
    """What keeps the schedule from starting its next run, or when it does."""

    scheduled: bool
    """The schedule is on."""
    daemon: bool
    """A daemon, which starts what is scheduled, is alive."""
    at: datetime
    """Moment of the next run, if both hold."""


def read(settings: Settings, use_case: UseCase, now: datetime) -> tuple[LastRun | None, NextRun]:
    """The latest run, None if there was none, and the next one by the schedule of a use case."""
    if not (settings.dagster_home / "dagster.yaml").exists():
        return None, NextRun(False, False, _next_night(now))
    with from_configuration(settings) as instance:
        return _last_run(instance, use_case), _next_run(instance, use_case, now)


def _last_run(instance: dg.DagsterInstance, use_case: UseCase) -> LastRun | None:
    records = instance.get_run_records(RunsFilter(job_name=f"{use_case.name}_lineage"), 1)
    if not records:
        return None
    [record] = records
    run = record.dagster_run
    started, ended = (_moment(seconds) for seconds in (record.start_time, record.end_time))
    return LastRun(run.run_id, _status(run), started, ended, _as_of(run))


def _next_run(instance: dg.DagsterInstance, use_case: UseCase, now: datetime) -> NextRun:
    states, name = instance.all_instigator_state(), f"{use_case.name}_nightly"
    scheduled = any(state.instigator_name == name and state.status in SWITCHED_ON for state in states)
    alive = any(_is_recent(beat, now) for beat in instance.get_daemon_heartbeats().values())
    return NextRun(scheduled, alive, _next_night(now))


def _next_night(now: datetime) -> datetime:
    return last_night(now) + timedelta(days=1)


def _status(run: dg.DagsterRun) -> str:
    process = run.tags.get(PROCESS_TAG)
    under_way = run.status in (DagsterRunStatus.STARTED, DagsterRunStatus.STARTING)
    return "killed" if under_way and process and not is_alive(process) else run.status.value.lower()


def _as_of(run: dg.DagsterRun) -> datetime | None:
    with contextlib.suppress(KeyError, ValueError):
        return datetime.fromisoformat(run.tags[AS_OF_TAG])
    return None


def _is_recent(heartbeat: DaemonHeartbeat, now: datetime) -> bool:
    return (
        heartbeat.daemon_type == "SCHEDULER" and now.timestamp() - heartbeat.timestamp < DAEMON_SILENT.total_seconds()
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
