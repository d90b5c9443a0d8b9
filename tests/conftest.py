"""Fixtures shared by all tests: homes, engines, lakehouses. Nothing here is mocked."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs import engine, settings
from jobs.lakehouse import Lakehouse, attach, find_tables
from jobs.settings import ROOT, Settings

CACHE = ROOT / ".cache"
# Which run brought a row: differs, and may, when a run was interrupted.
COUNTERS = {"loaded_in", "reports_loaded_in", "transactions_loaded_in"}
Tables = Callable[..., Mapping[str, list[tuple[Any, ...]]]]


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home whose embedded engine serves the whole test session; tests differ by warehouse."""
    home = tmp_path_factory.mktemp("home")
    yield home
    engine.stop(settings.load({"EVERGREEN_HOME": str(home)}))


@pytest.fixture(scope="session")
def spark_remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Apache Spark Connect server, from an environment and folder without our package."""
    from jobs import spark_server

    folder = tmp_path_factory.mktemp("spark")
    prepared = spark_server.prepare(CACHE, ROOT / "requirements.lock")
    running = spark_server.start(
        prepared, None, folder / "warehouse", folder / "log", options=spark_server.QUICK_TO_WARM
    )
    try:
        yield running.url
    finally:
        running.stop()


@pytest.fixture(params=["sail", pytest.param("spark", marks=pytest.mark.spark)])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    """An EVERGREEN_HOME of its own; its engine, if one was started, is stopped afterwards."""
    own = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    yield own
    engine.stop(own)
    shutil.rmtree(own.home, ignore_errors=True)


@pytest.fixture
def lakehouse(
    engine_name: str, shared_home: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Lakehouse]:
    """An empty warehouse on each engine (address tables by path: the session's catalog is shared)."""
    environment = {"EVERGREEN_HOME": str(shared_home), "EVERGREEN_WAREHOUSE": str(tmp_path / "warehouse")}
    if engine_name == "spark":
        environment["SPARK_REMOTE"] = request.getfixturevalue("spark_remote")
    yield attach(settings.load(environment))


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
