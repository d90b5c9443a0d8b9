"""Finding or starting the engine of a home, and attaching a Spark Connect session to it.

One embedded server per EVERGREEN_HOME, shared by UI, CLI, dbt, Feast and daemons through one fixed session for each
warehouse; with `SPARK_REMOTE` set nothing is started. Its process: see `jobs.lakehouse.engine_process`. Tables: see
`jobs.lakehouse.tables`.
"""

import atexit
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.lakehouse import engine_process
from jobs.lakehouse.engine_process import EngineProcess, EngineUnreachable, stop
from jobs.secret import Url
from jobs.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.connect.session import SparkSession

    from jobs.lakehouse.engine_calls import Engine

__all__ = ["Client", "EngineUnreachable", "active", "rows", "stop", "url"]

USER = "evergreen"
LOOK_SECONDS = 2.0
PORT = 15002
"""Of Spark Connect, where a URL names none."""
UNCOMPRESSED = [("grpc.compression_enabled_algorithms_bitset", 1)]
"""Channel options that allow no compression: on loopback it took ten times the processor time of the rows."""
ALIVE = [("grpc.keepalive_time_ms", 300_000), ("grpc.keepalive_timeout_ms", 20_000)]
"""Channel options that notice a machine that is gone; servers refuse to be asked more often than in five minutes."""
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0
"""For so long a server that did not answer is not asked again: a run has other steps that want it."""


def url(settings: Settings) -> str:
    """Spark Connect URL of this home's engine, which is started unless it runs.

    Raises EngineUnreachable if `SPARK_REMOTE` does not answer or the embedded engine does not start.
    """
    if settings.spark_remote:
        return _remote(settings.spark_remote)
    return _address(engine_process.started(settings), settings)


def _address(process: EngineProcess, settings: Settings) -> str:
    session = uuid.uuid5(uuid.UUID(process.session_id), settings.warehouse)  # names of tables are a session's
    return f"sc://127.0.0.1:{process.port}/;session_id={session};user_id={USER}"


def running(settings: Settings) -> str | None:
    """Address of this home's engine if it answers within `LOOK_SECONDS`; None: none does. Starts nothing."""
    if settings.spark_remote:
        parts = settings.spark_remote.parts
        host, port = parts.hostname or "", parts.port or PORT
        return f"{host}:{port}" if _answers(host, port, LOOK_SECONDS) else None
    process = engine_process.running(settings)
    return f"127.0.0.1:{process.port}" if process and process.condition() == "runs" else None


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


def _answers(host: str, port: int, seconds: float = CONNECT_SECONDS) -> bool:
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False


class Client:
    """A Spark Connect client of a home's engine in UTC: connected when it is first asked for, and to each new engine.

    A channel costs a handshake, a session its registered tables, so a lakehouse holds one client.
    """

    def __init__(self, settings: Settings, prepare: Callable[["SparkSession"], object]) -> None:
        self._settings, self._prepare = settings, prepare
        self._address = ""
        self._engine: Engine | None = None
        self._session: SparkSession | None = None
        self._silence: tuple[float, str] | None = None
        """Until when a remote server counts as silent, and what was told of it."""

    def session(self) -> "SparkSession":
        """The session, after `prepare` was called with it. Raises EngineUnreachable."""
        if self._session is not None and not self._session.is_stopped and self._runs_on():
            return self._session
        address = url(self._settings)
        if self._engine and self._engine.lost():
            self._session = None
        if self._session is None or self._address != address or self._session.is_stopped:
            self._session = None
            session, self._engine, self._address = self._connected(address)
            self._prepare(session)
            self._session = session
        return self._session

    def _runs_on(self) -> bool:
        """Whether the embedded engine of the session is still the home's: it listened when the session was made.

        To ask the kernel who listens takes ten times as long, for a session that a run asks for a hundred times.
        """
        from jobs.lakehouse.engine_calls import EmbeddedEngine

        if not isinstance(self._engine, EmbeddedEngine):
            return False
        process = self._engine.process
        return engine_process.recorded(self._settings) == process and process.condition() != "gone"

    def require(self) -> None:
        """Raises EngineLost if the engine that the session was made with is known to be gone."""
        if self._engine and (error := self._engine.lost()):
            raise error

    def _connected(self, address: str) -> tuple["SparkSession", "Engine", str]:
        from jobs.lakehouse.engine_calls import ANSWER_SECONDS, EngineForeign, EngineSilent, RemoteEngine

        if self._settings.spark_remote:
            # One that fell silent a moment ago has had its time.
            patience = LOOK_SECONDS if self._engine and self._engine.lost() else ANSWER_SECONDS
            remote = RemoteEngine(self._settings.spark_remote, patience)
            session = self._answered(address, remote)
            remote.watch(
                session,
                self._settings.spark_remote.parts.hostname or "",
                self._settings.spark_remote.parts.port or PORT,
            )
            return session, remote, address
        process = engine_process.started(self._settings)
        try:
            return self._embedded(process)
        except EngineSilent:
            process.end()
        except EngineForeign:
            engine_process.forget(self._settings, process)
        return self._embedded(engine_process.started(self._settings))

    def _answered(self, address: str, remote: "Engine") -> "SparkSession":
        """A session with a remote server; one that did not answer is not waited for by each step of a run again."""
        from jobs.lakehouse.engine_calls import EngineSilent

        if self._silence and time.monotonic() < self._silence[0]:
            raise EngineSilent(self._silence[1])
        try:
            return connect(address, ALIVE, remote)
        except EngineSilent as error:
            self._silence = time.monotonic() + SILENCE_SECONDS, str(error)
            raise

    def _embedded(self, process: EngineProcess) -> tuple["SparkSession", "Engine", str]:
        from jobs.lakehouse.engine_calls import EmbeddedEngine

        embedded, address = EmbeddedEngine(process), _address(process, self._settings)
        session = connect(address, UNCOMPRESSED, embedded)
        embedded.verify()
        embedded.watch(self)
        return session, embedded, address


def connect(address: str, options: list[tuple[str, int]], engine: "Engine") -> "SparkSession":
    """A new client of the engine at `address`; it needs no closing. Raises EngineUnreachable."""
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.session import SparkSession

    from jobs.lakehouse.engine_calls import AnsweringChannel, Patience

    spark = SparkSession.builder.channelBuilder(AnsweringChannel(address, options, engine)).create()
    # At exit pyspark would tell the server to drop caches it never made, and retry for minutes if the server is gone.
    atexit.unregister(spark.client._on_exit)
    spark.client.set_retry_policies([Patience(engine)])
    _make_active(None)
    try:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    except PySparkException as error:
        raise engine.foreign() from error
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
