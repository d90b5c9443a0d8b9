"""Processes that run together end together, and their output goes to files without secrets."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from orchestration.services import ServiceEnded, Services

MODULE = """\
import subprocess, sys, time
print(sys.argv[1], flush=True)
if sys.argv[1] == "ends":
    sys.exit(3)
subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
"""


@pytest.fixture
def services(tmp_path: Path) -> Services:
    (tmp_path / "worker_of_test.py").write_text(MODULE)
    return Services(tmp_path / "logs", {"PYTHONPATH": str(tmp_path)})


def test_one_that_ends_is_named_and_the_others_end_too(services: Services, tmp_path: Path) -> None:
    with pytest.raises(ServiceEnded, match=r"second: expected it to run, found that it ended with status 3"):
        _run(services, "first runs", "second ends")
    assert _children() == []
    assert (tmp_path / "logs" / "second.log").read_text() == "ends\n"


def test_a_signal_ends_all(services: Services) -> None:
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    _run(services, "first runs", "second runs")
    timer.join()
    assert _children() == []


def test_logs_hold_no_secret(services: Services, tmp_path: Path) -> None:
    with pytest.raises(ServiceEnded):
        _run(services, "first postgresql://me:hunter2@host/x", "second ends")
    log = tmp_path / "logs" / "first.log"
    assert "hunter2" not in log.read_text() and log.stat().st_mode & 0o777 == 0o600


def _run(services: Services, *all_of_them: str) -> None:
    with services.ending():
        for each in all_of_them:
            name, what = each.split()
            services.start(name, "worker_of_test", (what,))
        services.wait()


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "worker_of_test" in child.cmdline()]
