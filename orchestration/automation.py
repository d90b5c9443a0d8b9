"""Jobs and schedules of a use case."""

from datetime import UTC

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.keys import Keys
from jobs.ingest import registered_inputs
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration.due_days import HOUR, due
from orchestration.instance import end_dead_runs
from orchestration.ticks import NO_DATA, in_one_line

ON = {"on": "RUNNING", "off": "STOPPED"}
MISSED_TAG = "evergreen/missed_nights"
"""Of a run that makes nights up: how many."""


def lineage_job(use_case: UseCase) -> UnresolvedAssetJobDefinition:
    """Everything of a use case in one process: no process, import or JVM start per step."""
    return dg.define_asset_job(
        f"{use_case.name}_lineage",
        selection=dg.AssetSelection.tag("use_case", use_case.name) - _feature_search(use_case),
        tags={"use_case": use_case.name},
        description=f"All of {use_case.name}, from raw data to predictions and what became of them.",
    )


def monitoring_job(use_case: UseCase) -> UnresolvedAssetJobDefinition:
    """New input, and the evidence about the champion that it leads to; no decision, training or prediction."""
    return dg.define_asset_job(
        f"{use_case.name}_monitoring",
        selection=_evidence(use_case),
        tags={"use_case": use_case.name},
        description=f"Raw data to the evidence about the champion of {use_case.name}.",
    )


def retraining_job(use_case: UseCase) -> UnresolvedAssetJobDefinition:
    """The training that was decided, on the tables that the decision rests on, up to the exported model."""
    keys = Keys(use_case)
    decision, rows = dg.AssetSelection.assets(keys.retraining), dg.AssetSelection.assets(keys.training_set)
    return dg.define_asset_job(
        f"{use_case.name}_retraining",
        selection=rows | (decision.downstream() & dg.AssetSelection.tag("use_case", use_case.name)),
        tags={"use_case": use_case.name},
        description=f"Decision to exported model of {use_case.name}.",
    )


def feature_search_job(use_case: UseCase) -> UnresolvedAssetJobDefinition:
    """A search for features, which a person launches."""
    return dg.define_asset_job(
        f"{use_case.name}_feature_search",
        selection=_feature_search(use_case),
        tags={"use_case": use_case.name},
        description=f"Search for features that would help {use_case.name}; `evergreen status` says if one is due.",
    )


def _feature_search(use_case: UseCase) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*([Keys(use_case).feature_search] if use_case.learned else []))


def _evidence(use_case: UseCase) -> dg.AssetSelection:
    evidence = dg.AssetSelection.assets(Keys(use_case).evidence)
    return evidence.upstream() & dg.AssetSelection.tag("use_case", use_case.name)


def nightly(settings: Settings, use_case: UseCase, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Each night the day that ended, and the days before it that no run was for: in one run."""
    name = f"{use_case.name}_nightly"

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=f"0 {HOUR} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus(ON[settings.schedules]),
        description=f"The day that ended, every night at {HOUR}:00 UTC, and the days of nights that were missed.",
    )
    @in_one_line
    def night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if registered_inputs.registered(settings, use_case) is None:
            return NO_DATA
        end_dead_runs(context.instance)
        moment = context.scheduled_execution_time.astimezone(UTC)
        days = due(settings, use_case, context.instance, moment)
        if days is None:
            return dg.SkipReason("the input is history, and an earlier run was for its last day")
        tags = days.tags() | {"use_case": use_case.name}
        if days.missed:
            tags[MISSED_TAG] = str(days.missed)
        return dg.RunRequest(run_key=f"{name} {moment:%Y-%m-%d}", tags=tags)

    return night
