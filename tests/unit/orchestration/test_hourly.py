"""The schedule of every hour asks for a run while decisions are made, and for none otherwise."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from worlds import decided_world
from worlds.decided_world import START, decide, server, worker

from assets.keys import Keys
from jobs.decisions.opened import log_file, shipped_file
from jobs.ingest import registered_inputs
from jobs.settings import Settings
from jobs.state_files import replace_json
from jobs.times import microseconds, moment_of
from jobs.use_cases.fraud import FRAUD
from orchestration import hourly
from orchestration.definitions import build_definitions

pytestmark = pytest.mark.embedded


def tick(settings: Settings, moment: datetime) -> dg.RunRequest | dg.SkipReason:
    [schedule] = hourly.build(settings, FRAUD, hourly.hourly_job(FRAUD))
    with dg.DagsterInstance.ephemeral() as instance:
        answer = schedule(dg.build_schedule_context(instance, scheduled_execution_time=moment))
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_hours_are_looked_at_while_decisions_are_made_and_two_days_after(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    assert isinstance(tick(home, START), dg.SkipReason)
    world = decided_world.made(home, events=30, future=0)
    with server(world), worker(world) as one:
        decide(one, world.given())
    first, second = tick(home, START), tick(home, START + timedelta(hours=1))
    assert isinstance(first, dg.RunRequest) and isinstance(second, dg.RunRequest)
    assert first.run_key != second.run_key and tick(home, START) == first
    # What was not shipped is, however old it is.
    assert isinstance(tick(home, START + timedelta(days=9)), dg.RunRequest)
    size = log_file(home, FRAUD).stat().st_size
    replace_json(shipped_file(home, FRAUD), {"position": size, "last": microseconds(START)})
    assert isinstance(tick(home, START + timedelta(hours=47)), dg.RunRequest)
    assert isinstance(tick(home, START + timedelta(hours=49)), dg.SkipReason)


def test_the_job_ships_before_it_looks(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    world = decided_world.made(home, events=30, future=0)
    with server(world), worker(world) as one:
        for _ in range(12):
            world.now += decided_world.SECOND
            decide(one, world.given())
    registered_inputs.register(home, FRAUD, registered_inputs.Inputs({}, START.date(), START.date()))
    now = moment_of(world.now) + timedelta(hours=1)
    job = build_definitions({"now": now}, home, [FRAUD]).resolve_job_def("fraud_online_drift")
    result = job.execute_in_process()
    made = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    keys = Keys(FRAUD)
    assert [each.asset_key for each in made] == [keys.online_decisions, keys.online_drift]
    assert made[0].metadata["rows_written"].value == made[1].metadata["decisions"].value == 12
    assert "fewer than 14 days" in str(made[1].metadata["notes"].value)
    assert all(check.passed for check in result.get_asset_check_evaluations())
