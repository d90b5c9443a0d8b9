"""The sensor asks for a run while the log goes beyond what was shipped of it, and for none otherwise."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from worlds import decided_world
from worlds.decided_world import decide, server, worker

from jobs.decisions.opened import log_file, shipped_file
from jobs.settings import Settings
from jobs.state_files import replace_json
from jobs.use_cases.fraud import FRAUD
from orchestration import shipping_sensor

pytestmark = pytest.mark.embedded


def tick(settings: Settings) -> dg.RunRequest | dg.SkipReason:
    [sensor] = shipping_sensor.build(settings, FRAUD, shipping_sensor.shipping_job(FRAUD))
    with dg.DagsterInstance.ephemeral() as instance:
        answer = sensor(dg.build_sensor_context(instance))
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_new_decisions_ask_for_a_run_and_shipped_ones_do_not(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    assert isinstance(tick(home), dg.SkipReason)
    world = decided_world.made(home, events=30, future=0)
    with server(world), worker(world) as one:
        decide(one, world.given())
    first = tick(home)
    assert isinstance(first, dg.RunRequest) and tick(home) == first
    replace_json(shipped_file(home, FRAUD), {"position": log_file(home, FRAUD).stat().st_size, "last": 0})
    assert isinstance(tick(home), dg.SkipReason)
    with server(world), worker(world) as one:
        decide(one, world.given())
    second = tick(home)
    assert isinstance(second, dg.RunRequest) and second.run_key != first.run_key
