"""Fixtures shared by all tests: homes, engines, lakehouses. Nothing here is mocked."""

import contextlib
import gc
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import polars as pl
import psutil
import pytest
from matplotlib.figure import Figure
from worlds import parsed_project, pictures, tracking_store
from worlds.draws import SEED
from worlds.examples import EVERYBODY, explored
from worlds.shared import STARTED, Server, one_server, session_folder

from jobs import secret, settings
from jobs.feature_store import store as feature_store
from jobs.lakehouse import dbt_models, engine
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.loopback import free_port
from jobs.registry import tracking
from jobs.secret import Url
from jobs.settings import ROOT, Settings
from tools.check_test_needs import postgres_program

CACHE = ROOT / ".cache"
TESTS = Path(__file__).parent
DEAR_UNIT_TESTS = ("training", "retraining", "backtesting", "evaluation", "promotion")
EXAMPLES = "examples"
MEASURED_TEXT = "measured"
"""Properties of tests that are printed at the end (`record_property`)."""
GUARDED_USER = "keeper"
"""Of the real PostgreSQL: the one that has a password, if a test gives it one."""
# Which run brought a row: differs, and may, when a run was interrupted.
COUNTERS = {"loaded_in", "reports_loaded_in", "transactions_loaded_in"}
# Of the leaderboard: times that are measured, and ends of intervals, whose last digits follow the order of rows.
MEASURED = {"training_seconds", "microseconds_per_row", "request_milliseconds"}
DRAWN = {"lower", "upper", "gain_lower", "gain_upper"}
Tables = Callable[..., Mapping[str, list[tuple[Any, ...]]]]
hypothesis.settings.load_profile(EVERYBODY)
feature_store.import_feast()  # as runs do, before a test imports it in the way that takes three seconds


def pytest_report_header() -> str:
    return f"points are drawn by EVERGREEN_TEST_SEED={SEED}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect Spark for tests marked `embedded`, and let the dear rooms of unit tests start before the others.

    A dear file that starts last keeps one worker busy while the others wait.
    """
    twice = [item for item in items if {"embedded", "spark"} <= {mark.name for mark in item.iter_markers()}]
    config.hook.pytest_deselected(items=twice)
    items[:] = [item for item in items if item not in twice]
    unit = TESTS / "unit"
    items.sort(key=lambda item: unit in item.path.parents and item.path.parent.name not in DEAR_UNIT_TESTS)


def pytest_collection_finish() -> None:
    """Take what the imports of all tests left out of garbage collection, which is a twentieth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """In `make explore`, call a property in many rounds. Returns None where pytest has to call the test itself."""
    count = explored(pyfuncitem)
    if count is not None:
        pyfuncitem.user_properties.append((EXAMPLES, count))
    return count is not None or None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many examples each property was explored with, and what tests measured."""
    passed = [(dict(test.user_properties), test.nodeid) for test in terminalreporter.stats.get("passed", [])]
    for about, name in passed:
        if MEASURED_TEXT in about:
            terminalreporter.write_line(f"{about[MEASURED_TEXT]}: {name}")
    counts = sorted((about[EXAMPLES], name) for about, name in passed if EXAMPLES in about)
    for count, name in counts:
        terminalreporter.write_line(f"{count:6} examples of {name}")


@pytest.fixture(autouse=True)
def _secrets_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process hides every secret it was given; a test, only its own."""
    monkeypatch.setattr(secret, "_known", set())


@pytest.fixture(scope="session", autouse=True)
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What new homes have alike, and pictures that nobody looks at, are not made anew by every test."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dbt_models, "_parse", parsed_project.copying(session_folder(tmp_path_factory, "dbt")))
        patched.setattr(tracking, "prepare", tracking_store.copying(session_folder(tmp_path_factory, "mlflow")))
        patched.setattr(Figure, "savefig", pictures.unrendered)
        yield


@pytest.fixture
def dbt_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of this test is parsed for itself, as it is outside of tests."""
    monkeypatch.setattr(dbt_models, "_parse", parsed_project.PARSE)


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home whose embedded engine serves the whole test session; tests differ by warehouse."""
    home = tmp_path_factory.mktemp("home")
    yield home
    engine.stop(settings.load({"EVERGREEN_HOME": str(home)}))


@pytest.fixture(scope="session")
def spark_remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Apache Spark Connect server of all workers, from an environment and folder without our package."""
    from jobs.lakehouse import spark_server

    folder = session_folder(tmp_path_factory, "spark")

    def start() -> Server:
        prepared = spark_server.prepare(CACHE, ROOT / "requirements.lock")
        warehouse, log = folder / "warehouse", folder / "log"
        running = spark_server.start(prepared, None, warehouse, log, options=spark_server.QUICK_TO_WARM)
        STARTED.append(running)
        return Server(running.url, running.pid, str(running.work))

    with one_server(folder, start, _stop) as url:
        yield url


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Kafka broker of all workers; make topics of your own (`worlds.kafka_server.create_topic`)."""
    from worlds import kafka_server

    folder = session_folder(tmp_path_factory, "kafka")

    def start() -> Server:
        running = kafka_server.launch(folder)
        STARTED.append(running)
        return Server(running.url, running.pid, str(running.work))

    with one_server(folder, start, _stop) as url:
        yield url.removeprefix("kafka://")


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real PostgreSQL of all workers, on loopback, in a folder of its own."""
    with one_server(session_folder(tmp_path_factory, "postgresql"), _start_postgresql, _stop) as url:
        yield url


def _start_postgresql() -> Server:
    control = postgres_program("pg_ctl")
    assert control, "PostgreSQL is missing: apt-get install postgresql"
    port = free_port()
    folder = tempfile.mkdtemp()
    as_other: dict[str, Any] = {}
    if os.getuid() == 0:  # which PostgreSQL refuses to run as
        other = pwd.getpwnam("postgres")
        os.chown(folder, other.pw_uid, other.pw_gid)
        as_other = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
    data = f"{folder}/data"
    made = ["initdb", "-o", "-U evergreen --auth=trust --no-sync --encoding=UTF8"]
    options = f"-c listen_addresses=127.0.0.1 -c fsync=off -k {folder} -p {port}"
    started = ["start", "--wait", "--log", f"{folder}/log", "-o", options]
    for command in (made, started):
        subprocess.run([control, "-D", data, *command], check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_other)
        if command is made:  # one user has to know a password
            rules = Path(data) / "pg_hba.conf"
            rules.write_text(f"host all {GUARDED_USER} all scram-sha-256\n{rules.read_text()}")
    pid = int((Path(data) / "postmaster.pid").read_text().split()[0])
    return Server(f"postgresql://evergreen@127.0.0.1:{port}/postgres", pid, folder)


def _stop(server: Server) -> None:
    """End a server that perhaps another worker started, with its children, and remove what it worked with."""
    process = psutil.Process(server.pid)
    processes = [process, *process.children(recursive=True)]
    process.send_signal(signal.SIGINT)  # PostgreSQL then waits for no client
    _, processes = psutil.wait_procs(processes, timeout=10)
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def new_database(postgresql: str) -> Callable[[], str]:
    """Makes empty databases on the real PostgreSQL; returns the URL of each."""
    import psycopg

    def make() -> str:
        name = f"d{uuid4().hex}"
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        return postgresql.replace("/postgres", f"/{name}")

    return make


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """URL of an empty database on the real PostgreSQL."""
    return new_database()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def ledger_home(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A home with an empty ledger, on SQLite and on a real PostgreSQL."""
    found = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    if request.param == "sqlite":
        return found
    return replace(found, ledger_url=Url(request.getfixturevalue("database")))


@dataclass
class Receiver:
    """A real web server that keeps what was posted to it; answers `status`."""

    url: str
    posts: list[Any] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    status: int = 200
    location: str = ""
    """Where an answer of 3xx points to."""
    meanwhile: Callable[[], Any] | None = None
    """Done once, before the next answer."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Receives webhooks on loopback."""
    found = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.status == 200:
                found.posts.append(json.loads(body))
                found.bodies.append(body)
                found.headers.append(dict(self.headers))
            act, found.meanwhile = found.meanwhile, None
            if act:
                act()
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}/alerts?token=t0ken"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


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
            kept = sorted(set(frame.columns) - COUNTERS - MEASURED - DRAWN)
            found[table] = sorted(frame.select(kept).rows(), key=repr)
        return found

    return read
