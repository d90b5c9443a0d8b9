"""Sensors on ground truth, drift and performance: they drive continuous training between two nights.

A sensor measures nothing: runs record evidence in the ledger, and every sensor asks the same policy about it
(`jobs.retraining.decisions.decide`). Decisions are in the ledger and not in a cursor, so that the next tick repeats the
work of one that was killed; run keys contain the versions of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import RunsFilter
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.run_context import AS_OF_TAG, WHOLE_INPUT_TAG
from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import attach
from jobs.retraining import decisions, nightly_evidence
from jobs.retraining.decisions import RecordedDecision
from jobs.retraining.policy import Evidence
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration import partitions
from orchestration.instance import end_dead_runs
from orchestration.ticks import NO_DATA, in_one_line

SECONDS = 60
ATTEMPTS = 3
"""Largest number of runs of one training: each after the first follows one that was killed."""
REASON, STEP_FAILED = "dagster/failure_reason", "STEP_FAILURE"
ROW_TAG = "evergreen/retraining"
FEWEST_NEW_REPORTS = 10
"""Evidence is measured again once at least this many reports are new."""
KINDS = {"drift": ("drift",), "performance": ("concept", "performance")}
"""Sensor -> the alarms of the evidence that it reacts to."""
Answer = dg.RunRequest | dg.SkipReason


def build(
    settings: Settings,
    use_case: UseCase,
    monitoring: UnresolvedAssetJobDefinition,
    training: UnresolvedAssetJobDefinition,
) -> list[dg.SensorDefinition]:
    """Sensors of a use case; none without a problem."""
    if use_case.learned is None:
        return []
    loop = _Loop(settings, use_case, monitoring, training)
    return [_ground_truth(loop), *(_alarm(loop, kind, tests) for kind, tests in KINDS.items())]


@dataclass(frozen=True)
class _Loop:
    """A use case, and the jobs that its sensors launch."""

    settings: Settings
    use_case: UseCase
    monitoring: UnresolvedAssetJobDefinition
    training: UnresolvedAssetJobDefinition

    def empty(self) -> bool:
        """Whether the use case has no data, so that a sensor has nothing to look at, and touches nothing."""
        return registered_inputs.registered(self.settings, self.use_case) is None

    def undone(self, instance: dg.DagsterInstance, by: str) -> dg.RunRequest | dg.SkipReason | None:
        """The run of a training that was decided and is not done; None: there is none, or another sensor launches
        it."""
        end_dead_runs(instance)  # one of them may be the run of this training
        row = decisions.waiting(decisions.rows(self.settings, self.use_case), datetime.now(UTC))
        return self.launch(instance, row) if row is not None and self.launches(row, by) else None

    def answer(self, instance: dg.DagsterInstance, digest: str, by: str) -> dg.RunRequest | dg.SkipReason:
        """The policy's decision about the evidence, and the run that follows from it."""
        row = decisions.decide(self.settings, self.use_case, digest, by, datetime.now(UTC))
        return self.launch(instance, row) if row.open and self.launches(row, by) else _skipped(row)

    def launches(self, row: RecordedDecision, by: str) -> bool:
        """Whether sensor `by` launches a decision's training: the one that decided does, as a run key is unique within
        a sensor only. The sensor on ground truth launches for runs that died."""
        sensors = {name(self.use_case, kind) for kind in KINDS}
        return row.by == by or (by not in sensors and row.by not in sensors)

    def launch(self, instance: dg.DagsterInstance, row: RecordedDecision) -> dg.RunRequest | dg.SkipReason:
        """The run of a training; up to `ATTEMPTS` if runs were killed. A run that failed by itself is left to people,
        as it would fail again."""
        runs = instance.get_runs(RunsFilter(tags={ROW_TAG: str(row.id)}))
        if under_way := [run.run_id for run in runs if not run.is_finished]:
            return dg.SkipReason(f"the training of decision {row.id} is under way in run {under_way[0]}")
        if ended := [run.run_id for run in runs if run.is_success or run.tags.get(REASON) == STEP_FAILED]:
            return dg.SkipReason(f"the training of decision {row.id} left no result in run {ended[0]}; look at it")
        if len(runs) >= ATTEMPTS:
            return dg.SkipReason(f"the training of decision {row.id} was killed {len(runs)} times; look at its runs")
        key = f"{self.use_case.name} retraining {row.id} {row.digest[:16]}"
        key += f" attempt {len(runs) + 1}" if runs else ""
        return self.request(self.training, key, row.decision.as_of, {ROW_TAG: str(row.id)})

    def renewed(self, evidence: Evidence) -> dg.RunRequest | None:
        """A run that measures new evidence, if enough reports arrived since the last; None: not enough."""
        lakehouse = attach(self.settings)
        versions = nightly_evidence.report_versions(lakehouse, self.use_case)
        came = sum(nightly_evidence.rows_since(lakehouse, table, evidence.versions.get(table)) for table in versions)
        if came < FEWEST_NEW_REPORTS:
            return None
        as_of = min(registered_inputs.ensure(self.settings, self.use_case).end, datetime.now(UTC))
        key = " ".join(f"{table}@{version}" for table, version in sorted(versions.items()))
        return self.request(self.monitoring, f"{self.use_case.name} evidence of {key}", as_of)

    def request(
        self, job: UnresolvedAssetJobDefinition, key: str, as_of: datetime, more: Mapping[str, str] | None = None
    ) -> dg.RunRequest:
        """A run as of a moment, recorded for the last complete day before it; the data that it loads may be older."""
        last = partitions.last_until(self.settings, self.use_case, (as_of - timedelta(microseconds=1)).date())
        tags = {AS_OF_TAG: as_of.isoformat(), WHOLE_INPUT_TAG: "true", "use_case": self.use_case.name}
        tags |= more or {}
        return dg.RunRequest(run_key=key, job_name=job.name, partition_key=last, tags=tags)


def name(use_case: UseCase, kind: str) -> str:
    return f"{use_case.name}_{kind}"


def _ground_truth(loop: _Loop) -> dg.SensorDefinition:
    own = name(loop.use_case, "ground_truth")

    @dg.sensor(
        name=own,
        jobs=[loop.monitoring, loop.training],
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New reports: measures new evidence, and asks the policy about evidence without a decision.",
    )
    @in_one_line
    def ground_truth(context: dg.SensorEvaluationContext) -> Answer:
        if loop.empty():
            return NO_DATA
        latest = decisions.latest(loop.settings, loop.use_case)
        if undone := loop.undone(context.instance, own):
            return undone
        if latest is None:
            return dg.SkipReason("no evidence yet: the first run of the lineage records it")
        return loop.renewed(latest[1]) or loop.answer(context.instance, latest[0], own)

    return ground_truth


def _alarm(loop: _Loop, kind: str, tests: Sequence[str]) -> dg.SensorDefinition:
    own = name(loop.use_case, kind)

    @dg.sensor(
        name=own,
        job=loop.training,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Evidence that alarms ({', '.join(tests)}): asks the policy whether to train.",
    )
    @in_one_line
    def alarm(context: dg.SensorEvaluationContext) -> Answer:
        if loop.empty():
            return NO_DATA
        latest = decisions.latest(loop.settings, loop.use_case)
        if undone := loop.undone(context.instance, own):
            return undone
        if latest is None or not set(latest[1].alarms) & set(tests):
            return dg.SkipReason("no alarm in the latest evidence" if latest else "no evidence yet")
        return loop.answer(context.instance, latest[0], own)

    return alarm


def _skipped(row: RecordedDecision) -> dg.SkipReason:
    decided = f"decided by {row.by} as of {row.decision.as_of:%Y-%m-%d %H:%M}"
    return dg.SkipReason(f"{decided}: {row.decision.reason}" + (f"; {row.result}" if row.result else ""))
