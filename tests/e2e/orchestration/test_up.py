"""`evergreen up` runs everything in the foreground, says so in one block, and leaves nothing however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from dagster import DefaultScheduleStatus

from jobs import settings
from jobs.lakehouse import dbt_models
from jobs.loopback import free_port
from jobs.settings import ROOT
from jobs.streams import control
from jobs.streams.control import Heartbeat
from jobs.use_cases.catalog import USE_CASES
from jobs.use_cases.fraud import FRAUD
from orchestration.cli import main
from orchestration.definitions import build_definitions

pytestmark = pytest.mark.embedded

COMMAND = [sys.executable, "-c", "import sys; from orchestration.cli import main; sys.exit(main())"]
PATIENCE = 120
"""Seconds for what takes five on an idle machine."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    dbt_models.manifest(settings.load())  # its processes then need not parse
    return tmp_path / "home"


@pytest.fixture
def topics(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of topics, whose stream ran before."""
    (tmp_path / "topics").mkdir()
    monkeypatch.setenv("EVERGREEN_STREAM", f"files://{tmp_path / 'topics'}")
    control.beat(settings.load(), FRAUD, Heartbeat(0.0, "1@0.00", "ended"))


@pytest.fixture
def up(home: Path) -> Iterator[tuple[subprocess.Popen[str], int, list[str]]]:
    port = free_port()
    process = subprocess.Popen(
        [*COMMAND, "up", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=home.parent, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    with process, process.stdout as output:
        yield process, port, [output.readline() for _ in range(6)]
        process.kill()


def test_it_serves_until_it_is_told_to_end(up: tuple[subprocess.Popen[str], int, list[str]], home: Path) -> None:
    process, port, block = up
    assert block[0] == f"Evergreen is up: {home}\n" and block[1] == f"Dagster  http://127.0.0.1:{port}\n", block
    for address in (f"http://127.0.0.1:{port}/server_info", f"{block[2].split()[1]}/health"):
        _answers(address)
    for command in ("up", "ui"):
        refused = CliRunner().invoke(main, [command, "--port", str(free_port())])
        assert refused.exit_code == 1 and f"of this home, found process {process.pid}; stop it first" in refused.output
    started = psutil.Process(process.pid).children(recursive=True)
    assert {"code", "webserver", "daemon", "docs", "mlflow"} == {log.stem for log in (home / "logs").glob("*.log")}
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert process.stdout is not None and process.stdout.read() == "Evergreen is down.\n"
    assert _left(started) == [] and not (home / "engine" / "server.json").exists()


@pytest.mark.usefixtures("topics")
def test_it_runs_streams_starts_them_again_and_ends_them(up: tuple[subprocess.Popen[str], int, list[str]]) -> None:
    process, _, block = up
    assert "Stream   fraud, started again whenever it ends\n" in block
    first = _running_stream("1@0.00")
    os.kill(int(first.partition("@")[0]), signal.SIGKILL)
    _running_stream(first)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    said = control.heartbeat(settings.load(), FRAUD)
    assert said is not None and said.condition == "ended"


def _running_stream(before: str) -> str:
    """The process of the stream that follows another."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        said = control.heartbeat(settings.load(), FRAUD)
        if said is not None and said.condition == "running" and said.process != before:
            return said.process
        time.sleep(0.1)
    raise AssertionError(f"expected a stream after {before}, found {said}")


def test_it_is_killed_and_leaves_nothing(up: tuple[subprocess.Popen[str], int, list[str]], home: Path) -> None:
    process, _, _ = up
    started = psutil.Process(process.pid).children(recursive=True)
    assert any("jobs.lakehouse.engine_server" in child.cmdline() for child in started)
    process.kill()
    process.wait()
    assert _left(started) == [] and not (home / "engine" / "server.json").exists()


def test_its_schedules_are_on_from_the_start(tmp_path: Path) -> None:
    for value, status in (("on", DefaultScheduleStatus.RUNNING), ("off", DefaultScheduleStatus.STOPPED)):
        own = settings.load({"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_SCHEDULES": value})
        definitions = build_definitions(settings=own)
        assert {definitions.resolve_schedule_def(f"{each.name}_nightly").default_status for each in USE_CASES} == {
            status
        }


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["up", "--port", str(port)])
    assert result.exit_code == 1
    assert result.output == f"Error: --port {port}: expected a free port, found it taken; choose another\n"


def _answers(address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert time.monotonic() < deadline, address
            time.sleep(0.5)


def _left(started: list[psutil.Process]) -> list[list[str]]:
    """Command lines of the processes that run on after a while."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and (running := [each for each in started if _runs(each)]):
        time.sleep(0.2)
    return [each.cmdline() for each in running]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
