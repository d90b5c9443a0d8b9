"""The daemon of `evergreen ui` is killed when it has decided, and the next with the training that it launched: each is
done once, by the daemon after it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import SensorInstigatorData

from jobs import settings
from jobs.lakehouse import dbt_models, engine
from jobs.loopback import free_port
from jobs.retraining import decisions
from jobs.retraining.policy import Evidence
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration import run_command as runner
from orchestration.instance import PROCESS_TAG, open_instance
from orchestration.sensors import SECONDS

pytestmark = pytest.mark.servers
PATIENCE = 240
"""Seconds; a sensor ticks every minute."""
SENSORS = ("fraud_drift", "fraud_ground_truth", "fraud_performance")


@pytest.fixture
def home(tmp_path: Path, world: list[str]) -> Iterator[Settings]:
    """A home with input, and evidence that alarms: nobody has decided about it."""
    own = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    files = {name.removeprefix("--"): (Path(path),) for name, path in zip(world[::2], world[1::2], strict=True)}
    as_of = runner.registered(own, FRAUD, files, None).end
    evidence = Evidence(as_of, {"drift": 2.0}, (as_of - timedelta(days=1)).date(), {}, {"drift": ("tx_amount",)})
    decisions.record_evidence(own, FRAUD, evidence, datetime.now(UTC))
    dbt_models.manifest(own)  # its processes then need not parse
    yield own
    engine.stop(own)


@pytest.fixture
def daemon(home: Settings) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts webserver and daemon, in a process group of their own."""
    started = []
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("EVERGREEN_", "SPARK_", "DAGSTER_"))}

    def start() -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("evergreen")), "ui", "--port", str(free_port())]
        with (home.home / "ui.log").open("a") as log:
            started.append(
                subprocess.Popen(
                    command, env={**inherited, "EVERGREEN_HOME": str(home.home)}, stdout=log, stderr=log,
                    start_new_session=True, cwd=home.home,
                )
            )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """All of them, at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.5)


def at_once(happened: Callable[[], bool], what: str, database: Path) -> None:
    """Wait for something in a SQLite database, and notice it within milliseconds.

    Asked all the time, a database takes half a core from those who are waited for: it is asked once it was written, and
    for a second more, as a write is seen before it is done.
    """
    files = (database, Path(f"{database}-wal"))
    deadline, seen = time.monotonic() + PATIENCE, 0.0
    while True:
        written = max(map(written_at, files))
        if (written != seen or time.time() - written < 1) and happened():
            return
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        seen = written
        time.sleep(0.002)


def written_at(file: Path) -> float:
    """When a file was written last, 0 if there is none; what SQLite keeps beside a database comes and goes."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def launched(instance: dg.DagsterInstance) -> list[str]:
    """Run keys of what sensors started."""
    runs = instance.get_runs(RunsFilter())
    return [run.tags["dagster/run_key"] for run in runs if run.tags.get("dagster/sensor_name") in SENSORS]


def ticks(instance: dg.DagsterInstance) -> int:
    """Of the sensor that ticked least."""
    states = {state.name: state for state in instance.all_instigator_state() if state.name in SENSORS}
    counted = [len(instance.get_ticks(s.instigator_origin_id, s.selector_id)) for s in states.values()]
    return min(counted) if len(counted) == len(SENSORS) else 0


def let_a_minute_pass(instance: dg.DagsterInstance) -> None:
    """Every sensor is due at once, as the daemon goes by the time of its last tick."""
    for state in instance.all_instigator_state():
        data = state.instigator_data
        if isinstance(data, SensorInstigatorData):
            started, ended = data.last_tick_start_timestamp or 0.0, data.last_tick_timestamp or 0.0
            earlier: dict[str, Any] = {
                "last_tick_start_timestamp": started - SECONDS,
                "last_tick_timestamp": ended - SECONDS,
            }
            instance.update_instigator_state(state.with_data(data._replace(**earlier)))


def test_what_a_killed_daemon_decided_is_launched_once_and_a_killed_training_once_again(
    home: Settings, daemon: Callable[[], subprocess.Popen[bytes]]
) -> None:
    first = daemon()
    at_once(lambda: bool(decisions.rows(home, FRAUD)), "a sensor to decide", home.home / "ledger.sqlite")
    kill(first)
    instance = open_instance(home)
    let_a_minute_pass(instance)
    second = daemon()
    runs = home.dagster_home / "history" / "runs.db"
    at_once(lambda: any(PROCESS_TAG in run.tags for run in instance.get_runs()), "the decided training to run", runs)
    kill(second)
    [killed] = instance.get_runs()
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(killed.tags[PROCESS_TAG].partition("@")[0]), signal.SIGKILL)
    assert not killed.is_finished
    [row] = decisions.rows(home, FRAUD)
    key = f"fraud retraining {row.id} {row.digest[:16]}"
    assert launched(instance) == [key]
    let_a_minute_pass(instance)
    daemon()
    until(lambda: len(launched(instance)) == 2, "the training to be launched again")
    seen = ticks(instance)
    until(lambda: ticks(instance) > seen, "another tick of every sensor")
    assert decisions.rows(home, FRAUD) == [row]
    assert sorted(launched(instance)) == [key, f"{key} attempt 2"]
    ended = instance.get_run_by_id(killed.run_id)
    assert ended is not None and ended.status is DagsterRunStatus.FAILURE
