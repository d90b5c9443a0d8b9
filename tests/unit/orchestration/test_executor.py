"""Runs that the UI or a schedule starts refuse a damaged home before their first step, as `evergreen run` does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from worlds.old_home import LAST_NIGHT, USE_CASE, unpacked

from jobs.alerts import outbox
from jobs.integrity import home_check, table_files
from jobs.processes import this_process
from jobs.settings import Settings
from orchestration import alert_sensors, executor
from orchestration.definitions import build_definitions
from orchestration.instance import PROCESS_TAG, from_configuration
from orchestration.run_queue import USE_CASE_TAG

pytestmark = pytest.mark.embedded
JOBS = ("fraud_lineage", "fraud_monitoring", "fraud_retraining", "__ASSET_JOB")
DAY = "2026-03-30"


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    own = unpacked(tmp_path_factory.mktemp("old"))
    next(Path(own.warehouse, "fraud", "transactions", f"event_date={DAY}").glob("*.parquet")).unlink()
    return own


@pytest.fixture(scope="module")
def instance(damaged: Settings) -> Iterator[dg.DagsterInstance]:
    with from_configuration(damaged) as found:
        yield found


@pytest.fixture(scope="module")
def definitions(damaged: Settings) -> dg.Definitions:
    return build_definitions(settings=damaged, use_cases=(USE_CASE,))


@pytest.mark.parametrize("name", JOBS)
def test_a_run_of_a_damaged_home_ends_before_its_first_step_in_one_line(
    damaged: Settings, instance: dg.DagsterInstance, definitions: dg.Definitions, name: str
) -> None:
    job = definitions.resolve_job_def(name)
    if name == "__ASSET_JOB":  # Materialize
        job = job.get_subset(asset_selection={dg.AssetKey(["fraud", "raw", "customers"])})
    run = instance.create_run_for_job(job, tags={"dagster/partition": DAY, **job.run_tags})
    result = execute_run(InMemoryJob(job), run, instance)
    started = [event for event in result.all_events if event.event_type_value == "STEP_START"]
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert not result.success and started == []
    assert failed.message is not None and "Traceback" not in str(result.all_events)
    assert "expected a file of" in failed.message and "evergreen repair table fraud.transactions" in failed.message
    alert_sensors.settle_job(instance, USE_CASE, damaged, run, LAST_NIGHT)
    assert "evergreen repair table fraud.transactions" in outbox.recorded(damaged)[-1].alert.message


@dg.op(name="nothing")
def nothing() -> None:
    """A step."""


@pytest.mark.parametrize(
    ("process", "looks"), [(this_process(), 0), ("1@2.00", 1), (None, 1)], ids=["this", "another", "none"]
)
def test_a_run_looks_for_damage_unless_the_command_that_made_it_has_in_this_process(
    damaged: Settings, monkeypatch: pytest.MonkeyPatch, process: str | None, looks: int
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(home_check, "refuse_damage", lambda lakehouse, use_case: looked.append(use_case.name))
    monkeypatch.setattr(table_files, "remember", lambda lakehouse, use_case: None)
    job = dg.GraphDefinition("alone", node_defs=[nothing]).to_job(executor_def=executor.build(damaged, (USE_CASE,)))
    tags = {USE_CASE_TAG: USE_CASE.name} | ({PROCESS_TAG: process} if process else {})
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(job, tags=tags)
        assert execute_run(InMemoryJob(job), run, instance).success
        ended = instance.get_run_by_id(run.run_id)
    assert len(looked) == looks
    assert ended is not None and ended.tags[PROCESS_TAG] == this_process()
