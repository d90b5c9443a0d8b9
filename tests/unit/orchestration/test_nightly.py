"""The schedule of a use case under Dagster's own scheduler and a clock: nights, missed ones, and none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.daemon import SchedulerDaemon  # noqa: F401  (imported first: the two import each other)
from dagster._scheduler.scheduler import launch_scheduled_runs

from assets.run_context import AS_OF_TAG
from jobs import settings
from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration import due_days
from orchestration.instance import open_instance

pytestmark = [
    pytest.mark.embedded,
    # Dagster asks itself for what it calls deprecated.
    pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning"),
]

TODAY = datetime.now(UTC).date()
FIRST = TODAY - timedelta(days=20)
SPAN = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def days(before: int) -> date:
    return TODAY - timedelta(days=before)


def night(before: int) -> datetime:
    """A minute after the schedule is due, some days ago."""
    return datetime.combine(days(before), time(due_days.HOUR, 1), UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with an input that grows, whose schedules are on."""
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERGREEN_SCHEDULES", "on")
    own = settings.load()
    registered_inputs.register(own, FRAUD, Inputs({"transactions": ("payments.parquet",)}, FIRST, days(7)))
    return own


@pytest.fixture
def instance(home: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(home) as instance:
        yield instance


@pytest.fixture
def scheduler(instance: dg.DagsterInstance) -> Iterator[Callable[[datetime], list[dg.DagsterRun]]]:
    """What Dagster's daemon does about schedules at a moment; returns the runs that it queued."""
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="orchestration.definitions"))
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget([origin])) as context:

        def look(now: datetime) -> list[dg.DagsterRun]:
            before = {run.run_id for run in instance.get_runs()}
            errors = [error for error in launch_scheduled_runs(context, logging.getLogger("test"), now, {}) if error]
            assert errors == []
            return [run for run in instance.get_runs() if run.run_id not in before]

        yield look


def ended(instance: dg.DagsterInstance, run: dg.DagsterRun, status: DagsterRunStatus) -> None:
    event = dg.DagsterEvent(
        event_type_value=f"PIPELINE_{status.value}" if status is not DagsterRunStatus.FAILURE else "PIPELINE_FAILURE",
        job_name=run.job_name,
    )
    instance.report_dagster_event(event, run.run_id, logging.INFO)


def test_missed_nights_are_made_up_once_and_in_one_run(
    scheduler: Callable[[datetime], list[dg.DagsterRun]], instance: dg.DagsterInstance
) -> None:
    assert scheduler(night(8) - timedelta(minutes=30)) == []
    [first] = scheduler(night(8))
    assert (first.job_name, first.tags["use_case"]) == ("fraud_lineage", "fraud")
    assert [first.tags[name] for name in SPAN] == [str(FIRST), str(days(9))]
    ended(instance, first, DagsterRunStatus.SUCCESS)
    [second] = scheduler(night(7))
    assert second.tags["dagster/partition"] == str(days(8)) and "evergreen/missed_nights" not in second.tags
    ended(instance, second, DagsterRunStatus.SUCCESS)
    # The machine is off for five nights.
    [made_up] = scheduler(night(1) + timedelta(hours=7))
    assert [made_up.tags[name] for name in SPAN] == [str(days(7)), str(days(2))]
    assert made_up.tags["evergreen/missed_nights"] == "5" and made_up.status is DagsterRunStatus.QUEUED
    assert scheduler(night(1) + timedelta(hours=8)) == []
    # It fails: the next night does its days as well.
    ended(instance, made_up, DagsterRunStatus.FAILURE)
    [last] = scheduler(night(0))
    assert [last.tags[name] for name in SPAN] == [str(days(7)), str(days(1))]


def test_a_night_that_can_do_nothing_says_so_in_one_line(
    home: Settings, instance: dg.DagsterInstance, scheduler: Callable[[datetime], list[dg.DagsterRun]]
) -> None:
    scheduler(night(5) - timedelta(minutes=30))
    (home.state / "fraud" / "inputs.json").write_text("[}")
    assert scheduler(night(5)) == []
    (home.state / "fraud" / "inputs.json").unlink()
    assert scheduler(night(4)) == []
    nothing, damaged = said(instance)
    assert nothing == "no input is registered yet: `evergreen run` does it"
    assert "inputs.json: expected what Evergreen wrote there, found no JSON" in damaged and "\n" not in damaged


def said(instance: dg.DagsterInstance) -> list[str]:
    """Why the ticks of the schedule did nothing."""
    [state] = [
        s for s in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE) if s.name == "fraud_nightly"
    ]
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
    assert not any(tick.error for tick in ticks)
    return [tick.skip_reason or "" for tick in ticks]


@pytest.mark.parametrize(
    ("tags", "covered"),
    [
        ({"dagster/partition": "2026-05-03"}, date(2026, 5, 3)),
        ({SPAN[0]: "2026-05-01", SPAN[1]: "2026-05-04"}, date(2026, 5, 4)),
        # `evergreen run` in the middle of a day is recorded for it, but the day was not over.
        ({SPAN[0]: "2026-05-01", SPAN[1]: "2026-05-04", AS_OF_TAG: "2026-05-04T12:00:00+00:00"}, date(2026, 5, 3)),
        ({SPAN[0]: "2026-05-01", SPAN[1]: "2026-05-04", AS_OF_TAG: "2026-05-05T00:00:00+00:00"}, date(2026, 5, 4)),
        ({}, None),
    ],
)
def test_a_run_is_for_the_days_that_were_over(tmp_path: Path, tags: dict[str, str], covered: date | None) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(dg.DagsterRun("fraud_lineage", status=DagsterRunStatus.SUCCESS, tags=tags))
        instance.add_run(dg.DagsterRun("fraud_lineage", status=DagsterRunStatus.FAILURE, tags={SPAN[1]: "2026-05-09"}))
        assert due_days.covered_until(Settings(tmp_path), FRAUD, instance) == covered


def test_a_history_has_a_last_night(tmp_path: Path) -> None:
    own = Settings(tmp_path)
    registered_inputs.register(own, FRAUD, Inputs({"transactions": ("p.parquet",)}, date(2018, 4, 1), date(2018, 4, 9)))
    with dg.DagsterInstance.ephemeral() as instance:
        found = due_days.due(own, FRAUD, instance, datetime(2026, 5, 4, 2, tzinfo=UTC))
        assert found is not None and (found.first, found.last) == (date(2018, 4, 1), date(2018, 4, 9))
        instance.add_run(dg.DagsterRun("fraud_lineage", status=DagsterRunStatus.SUCCESS, tags=found.tags()))
        assert due_days.due(own, FRAUD, instance, datetime(2026, 5, 5, 2, tzinfo=UTC)) is None
