"""One small world and one clean run, shared by tests that break runs; `evergreen` as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs import engine, settings, simulate
from jobs.lakehouse import Lakehouse, find_tables

Command = Callable[..., "subprocess.Popen[str]"]
Tables = Callable[..., Mapping[str, list[tuple[Any, ...]]]]

# Which run brought a row: differs, and may, when a run was interrupted.
COUNTERS = {"loaded_in", "reports_loaded_in", "transactions_loaded_in"}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Eight days of payments of 100 cardholders, as arguments of `evergreen run`."""
    folder = tmp_path_factory.mktemp("world")
    files = simulate.write(simulate.scenario("stable", days=8, customers=100, terminals=75), folder)
    return ["--transactions", str(files["transactions"]), "--reports", str(files["reports"])]


@pytest.fixture(scope="session")
def evergreen() -> Command:
    """Starts `evergreen ...` for a home, in a process group of its own."""

    def start(home: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("EVERGREEN_", "SPARK_", "DAGSTER_"))}
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("evergreen")), *arguments],
            env={**inherited, "EVERGREEN_HOME": str(home), "COLUMNS": "200", **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    return start


@pytest.fixture(scope="session")
def tables() -> Tables:
    """All rows of all tables of a home (or of the warehouse given), sorted."""

    def read(home: Path, warehouse: Path | None = None) -> Mapping[str, list[tuple[Any, ...]]]:
        elsewhere = {"EVERGREEN_WAREHOUSE": str(warehouse)} if warehouse else {}
        lakehouse = Lakehouse(settings.load({"EVERGREEN_HOME": str(home), **elsewhere}))
        found = {}
        for table in find_tables(lakehouse.warehouse):
            frame = pl.DataFrame(lakehouse.to_arrow(table))
            kept = sorted(set(frame.columns) - COUNTERS)
            found[table] = sorted(frame.select(kept).rows(), key=repr)
        return found

    return read


@pytest.fixture(scope="session")
def clean(
    tmp_path_factory: pytest.TempPathFactory, evergreen: Command, world: list[str], tables: Tables
) -> Mapping[str, list[tuple[Any, ...]]]:
    """The tables of a run that nothing disturbed."""
    home = tmp_path_factory.mktemp("clean")
    process = evergreen(home, "run", *world)
    output, _ = process.communicate(timeout=500)
    engine.stop(settings.load({"EVERGREEN_HOME": str(home)}))
    assert process.returncode == 0, output
    found = tables(home)
    assert len(found["fraud.transactions"]) > 500 and found["fraud_features.training_set"]
    return found
