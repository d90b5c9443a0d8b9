"""Processes that run together end together, however the one that started them ends; their logs hold no secrets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jobs.settings import ROOT
from orchestration import process_family, services
from orchestration.services import ServiceEnded, Services

MODULE = """\
import signal, subprocess, sys, time
stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
print(sys.argv[1], flush=True)
if sys.argv[1] == "ends":
    sys.exit(3)
if sys.argv[1] == "prints":
    for _ in range(300):
        print("x" * 100)
elsewhere = [sys.executable, "-c", "import signal, time; " + stubborn + "print(1, flush=True); time.sleep(600)"]
started = subprocess.Popen(elsewhere, start_new_session=True, stdout=subprocess.PIPE)
started.stdout.readline()
print("started another", flush=True)
time.sleep(600)
"""
MAIN = """\
import sys
from pathlib import Path
from orchestration.services import Services
log = Path("logs/first.log")
services = Services(log.parent, {"PYTHONPATH": sys.argv[1]})
with services.ending() as scratch:
    print(scratch, flush=True)
    services.start("first", "worker_of_test", ("runs",))
    services.wait_for(lambda: log.exists() and "another" in log.read_text(), "first", 60)
    print(services._family, flush=True)
    services.wait()
"""
PATIENCE = 60
"""Seconds for what takes two on an idle machine."""


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setattr(services, "GRACE_SECONDS", 1.0)
    (tmp_path / "worker_of_test.py").write_text(MODULE)
    return Services(tmp_path / "logs", {"PYTHONPATH": f"{tmp_path}:{ROOT}"})


def test_one_that_ends_is_named_and_the_others_end_too(running: Services, tmp_path: Path) -> None:
    with pytest.raises(ServiceEnded, match=r"second: expected it to run, found that it ended with status 3"):
        _run(running, "first runs", "second ends")
    assert process_family.members(running._family) == []
    assert (tmp_path / "logs" / "second.log").read_text() == "ends\n"


def test_one_that_is_kept_is_started_again_and_ends_with_the_others(running: Services, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "kept.log"
    timer = threading.Thread(target=_end_after, args=(lambda: _text(log).count("ends") >= 3,))
    with running.ending():
        running.keep("kept", "worker_of_test", ("ends",))
        timer.start()
        running.wait()
    timer.join()
    assert process_family.members(running._family) == []


def test_a_signal_ends_all(running: Services) -> None:
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    _run(running, "first runs", "second runs")
    timer.join()
    assert process_family.members(running._family) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_however_it_is_killed_nothing_that_it_started_is_left(running: Services, tmp_path: Path, number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, f"{tmp_path}:{ROOT}"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        scratch, family = Path(process.stdout.readline().strip()), process.stdout.readline().strip()
        assert scratch.is_dir()
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(process_family.members(family)) == 2 and len(children) == 3
        process.send_signal(number)
    deadline = time.monotonic() + PATIENCE
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline, [child.cmdline() for child in children if child.is_running()]
        time.sleep(0.1)
    assert process_family.members(family) == [] and not scratch.exists()


def test_logs_hold_no_secret_and_are_private(
    running: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "LOG_BYTES", 10_000)
    with pytest.raises(ServiceEnded):
        _run(running, "first postgresql://me:hunter2@host/x", "third prints", "second ends")
    assert "hunter2" not in (tmp_path / "logs" / "first.log").read_text()
    files = list((tmp_path / "logs").iterdir())
    assert len(files) > 3 and {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert all(file.stat().st_size <= 10_000 for file in files)


def _run(running: Services, *all_of_them: str) -> None:
    with running.ending():
        for each in all_of_them:
            name, what = each.split()
            running.start(name, "worker_of_test", (what,))
            if what != "ends":
                running.wait_for(lambda log=running._logs / f"{name}.log": "another" in _text(log), name, PATIENCE)  # type: ignore[misc]
        running.wait()


def _end_after(ready: Callable[[], bool]) -> None:
    """Tell this process to end once that holds."""
    deadline = time.monotonic() + PATIENCE
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ready()
    os.kill(os.getpid(), signal.SIGTERM)


def _text(log: Path) -> str:
    return log.read_text() if log.exists() else ""
