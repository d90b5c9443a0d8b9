"""The session of Spark Connect that the queries of a stream live in: opened, remembered, ended by whoever is next.

Spark ends a query with its session, and a session an hour after its client was heard last: so long would the queries of
a process that was killed go on beside those of the next one.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import Invalid
from jobs.lakehouse import engine
from jobs.lakehouse.engine import EngineUnreachable
from jobs.secret import Url
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json
from jobs.streams import control
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

USER = "evergreen"
FEATURES, READING = "spark_session.json", "spark_reading.json"
"""What sessions are for, by the file that remembers them."""
OPTIONS = {
    # State that outgrows the memory of Java, and of which a batch writes what changed.
    "spark.sql.streaming.stateStore.providerClass":
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.artifact.isolation.enabled": "false",
    # What a query keeps is not needed once it has ended.
    "spark.sql.streaming.minBatchesToRetain": "2",
}  # fmt: skip


def new_session(settings: Settings, use_case: UseCase, of: str = FEATURES) -> SparkSession:
    """A session, which is remembered. Raises EngineUnreachable."""
    engine.url(settings)
    session = str(uuid.uuid4())
    replace_json(_memory(settings, use_case, of), {"session": session}, private=True)
    spark = _connected(settings, session)
    for name, value in OPTIONS.items():
        spark.conf.set(name, value)
    return spark


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """What Spark says of a failure, as of a session or a server that has ended, is raised as EngineUnreachable."""
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        raise EngineUnreachable(str(error).partition("\n")[0]) from error


def why_ended(settings: Settings, queries: Sequence[Any]) -> str:
    """Why not all queries go on; empty: they do."""
    if engine.running(settings) is None:
        return "expected Spark to answer at SPARK_REMOTE, found that it does not; start it"
    try:
        with errors():
            ended = [query for query in queries if not query.isActive]
            if not ended:
                return ""
            why = f"{ended[0].name}: {ended[0].exception()}"
    except EngineUnreachable as error:
        why = str(error)
    return f"expected queries that run on Spark, found one that ended: {why.splitlines()[0]}"


def end(settings: Settings, use_case: UseCase, spark: SparkSession, of: str = FEATURES) -> None:
    """End the queries of a session, and the session, which is then forgotten; nothing if Spark is gone."""
    with contextlib.suppress(Exception):  # whatever a channel says whose Spark is gone
        for query in spark.streams.active:
            query.stop()
        spark.client.release_session()
        _memory(settings, use_case, of).unlink(missing_ok=True)
    with contextlib.suppress(Exception):
        spark.client.close()


def end_left_over(settings: Settings, use_case: UseCase, of: str = FEATURES) -> None:
    """End the session that is remembered, with its queries: they would add rows beside those of the next stream.

    Raises EngineUnreachable, and Invalid where SPARK_REMOTE is not set any more.
    """
    from jobs.lakehouse.engine_calls import EngineForeign

    memory = _memory(settings, use_case, of)
    session = read_memory(memory, lambda stored: str(stored["session"]))
    if session is None:
        return
    if settings.spark_remote is None:
        raise Invalid(
            f"{use_case.name}: expected no queries on Spark, found that a stream which was killed may have left some; "
            "start it with SPARK_REMOTE once more and end it, or, if that Spark is gone, remove "
            f"{memory}"
        )
    engine.url(settings)
    try:
        end(settings, use_case, _connected(settings, session), of)
    except EngineForeign:  # nobody is let into a session that has ended
        memory.unlink()
    if memory.exists():
        raise EngineUnreachable(
            f"{use_case.name}: expected Spark to end the queries of the stream before, found that it did not answer; "
            "they may go on, and others start once it does"
        )


def _connected(settings: Settings, session: str) -> SparkSession:
    from jobs.lakehouse.engine_calls import RemoteEngine

    assert settings.spark_remote is not None
    remote = RemoteEngine(settings.spark_remote)
    spark = engine.connect(_address(settings.spark_remote, session), engine.ALIVE, remote)
    parts = settings.spark_remote.parts
    remote.watch(spark, parts.hostname or "", parts.port or engine.PORT)
    return spark


def _address(remote: Url, session: str) -> str:
    address = remote.reveal()
    user = "" if "user_id=" in address else f";user_id={USER}"
    return f"{address if '/;' in address else address.rstrip('/') + '/'};session_id={session}{user}"


def _memory(settings: Settings, use_case: UseCase, of: str) -> Path:
    return control.folder(settings, use_case) / of
