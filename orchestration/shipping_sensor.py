"""The sensor that brings online decisions into the prediction log between two nights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.keys import Keys
from jobs.decisions import unshipped
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration.ticks import in_one_line

SECONDS = 300
Answer = dg.RunRequest | dg.SkipReason


def shipping_job(use_case: UseCase) -> UnresolvedAssetJobDefinition:
    """Online decisions, from the log of the service into the prediction log."""
    return dg.define_asset_job(
        f"{use_case.name}_online_decisions",
        selection=dg.AssetSelection.assets(Keys(use_case).online_decisions),
        tags={"use_case": use_case.name},
        description=f"Online decisions of {use_case.name}, into the prediction log.",
    )


def build(settings: Settings, use_case: UseCase, job: UnresolvedAssetJobDefinition) -> Sequence[dg.SensorDefinition]:
    """The sensor of a use case; none without a problem."""

    @dg.sensor(
        name=f"{use_case.name}_online_decisions",
        job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New decisions of the service: brings them into the prediction log.",
    )
    @in_one_line
    def online_decisions(context: dg.SensorEvaluationContext) -> Answer:
        position = unshipped.position(settings, use_case)
        if position is None:
            return dg.SkipReason("no online decisions that are not in the prediction log yet")
        tags: dict[str, Any] = {"use_case": use_case.name}
        return dg.RunRequest(run_key=f"{use_case.name} decisions up to {position}", tags=tags)

    return [online_decisions] if use_case.learned is not None else []
