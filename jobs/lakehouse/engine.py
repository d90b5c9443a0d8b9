"""Finding or starting the engine of a home, and attaching a Spark Connect session to it.

One embedded server per EVERGREEN_HOME, shared by UI, CLI, dbt, Feast and daemons through one fixed session;
with `SPARK_REMOTE` set nothing is started. Tables: see `jobs.lakehouse.tables`.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from jobs.errors import EvergreenError
from jobs.secret import Url
from jobs.settings import ROOT, Settings
from jobs.state_files import file_lock

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.connect.session import SparkSession

USER = "evergreen"
START_SECONDS = 60.0
LOOK_SECONDS = 1.0
PORT = 15002
"""Of Spark Connect, where a URL names none."""
UNCOMPRESSED = [("grpc.compression_enabled_algorithms_bitset", 1)]
"""Channel options that allow no compression: on loopback it took ten times the processor time of the rows."""


class EngineUnreachable(EvergreenError, RuntimeError):
    """No engine answers at the given address, or the embedded one did not start."""


def _answers(host: str, port: int, seconds: float = 5.0) -> bool:
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False


def _running(state_file: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads(state_file.read_text())
    except (OSError, ValueError):
        return None
    return state if _answers("127.0.0.1", int(state["port"])) else None


def _start(settings: Settings, state_file: Path) -> dict[str, Any]:
    log = state_file.with_name("server.log")
    state_file.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        # Rows per Arrow batch: with the default of 8,192 a join of 10 M rows spends its time handing batches on.
        "SAIL_EXECUTION__BATCH_SIZE": "32768",
        # Arrays of kernels go back to the machine when they are freed: a join of 10 M rows peaks a fifth lower.
        "MALLOC_MMAP_THRESHOLD_": str(2**20),
        "MALLOC_ARENA_MAX": "2",
        # The server reaps itself; a session it dropped on its own would lose every registered table.
        "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(10**9),
        "RUST_LOG": "warn",
    }
    arguments = [str(state_file), str(uuid.uuid4()), str(settings.engine_idle_seconds)]
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.lakehouse.engine_server", *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=settings.home, env=environment, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if state := _running(state_file):
            process.returncode = 0  # it outlives us: Popen must not warn that it was not waited for
            return state
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise EngineUnreachable(f"the embedded engine did not start; its last words are in {log}")


def url(settings: Settings) -> str:
    """Spark Connect URL of this home's engine, which is started unless it runs.

    Raises EngineUnreachable if `SPARK_REMOTE` does not answer or the embedded engine does not start.
    """
    if settings.spark_remote:
        return _remote(settings.spark_remote)
    state_file = settings.home / "engine" / "server.json"
    state = _running(state_file)
    if state is None:
        with file_lock(state_file.with_name("start.lock")):
            state = _running(state_file) or _start(settings, state_file)
    return f"sc://127.0.0.1:{state['port']}/;session_id={state['session_id']};user_id={USER}"


def running(settings: Settings) -> str | None:
    """Address of this home's engine if it answers within `LOOK_SECONDS`; None: none does. Starts nothing."""
    if settings.spark_remote:
        parts = settings.spark_remote.parts
        host, port = parts.hostname or "", parts.port or PORT
        return f"{host}:{port}" if _answers(host, port, LOOK_SECONDS) else None
    state = _running(settings.home / "engine" / "server.json")
    return f"127.0.0.1:{state['port']}" if state else None


def _remote(remote: Url) -> str:
    parts = remote.parts
    if parts.scheme != "sc" or not parts.hostname:
        raise EngineUnreachable(f"SPARK_REMOTE: expected sc://host:port, found {remote}")
    host, port = parts.hostname, parts.port or PORT
    if not _answers(host, port):
        raise EngineUnreachable(
            f"SPARK_REMOTE={remote}: expected Spark Connect, found that nothing answers at {host}:{port}; "
            "start it (`evergreen spark` runs a local one) or unset SPARK_REMOTE for the embedded engine"
        )
    return remote.reveal()


class Client:
    """A Spark Connect client of a home's engine in UTC: connected when it is first asked for, and to each new engine.

    A channel costs a handshake, a session its registered tables, so a lakehouse holds one client.
    """

    def __init__(self, settings: Settings, prepare: Callable[["SparkSession"], object]) -> None:
        self._settings, self._prepare = settings, prepare
        self._address = ""
        self._session: SparkSession | None = None

    def session(self) -> "SparkSession":
        """The session, after `prepare` was called with it. Raises EngineUnreachable."""
        address = url(self._settings)
        if self._session is None or self._address != address or self._session.is_stopped:
            session = connect(address)
            self._prepare(session)
            self._address, self._session = address, session
        return self._session


def connect(address: str) -> "SparkSession":
    """A new client of the engine at `address`; it needs no closing."""
    from pyspark.sql.connect.client.core import DefaultChannelBuilder
    from pyspark.sql.connect.session import SparkSession

    channel = DefaultChannelBuilder(address, UNCOMPRESSED if urlsplit(address).hostname == "127.0.0.1" else None)
    spark = SparkSession.builder.channelBuilder(channel).create()
    # At exit pyspark would tell the server to drop caches it never made, and retry for minutes if the server is gone.
    atexit.unregister(spark.client._on_exit)
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    _make_active(None)
    return spark


@contextmanager
def active(session: "SparkSession") -> Iterator[None]:
    """Inside, libraries that ask pyspark for the session of this process find this one; outside they find none.

    MLflow asks at every call, and would wait for minutes for the answer of an engine that has ended since.
    """
    _make_active(session)
    try:
        yield
    finally:
        _make_active(None)


def _make_active(session: "SparkSession | None") -> None:
    from pyspark.sql.connect.session import SparkSession

    SparkSession._default_session = SparkSession._active_session.session = session


def rows(frame: "DataFrame", schema: pa.Schema) -> pa.RecordBatchReader:
    """The rows of a frame, cast to `schema`, as the engine sends them; it computes nothing before the first is read."""
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame

    assert isinstance(frame, ConnectFrame)
    client = frame.sparkSession.client
    sent = client.to_table_as_iterator(frame._plan.to_proto(client), frame._plan.observations)
    batches = (batch for part in sent if isinstance(part, pa.Table) for batch in part.cast(schema).to_batches())
    return pa.RecordBatchReader.from_batches(schema, batches)


def stop(settings: Settings, timeout: float = 10.0) -> None:
    """End the embedded engine of this home, if it runs: it leaves when its state file is gone."""
    state_file = settings.home / "engine" / "server.json"
    if not (state := _running(state_file)):
        return
    state_file.unlink(missing_ok=True)
    deadline = time.monotonic() + timeout
    while _answers("127.0.0.1", int(state["port"])) and time.monotonic() < deadline:
        time.sleep(0.1)
