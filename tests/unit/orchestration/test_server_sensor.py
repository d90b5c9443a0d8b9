"""The sensor of a decision server remembers whether it answered."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from jobs.alerts import outbox
from jobs.loopback import free_port
from jobs.secret import Url
from jobs.settings import Settings
from orchestration import server_sensor


def test_a_silent_server_is_told_at_the_second_tick(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    sensor, cursor, said = server_sensor.build(home, Url(f"http://127.0.0.1:{free_port()}")), None, []
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(3):
            tick = sensor.evaluate_tick(dg.build_sensor_context(instance, cursor=cursor))
            cursor = tick.cursor
            said.append(tick.skip_message or "")
    assert said[0] == "the server does not answer" and all("did not at two looks" in each for each in said[1:])
    [alert] = outbox.recorded(home)
    assert (alert.alert.kind, alert.notifications) == ("server_down", 1)
