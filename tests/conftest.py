"""Fixtures shared by all tests: homes, engines, lakehouses. Nothing here is mocked."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A real PostgreSQL server of its own on a free loopback port; the URL of an empty database."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    binary = binaries[-1] if binaries else Path(shutil.which("initdb") or "").parent
    assert (binary / "initdb").exists(), "PostgreSQL is missing: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="evergreen-postgres-"))
    # Its server refuses to be root's; only such a user may become another one.
    identity: dict[str, Any] = {"cwd": folder}
    if os.getuid() == 0:
        identity |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = [str(binary / "initdb"), "-D", str(folder / "data"), "-U", "evergreen", "--auth=trust", "-E", "UTF8", "-N"]
    subprocess.run(made, check=True, capture_output=True, **identity)
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
    started = [str(binary / "postgres"), "-D", str(folder / "data"), *(f"-c{k}={v}" for k, v in options.items())]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(started, stderr=log, **identity)
    try:
        url = f"postgresql://evergreen@127.0.0.1:{port}/postgres"
        ready = [str(binary / "pg_isready"), "-q", "-d", url]
        for _ in range(200):
            if subprocess.run(ready, check=False).returncode == 0:
                break
            time.sleep(0.05)
        else:
            raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # "fast" shutdown: sessions that are left over are ended
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


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
