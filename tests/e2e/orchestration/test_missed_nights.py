"""A home that stood still for three nights: the run that the schedule asks for makes all of them up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster import DagsterRunStatus
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from worlds.old_home import LAST_NIGHT, USE_CASE, unpacked

from assets.run_context import AS_OF_TAG
from jobs.lakehouse import engine
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from orchestration.definitions import build_definitions
from orchestration.instance import open_instance
from orchestration.lineage_run import QUIET

pytestmark = pytest.mark.embedded

MISSED = [date(2026, 3, 31), date(2026, 4, 1), date(2026, 4, 2)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    own = unpacked(tmp_path)
    yield own
    engine.stop(own)


def test_one_run_does_the_days_of_all_missed_nights(home: Settings) -> None:
    definitions = build_definitions(settings=home, use_cases=(USE_CASE,))
    job, schedule = definitions.resolve_job_def("fraud_lineage"), definitions.resolve_schedule_def("fraud_nightly")
    with open_instance(home) as instance:
        before = {"dagster/partition": "2026-03-30", AS_OF_TAG: LAST_NIGHT.isoformat()}
        instance.add_run(dg.DagsterRun("fraud_lineage", status=DagsterRunStatus.SUCCESS, tags=before))
        [asked] = _tick(schedule, instance)
        assert asked.tags["evergreen/missed_nights"] == "2"
        run = instance.create_run_for_job(job, tags={**job.run_tags, **asked.tags}, run_config=QUIET)
        done = execute_run(InMemoryJob(job), run, instance)
        assert done.success, [event.message for event in done.all_events if event.is_failure]
        [again] = _tick(schedule, instance)
        # Dagster starts one run for a key; if somebody made it start another, that would do the last day only.
        assert again.run_key == asked.run_key and again.tags["dagster/partition"] == MISSED[-1].isoformat()
        materialized = instance.get_materialized_partitions(dg.AssetKey(["fraud", "serving", "batch_predictions"]))
    assert materialized == {day.isoformat() for day in MISSED}
    lakehouse = attach(home)
    events = pl.DataFrame(lakehouse.to_arrow("fraud.transactions")).filter(pl.col("superseded_at").is_null())
    scored = pl.DataFrame(lakehouse.to_arrow("fraud_serving.prediction_log")).filter(origin="nightly")
    for day in MISSED:
        assert scored.filter(event_date=day).height == events.filter(event_date=day).height > 0


def _tick(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    moment = datetime(2026, 4, 3, 2, tzinfo=UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=moment)
    return list(schedule.evaluate_tick(context).run_requests or [])
