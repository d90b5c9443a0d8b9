"""A process is known again by number and start, whatever happens to numbers and clocks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jobs import processes
from jobs.lakehouse.engine_process import EngineProcess
from jobs.secret import Secret


def test_this_process_is_alive() -> None:
    assert processes.is_alive(processes.this_process())


def test_another_start_is_another_process() -> None:
    pid, _, start = processes.this_process().partition("@")
    assert not processes.is_alive(f"{pid}@{float(start) + 0.01:.2f}")


@pytest.mark.parametrize("text", ["", "@", "1", "x@1", "-1@0.00"])
def test_what_is_no_process_is_not_alive(text: str) -> None:
    assert not processes.is_alive(text)


def test_a_process_that_ended_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    known = f"{child.pid}@{processes.start_of(child.pid):.2f}"
    assert processes.is_alive(known)
    child.kill()
    child.wait()
    assert not processes.is_alive(known)


def test_a_clock_that_is_set_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    known, engine = (
        processes.this_process(),
        EngineProcess(os.getpid(), processes.start_of(os.getpid()), 1, "", Secret(""), Path()),
    )
    created, booted = psutil.Process().create_time(), psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600)
    assert psutil.Process().create_time() == pytest.approx(created + 3600)
    assert processes.is_alive(known)
    assert engine.condition() == "runs"
