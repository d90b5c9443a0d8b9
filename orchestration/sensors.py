"""What drives continuous training between two nights: sensors on ground truth, drift and performance.

A sensor measures nothing: runs leave evidence in the ledger, and every sensor asks the same policy about it
(`jobs.retraining.decide`). What was asked and answered is in the ledger and not in a cursor, so that a tick that was
killed is made up for by the next one; run keys carry the versions of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.times import AS_OF_TAG, WHOLE_INPUT_TAG
from jobs import inputs, retraining, watch
from jobs.lakehouse import attach
from jobs.retrain_policy import Evidence
from jobs.retraining import Row
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration import partitions

SECONDS = 60
ENOUGH = 10
"""New reports that are worth looking at the evidence again."""
KINDS = {"drift": ("drift",), "performance": ("concept", "performance")}
"""Sensor -> alarms of the evidence that it is there for."""
Answer = Iterator[dg.RunRequest | dg.SkipReason]


def build(
    settings: Settings,
    use_case: UseCase,
    monitoring: UnresolvedAssetJobDefinition,
    training: UnresolvedAssetJobDefinition,
) -> list[dg.SensorDefinition]:
    """Sensors of a use case; none without a problem."""
    if use_case.problem is None:
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

    def answer(self, digest: str, by: str) -> dg.RunRequest | dg.SkipReason:
        """What the policy says about the evidence. Whoever decided launches: a run key is unique within a sensor only;
        the one on ground truth launches for runs that died."""
        row = retraining.decide(self.settings, self.use_case, digest, by, datetime.now(UTC))
        sensors = {name(self.use_case, kind) for kind in KINDS}
        mine = row.by == by or (by not in sensors and row.by not in sensors)
        if not row.open or not mine:
            return _told(row)
        key = f"{self.use_case.name} retraining {row.id} {row.digest[:16]}"
        return self.request(self.training, key, row.decision.as_of)

    def renewed(self, evidence: Evidence) -> dg.RunRequest | None:
        """A run that looks again, if enough reports came in since the evidence."""
        lakehouse = attach(self.settings)
        versions = watch.report_versions(lakehouse, self.use_case)
        came = sum(watch.rows_since(lakehouse, table, evidence.versions.get(table)) for table in versions)
        if came < ENOUGH:
            return None
        as_of = min(inputs.ensure(self.settings, self.use_case).end, datetime.now(UTC))
        key = " ".join(f"{table}@{version}" for table, version in sorted(versions.items()))
        return self.request(self.monitoring, f"{self.use_case.name} evidence of {key}", as_of)

    def request(self, job: UnresolvedAssetJobDefinition, key: str, as_of: datetime) -> dg.RunRequest:
        """A run of the moment, recorded for the last day that it knows and that is over; what comes in may be older."""
        last = (as_of - timedelta(microseconds=1)).date().isoformat()
        last = min(last, partitions.daily(self.settings, self.use_case).get_last_partition_key() or last)
        tags = {AS_OF_TAG: as_of.isoformat(), WHOLE_INPUT_TAG: "true", "use_case": self.use_case.name}
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
        description="New reports: has the evidence renewed, and asks the policy about evidence nobody decided about.",
    )
    def ground_truth() -> Answer:
        kept = retraining.latest(loop.settings, loop.use_case)
        if kept is None:
            yield dg.SkipReason("no evidence yet: the first run of the lineage keeps some")
        else:
            yield loop.renewed(kept[1]) or loop.answer(kept[0], own)

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
    def alarm() -> Answer:
        kept = retraining.latest(loop.settings, loop.use_case)
        if kept is None or not set(kept[1].alarms) & set(tests):
            yield dg.SkipReason("no alarm in the latest evidence" if kept else "no evidence yet")
        else:
            yield loop.answer(kept[0], own)

    return alarm


def _told(row: Row) -> dg.SkipReason:
    decided = f"decided by {row.by} as of {row.decision.as_of:%Y-%m-%d %H:%M}"
    return dg.SkipReason(f"{decided}: {row.decision.reason}" + (f"; {row.said}" if row.said else ""))
