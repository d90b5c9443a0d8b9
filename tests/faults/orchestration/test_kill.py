"""Runs whose engine is killed or stopped, and two runs at once: what stays is what a clean run makes."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from worlds.draws import drawn

from jobs.settings import Settings
from orchestration.error_boundary import NOBODY

Command = Callable[..., "subprocess.Popen[str]"]
Rows = Mapping[str, list[tuple[Any, ...]]]

# In the order in which a run makes them.
TABLES = (
    "fraud_raw/transactions", "fraud_staging/transactions", "fraud/transactions", "fraud/labels",
    "fraud_features/customer_windows", "fraud_features/training_set",
)  # fmt: skip


@pytest.mark.timeout(900)
def test_a_run_whose_engine_ends_or_stands_still_goes_on_with_another(
    home: Settings, evergreen: Command, world: list[str], clean: Rows, tables: Callable[..., Rows]
) -> None:
    draw = drawn("engine of a run")
    number, point = draw.choice((signal.SIGKILL, signal.SIGSTOP)), draw.choice(TABLES)
    process = evergreen(home.home, "run", *world)
    reached = _wait(process, Path(home.warehouse) / point / "_delta_log")
    assert reached, f"{number!r} at {point}:\n{process.communicate()[0]}"
    os.kill(json.loads((home.home / "engine" / "server.json").read_text())["pid"], number)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == NOBODY and "Traceback" not in output and "grpc" not in output.lower(), output
    assert_equal(tables(home.home), clean)


@pytest.mark.timeout(900)
def test_two_runs_at_once_both_end_well_and_double_nothing(
    home: Settings, evergreen: Command, world: list[str], clean: Rows, tables: Callable[..., Rows]
) -> None:
    processes = [evergreen(home.home, "run", *world) for _ in range(2)]
    outputs = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [NOBODY, NOBODY], "\n".join(outputs)
    assert sorted("Nothing new" in output for output in outputs) == [False, True]
    assert_equal(tables(home.home), clean)


def _wait(process: "subprocess.Popen[str]", path: Path) -> bool:
    """Wait until a path exists; False if the process ends before."""
    while process.poll() is None:
        if path.exists():
            return True
        time.sleep(0.005)
    return False


def assert_equal(found: Rows, clean: Rows) -> None:
    assert {table: len(rows) for table, rows in found.items()} == {table: len(rows) for table, rows in clean.items()}
    assert [table for table in clean if found[table] != clean[table]] == []
