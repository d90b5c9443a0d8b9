"""`evergreen up` runs everything in the foreground, says so in one block, and leaves nothing when it is told to end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from dagster import DefaultScheduleStatus

from jobs import settings
from jobs.settings import ROOT
from jobs.use_cases.catalog import USE_CASES
from orchestration.cli import main
from orchestration.definitions import build_definitions

pytestmark = pytest.mark.embedded

COMMAND = [sys.executable, "-c", "import sys; from orchestration.cli import main; sys.exit(main())"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def up(home: Path) -> Iterator[tuple[subprocess.Popen[str], int, list[str]]]:
    port = _free_port()
    process = subprocess.Popen(
        [*COMMAND, "up", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=home.parent, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    with process, process.stdout as output:
        yield process, port, [output.readline() for _ in range(5)]
        process.kill()


def test_it_serves_until_it_is_told_to_end(up: tuple[subprocess.Popen[str], int, list[str]], home: Path) -> None:
    process, port, block = up
    assert block[0] == f"Evergreen is up: http://127.0.0.1:{port}\n" and str(home) in block[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info") as answer:
        assert answer.status == 200
    refused = CliRunner().invoke(main, ["up", "--port", str(_free_port())])
    assert refused.exit_code == 1 and "expected no `evergreen up` of this home, found one" in refused.output
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert process.stdout is not None and process.stdout.read() == "Evergreen is down.\n"
    assert psutil.wait_procs(started, 10)[1] == []
    assert not (home / "engine" / "server.json").exists()


def test_its_schedules_are_on_from_the_start(tmp_path: Path) -> None:
    for value, status in (("on", DefaultScheduleStatus.RUNNING), ("off", DefaultScheduleStatus.STOPPED)):
        own = settings.load({"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_SCHEDULES": value})
        definitions = build_definitions(settings=own)
        assert {definitions.resolve_schedule_def(f"{each.name}_nightly").default_status for each in USE_CASES} == {
            status
        }


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["up", "--port", str(port)])
    assert result.exit_code == 1
    assert result.output == f"Error: --port {port}: expected a free port, found it taken; name another one\n"
