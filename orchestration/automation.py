"""Jobs and schedules of a use case."""

import dagster as dg
from dagster._core.definitions.partitions.partitioned_schedule import UnresolvedPartitionedAssetScheduleDefinition
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.keys import Keys
from jobs.use_case import UseCase

HOUR = 2
"""Hour of the day (UTC) at which the schedule of a use case starts its run."""


def lineage_job(use_case: UseCase) -> UnresolvedAssetJobDefinition:
    """Everything of a use case in one process: no process, import or JVM start per step."""
    return dg.define_asset_job(
        f"{use_case.name}_lineage",
        selection=dg.AssetSelection.tag("use_case", use_case.name),
        tags={"use_case": use_case.name},
        description=f"Raw data to training set of {use_case.name}.",
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


def _evidence(use_case: UseCase) -> dg.AssetSelection:
    evidence = dg.AssetSelection.assets(Keys(use_case).evidence)
    return evidence.upstream() & dg.AssetSelection.tag("use_case", use_case.name)


def nightly(
    use_case: UseCase, job: UnresolvedAssetJobDefinition, on: bool
) -> UnresolvedPartitionedAssetScheduleDefinition | dg.ScheduleDefinition:
    """Each night, the day that ended."""
    return dg.build_schedule_from_partitioned_job(
        job,
        name=f"{use_case.name}_nightly",
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        hour_of_day=HOUR,
        description=f"The day that ended, every night at {HOUR}:00 UTC.",
    )
