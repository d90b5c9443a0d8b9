"""What drives continuous training between two nights: sensors on ground truth, drift and performance.

A sensor measures nothing: runs leave evidence in the ledger, and every sensor asks the same policy about it
(`jobs.retraining.decide`). What was asked and answered is in the ledger and not in a cursor, so that a tick that was
killed is made up for by the next one; run keys carry the versions of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.times import AS_OF_TAG, WHOLE_INPUT_TAG
from jobs import inputs, retraining, watch
from jobs.lakehouse import Lakehouse, attach
from jobs.retrain_policy import Evidence
from jobs.retraining import Row
from jobs.settings import Settings
from jobs.use_case import UseCase

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
    retraining_job: UnresolvedAssetJobDefinition,
) -> list[dg.SensorDefinition]:
    """Sensors of a use case; none without a problem."""
    if use_case.problem is None:
        return []
    alarms = [_alarm(settings, use_case, name, tests, retraining_job) for name, tests in KINDS.items()]
    return [_ground_truth(settings, use_case, monitoring, retraining_job), *alarms]


def _ground_truth(
    settings: Settings,
    use_case: UseCase,
    monitoring: UnresolvedAssetJobDefinition,
    retraining_job: UnresolvedAssetJobDefinition,
) -> dg.SensorDefinition:
    name = f"{use_case.name}_ground_truth"

    @dg.sensor(
        name=name,
        jobs=[monitoring, retraining_job],
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New reports: has the evidence renewed, and asks the policy about evidence nobody decided about.",
    )
    def ground_truth() -> Answer:
        lakehouse, kept = attach(settings), retraining.latest(settings, use_case)
        if kept is None:
            yield dg.SkipReason("no evidence yet: the first run of the lineage keeps some")
            return
        if (request := _renewed(lakehouse, use_case, kept[1], monitoring)) is not None:
            yield request
            return
        row = retraining.decide(settings, use_case, kept[0], name, datetime.now(UTC))
        yield _answer(use_case, row, retraining_job)

    return ground_truth


def _alarm(
    settings: Settings,
    use_case: UseCase,
    kind: str,
    tests: Sequence[str],
    retraining_job: UnresolvedAssetJobDefinition,
) -> dg.SensorDefinition:
    name = f"{use_case.name}_{kind}"

    @dg.sensor(
        name=name,
        job=retraining_job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Evidence that alarms ({', '.join(tests)}): asks the policy whether to train.",
    )
    def alarm() -> Answer:
        kept = retraining.latest(settings, use_case)
        alarms = [] if kept is None else [test for test in kept[1].alarms if test in tests]
        if kept is None or not alarms:
            yield dg.SkipReason("no alarm in the latest evidence" if kept else "no evidence yet")
            return
        row = retraining.decide(settings, use_case, kept[0], name, datetime.now(UTC))
        # Another one's decision is another one's to launch: a run key is unique within a sensor only.
        yield _answer(use_case, row, retraining_job) if row.by == name else _told(row)

    return alarm


def _renewed(
    lakehouse: Lakehouse, use_case: UseCase, evidence: Evidence, job: UnresolvedAssetJobDefinition
) -> dg.RunRequest | None:
    """A run that looks again, if enough reports came in since the evidence."""
    versions = watch.report_versions(lakehouse, use_case)
    came = sum(watch.rows_since(lakehouse, table, evidence.versions.get(table)) for table in versions)
    if came < ENOUGH:
        return None
    known = inputs.ensure(lakehouse.settings, use_case)
    as_of = min(known.end, datetime.now(UTC))
    key = " ".join(f"{table}@{version}" for table, version in sorted(versions.items()))
    return _request(use_case, job, f"{use_case.name} evidence of {key}", as_of)


def _answer(use_case: UseCase, row: Row, job: UnresolvedAssetJobDefinition) -> dg.RunRequest | dg.SkipReason:
    if not row.open:
        return _told(row)
    return _request(use_case, job, f"{use_case.name} retraining {row.id} {row.digest[:16]}", row.decision.as_of)


def _told(row: Row) -> dg.SkipReason:
    decided = f"decided by {row.by} as of {row.decision.as_of:%Y-%m-%d %H:%M}"
    return dg.SkipReason(f"{decided}: {row.decision.reason}" + (f"; {row.said}" if row.said else ""))


def _request(use_case: UseCase, job: UnresolvedAssetJobDefinition, key: str, as_of: datetime) -> dg.RunRequest:
    """A run of the moment, recorded for the last day that it knows; what that day brings may be older."""
    last = (as_of - timedelta(microseconds=1)).date().isoformat()
    tags = {AS_OF_TAG: as_of.isoformat(), WHOLE_INPUT_TAG: "true", "use_case": use_case.name}
    return dg.RunRequest(run_key=key, job_name=job.name, partition_key=last, tags=tags)
