"""Sensors that alert: about lateness, at every tick, and about runs of a use case that failed. When an alert is sent is
decided in `jobs.alerts.outbox`."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster_shared.record import copy

from assets.ingest import utc_now
from jobs.alerts import freshness as late
from jobs.alerts import outbox
from jobs.alerts.outbox import Alert
from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration import partitions, step_failures
from orchestration.run_queue import writes
from orchestration.ticks import NO_DATA, in_one_line

Now = Callable[[], datetime]
TICK_SECONDS = 300
"""Seconds between two ticks of the lateness sensor."""
RUN_FAILED = "run_failed"
"""Kind of the alerts about runs; the subject is the job."""
RECENT_RUNS = 100
"""Ended runs of one job, of every use case, among which the last is looked up."""
NAMED_ASSETS = 3
"""Chosen assets that an alert names."""


def build(use_case: UseCase, settings: Settings, now: Now = utc_now) -> list[dg.SensorDefinition]:
    """The sensors of a use case. They are on from the start, and send nothing without a fault."""
    return [lateness(use_case, settings, now), *run_outcomes(use_case, settings, now)]


def lateness(use_case: UseCase, settings: Settings, now: Now = utc_now) -> dg.SensorDefinition:
    """Alerts about late predictions and stale features. Each tick also delivers notifications that still wait."""

    @dg.sensor(
        name=f"{use_case.name}_lateness",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Alerts when predictions miss their deadline or features are stale (docs/operation/alerts.md).",
    )
    @in_one_line
    def look() -> dg.SkipReason:
        if registered_inputs.registered(settings, use_case) is None:
            # Notifications of other use cases, or of former input, may wait in a ledger.
            if settings.ledger_url or (settings.home / "ledger.sqlite").exists():
                outbox.flush(settings, now())
            return NO_DATA
        moment = now()
        alive = partitions.alive(settings, use_case, moment.date())
        # A history is never late; alerts from before its input became one are resolved.
        facts = late.read(attach(settings), use_case) if alive else late.FreshnessFacts()
        open_days = outbox.open_subjects(settings, use_case.name, late.PREDICTIONS)
        holding = {
            late.PREDICTIONS: late.late_predictions(use_case, facts, moment, open_days),
            late.FEATURES: late.stale_features(use_case, facts, moment),
        }
        for kind, alerts in holding.items():
            outbox.settle(settings, use_case.name, kind, alerts, moment)
        outbox.flush(settings, moment)
        messages = " ".join(alert.message for alerts in holding.values() for alert in alerts)
        return dg.SkipReason(messages or ("nothing is late" if alive else "the input is history, which is never late"))

    return look


def run_outcomes(use_case: UseCase, settings: Settings, now: Now = utc_now) -> list[dg.SensorDefinition]:
    """Alerts about a job whose last run failed, until one succeeds. Runs of `evergreen run` count as well."""

    @in_one_line
    def follow(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        if writes(run, use_case.name):
            settle_job(context.instance, use_case, settings, run, now())

    failed, resolved = "Alerts when a run failed (docs/operation/alerts.md).", "Resolves the alert about a failed job."
    return [
        _RunSensor(
            name=f"{use_case.name}_run_{outcome}",
            run_status=status,
            run_status_sensor_fn=follow,
            description=description,
            monitor_all_code_locations=True,  # a run of a shell belongs to none
            default_status=dg.DefaultSensorStatus.RUNNING,
        )
        for outcome, status, description in (
            ("failed", DagsterRunStatus.FAILURE, failed),
            ("succeeded", DagsterRunStatus.SUCCESS, resolved),
        )
    ]


class _RunSensor(dg.RunStatusSensorDefinition):
    """A sensor of ended runs whose ticks say in our words that there is none: Dagster says `an empty result`."""

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> Any:
        """Look for runs that ended since the last tick."""
        found = super().evaluate_tick(context)
        idle = (found.skip_message or "").startswith(("Sensor function returned an empty", f"Initiating {self.name}"))
        return copy(found, skip_message=f"no run {self.name.rsplit('_')[-1]} since the last tick") if idle else found


def settle_job(
    instance: dg.DagsterInstance, use_case: UseCase, settings: Settings, run: dg.DagsterRun, now: datetime
) -> None:
    """Alert if the last run of the same job failed; resolve the alert if it succeeded.

    Both sensors look up the last run, as each of them may lag behind the other. Runs of chosen assets (*Materialize*,
    backfills) are the same job if they chose the same assets.
    """
    job = _job(run)
    ended = RunsFilter(job_name=run.job_name, statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE])
    recent = instance.get_run_records(ended, limit=RECENT_RUNS)
    alike = [r for r in recent if writes(r.dagster_run, use_case.name) and _job(r.dagster_run) == job]
    last = max(alike, key=lambda run: run.end_time or 0, default=None)
    if last is None:
        return
    if last.dagster_run.status == DagsterRunStatus.FAILURE:
        outbox.send(settings, _failed(instance, use_case, job, last, now), now)
    else:
        outbox.resolve(settings, use_case.name, RUN_FAILED, job, now)


def _job(run: dg.DagsterRun) -> str:
    """What people call a run's work: its job, or the assets that were chosen for it."""
    if not run.job_name.startswith(IMPLICIT_ASSET_JOB_NAME):
        return run.job_name
    checks = {check.asset_key for check in run.asset_check_selection or ()}
    names = sorted(key.to_user_string() for key in checks | (run.asset_selection or set()))
    more = f" and {len(names) - NAMED_ASSETS} more" if len(names) > NAMED_ASSETS else ""
    return (", ".join(names[:NAMED_ASSETS]) or "all assets") + more


def _failed(instance: dg.DagsterInstance, use_case: UseCase, job: str, last: RunRecord, now: datetime) -> Alert:
    run = last.dagster_run
    causes = {name: cause[:500] for name, cause in _causes(instance, run.run_id).items()}
    because = "; ".join(f"{step}: {cause}" for step, cause in list(causes.items())[:3]) or "no step failed"
    message = f"Run {run.run_id} of {job} was expected to succeed, but failed ({because}): mend that, and run it again."
    ended = datetime.fromtimestamp(last.end_time, UTC) if last.end_time else now
    evidence = {"run_id": run.run_id, "failed_steps": causes, "partition": run.tags.get("dagster/partition")}
    return Alert(use_case.name, RUN_FAILED, job, message, "error", ended, evidence)


def _causes(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """Step -> the innermost error's message."""
    causes: dict[str, str] = {}
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE):
        if entry.dagster_event is None:
            continue
        causes[entry.step_key or ""] = step_failures.cause(entry.dagster_event.step_failure_data)
    return causes
