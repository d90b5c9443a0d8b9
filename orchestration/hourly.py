"""The schedule that looks at the last hour of the decision service, and ships its log first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.keys import Keys
from jobs.decisions import unshipped
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration.ticks import in_one_line

MINUTE = 3
"""Of each hour: what is on its way to the log has arrived."""


def hourly_job(use_case: UseCase) -> UnresolvedAssetJobDefinition:
    """Online decisions into the prediction log, then their drift."""
    keys = Keys(use_case)
    return dg.define_asset_job(
        f"{use_case.name}_online_drift",
        selection=dg.AssetSelection.assets(keys.online_decisions, keys.online_drift),
        tags={"use_case": use_case.name},
        description=f"Online decisions of {use_case.name} into the prediction log, and whether they are as usual.",
    )


def build(settings: Settings, use_case: UseCase, job: UnresolvedAssetJobDefinition) -> Sequence[dg.ScheduleDefinition]:
    """The schedule of a use case; none without a problem."""

    @dg.schedule(
        name=f"{use_case.name}_online_drift",
        job=job,
        cron_schedule=f"{MINUTE} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Each hour: ships what the service decided, and compares it with the same hours of days before.",
    )
    @in_one_line
    def online_drift(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        moment = context.scheduled_execution_time.astimezone(UTC)
        if not unshipped.decided_lately(settings, use_case, moment):
            return dg.SkipReason("no online decisions in the last days")
        return dg.RunRequest(run_key=f"{use_case.name} {moment:%Y-%m-%d %H}", tags={"use_case": use_case.name})

    return [online_drift] if use_case.learned is not None else []
