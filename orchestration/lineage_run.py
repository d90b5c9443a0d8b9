"""One run of a use case's whole lineage in this process, followed as it goes."""

import logging
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any, TextIO, cast

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from assets.run_context import AS_OF_TAG, WHOLE_INPUT_TAG
from jobs.processes import this_process
from jobs.settings import Settings, exported
from jobs.use_case import UseCase
from jobs.use_cases.catalog import USE_CASES
from orchestration import step_failures
from orchestration.definitions import build_definitions
from orchestration.event_log import BATCH_SIZE
from orchestration.instance import PROCESS_TAG, open_instance


@dataclass
class RunOutcome:
    """What a run did: seconds per step, metadata per asset, failed checks, and the errors that ended it."""

    run_id: str
    success: bool = False
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    """Of the errors that are bugs."""


def execute(
    settings: Settings,
    use_case: UseCase,
    as_of: datetime,
    days: tuple[date, date],
    use_cases: Sequence[UseCase] = USE_CASES,
    show: bool = True,
) -> RunOutcome:
    """Run the whole lineage of a use case as known at `as_of`, recorded for the partitions of `days`.

    Who calls this has removed leftovers and looked for damage: the run does not do it again.
    """
    job = build_definitions(settings=settings, use_cases=use_cases).resolve_job_def(f"{use_case.name}_lineage")
    outcome = RunOutcome(run_id=str(uuid.uuid4()))
    columns = (SpinnerColumn(), TextColumn("{task.description:<42}"), BarColumn(), MofNCompleteColumn())
    with open_instance(settings) as instance, Progress(*columns, TimeElapsedColumn(), disable=not show) as bar:
        task = bar.add_task("starting", total=len(job.nodes))
        instance.add_event_listener(outcome.run_id, partial(_follow, outcome, bar, task))
        began = time.monotonic()
        # A model that is up to date is not tested again, and its last tests hold: no reason for a warning per test.
        logging.getLogger("dagster._core.execution.plan.active").setLevel(logging.ERROR)
        with exported(DAGSTER_EVENT_BATCH_SIZE=str(BATCH_SIZE)), redirect_stderr(cast(TextIO, _Stderr(sys.stderr))):
            run = instance.create_run_for_job(
                job,
                run_id=outcome.run_id,
                run_config=QUIET,
                tags={**job.run_tags, **_tags(as_of, days)},
                remote_job_origin=RemoteJobOrigin(repository_origin=CODE_LOCATION, job_name=job.name),
            )
            result = execute_run(InMemoryJob(job), run, instance)
        outcome.success, outcome.seconds = result.success, time.monotonic() - began
        bar.update(task, description="done" if result.success else "stopped")
    return outcome


def _tags(as_of: datetime, days: tuple[date, date]) -> dict[str, str]:
    return {
        ASSET_PARTITION_RANGE_START_TAG: days[0].isoformat(),
        ASSET_PARTITION_RANGE_END_TAG: days[1].isoformat(),
        AS_OF_TAG: as_of.isoformat(),
        WHOLE_INPUT_TAG: "true",
        PROCESS_TAG: this_process(),
    }


def _follow(outcome: RunOutcome, bar: Progress, task: TaskID, entry: dg.EventLogEntry) -> None:
    _gather(outcome, entry)
    event = entry.dagster_event
    if event is not None and event.event_type == dg.DagsterEventType.STEP_START:
        bar.update(task, description=_readable(event.step_key or ""))
    elif event is not None and event.event_type in ENDED:
        bar.advance(task)


class _Stderr:
    """Stderr but for what Dagster writes there, with SQL, of an event that cannot be stored: the run says why."""

    def __init__(self, stderr: TextIO) -> None:
        self._stderr = stderr

    def write(self, text: str) -> int:
        return len(text) if text.startswith(UNSTORED) else self._stderr.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stderr, name)


UNSTORED = ("Exception while writing logger call", "Exception while storing event batch", "Falling back to storing")
CODE_LOCATION = RemoteRepositoryOrigin(
    code_location_origin=RegisteredCodeLocationOrigin(location_name="orchestration.definitions"),
    repository_name=SINGLETON_REPOSITORY_NAME,
)
"""Of `evergreen ui`: the UI shows a run with its job only if it comes from there."""
# The terminal shows progress and a summary; every event is in the UI.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
ENDED = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_SKIPPED}


def _gather(outcome: RunOutcome, entry: dg.EventLogEntry) -> None:
    event = entry.dagster_event
    if event is None:
        return
    if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
        outcome.steps[_readable(event.step_key or "")] = event.step_success_data.duration_ms / 1000
    elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
        outcome.errors.append(f"{_readable(event.step_key or '')}: {step_failures.cause(event.step_failure_data)}")
        outcome.tracebacks += filter(None, [step_failures.traceback(event.step_failure_data)])
    elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
        metadata = event.step_materialization_data.materialization.metadata
        outcome.assets["/".join(event.asset_key.path)] = {name: value.value for name, value in metadata.items()}
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed:
            outcome.failed_checks.append(f"{'/'.join(check.asset_key.path)} {check.check_name}: {check.description}")


def _readable(step: str) -> str:
    return step.replace("__", "/")
