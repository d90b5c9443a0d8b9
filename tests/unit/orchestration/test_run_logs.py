"""Logs of old runs are removed; runs, and what they did to assets, stay. In SQLite and in a real PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from jobs.secret import Url
from jobs.settings import Settings
from orchestration import run_logs
from orchestration.instance import open_instance

pytestmark = pytest.mark.embedded
LATER = datetime.now(UTC) + timedelta(days=2)


@dg.asset(check_specs=[dg.AssetCheckSpec("good", asset="table")])
def table(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    context.log.info("a line of the log")
    yield dg.MaterializeResult(
        metadata={"rows": 3}, check_results=[dg.AssetCheckResult(passed=True, check_name="good")]
    )


@dg.asset
def broken() -> None:
    raise ValueError("as usual")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    settings = Settings(tmp_path / "home")
    if request.param == "postgresql":
        settings = replace(settings, dagster_url=Url(request.getfixturevalue("database")))
    with open_instance(settings) as instance:
        yield instance


def test_logs_go_and_what_was_done_stays(instance: dg.DagsterInstance) -> None:
    done = dg.materialize([table], instance=instance).run_id
    failed = dg.materialize([broken], instance=instance, raise_on_error=False).run_id
    assert any("a line of the log" in entry.message for entry in instance.all_logs(done))
    assert run_logs.remove(instance, datetime.now(UTC) - timedelta(days=90)) == 0
    assert len(instance.all_logs(done)) > 10
    assert run_logs.remove(instance, LATER) == 2
    assert not any("a line of the log" in entry.message for entry in instance.all_logs(done))
    assert not any(Path(instance.storage_directory()).rglob("*.out"))
    event = instance.get_latest_materialization_event(dg.AssetKey("table"))
    assert event is not None and event.run_id == done
    check = dg.AssetCheckKey(dg.AssetKey("table"), "good")
    [latest] = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    assert latest.run_id == done and latest.event is not None
    assert {run.run_id: run.status.value for run in instance.get_runs()} == {done: "SUCCESS", failed: "FAILURE"}


def test_a_run_that_is_under_way_keeps_its_log_and_nothing_is_removed_twice(instance: dg.DagsterInstance) -> None:
    dg.materialize([table], instance=instance)
    job = dg.Definitions(assets=[broken]).resolve_implicit_global_asset_job_def()
    under_way = instance.create_run_for_job(job)
    instance.report_engine_event("it goes on", under_way)
    assert (run_logs.remove(instance, LATER), run_logs.remove(instance, LATER)) == (1, 0)
    assert "it goes on" in [entry.message for entry in instance.all_logs(under_way.run_id)]


def test_of_observations_the_last_of_each_asset_stays(instance: dg.DagsterInstance) -> None:
    for number in range(3):
        for topic in ("one", "two"):
            instance.report_runless_asset_event(dg.AssetObservation(topic, metadata={"lag": number}))
    assert run_logs.remove_observations(instance, datetime.now(UTC) - timedelta(days=1)) == 0
    assert [run_logs.remove_observations(instance, LATER) for _ in range(2)] == [4, 0]
    for topic in ("one", "two"):
        [left] = instance.fetch_observations(dg.AssetKey(topic), limit=9).records
        assert left.asset_observation is not None and left.asset_observation.metadata["lag"].value == 2
    assert len(instance.all_logs("")) == 2
