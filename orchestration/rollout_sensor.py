"""The sensor that carries rollouts out: it starts candidates that wait, and looks at those that go on.

A look reads the decision log and takes seconds at most, so that it needs no run; what a look changed is told to the
page of the asset.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

from assets import rollouts as rollout_asset
from jobs.alerts import outbox
from jobs.alerts import rollouts as rollout_alerts
from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.ledger import rollouts
from jobs.registry import model_versions
from jobs.registry.champion_bundles import Champions
from jobs.rollouts.conduct import By
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration.ticks import NO_DATA, in_one_line

if TYPE_CHECKING:
    from jobs.rollouts.rollout_logs import RolloutLogs

SECONDS = 30


def build(settings: Settings, use_case: UseCase) -> Sequence[dg.SensorDefinition]:
    """The sensor of a use case; none without a problem."""

    @functools.cache
    def kept() -> _Kept:
        from jobs.rollouts.rollout_logs import RolloutLogs

        return _Kept(attach(settings), RolloutLogs(settings, use_case))

    @dg.sensor(
        name=f"{use_case.name}_rollouts",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Brings models in beside the champion, step by step, and takes back what does harm.",
    )
    @in_one_line
    def carry_out(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if registered_inputs.registered(settings, use_case) is None:
            return NO_DATA
        return dg.SkipReason(_looked(kept(), use_case, context.instance, datetime.now(UTC)))

    return [carry_out] if use_case.learned is not None else []


class _Kept(NamedTuple):
    """What stays open from tick to tick, as a look needs only what is new."""

    lakehouse: Lakehouse
    logs: RolloutLogs


def _looked(kept: _Kept, use_case: UseCase, instance: dg.DagsterInstance, now: datetime) -> str:
    """What was done, in words."""
    from jobs.rollouts import steps, waiting

    lakehouse, settings = kept.lakehouse, kept.lakehouse.settings
    started, why = waiting.start_waiting(lakehouse, use_case, Champions(settings), By(steps.AUTOMATIC, now))
    before = {each.id: len(each.changes) for each in rollouts.of_use_case(settings, use_case.name, live=True)}
    if not before:
        return why
    looked = steps.step(lakehouse, use_case, model_versions, now, kept.logs)
    if started is not None or any(len(each.rollout.changes) != before.get(each.rollout.id) for each in looked):
        instance.report_runless_asset_event(rollout_asset.materialization(settings, use_case, looked))
    alerts = rollout_alerts.rolled_back(rollouts.of_use_case(settings, use_case.name), now)
    outbox.settle(settings, use_case.name, rollout_alerts.ROLLED_BACK, alerts, now)
    return "; ".join(f"{each.rollout.name}: {each.verdict.reason}" for each in looked)
