"""The session of Spark Connect that the queries of a stream live in: opened, remembered, ended by whoever is next.

Spark ends a query with its session, and a session an hour after its client was heard last: so long would the queries of
a process that was killed go on beside those of the next one.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import Invalid
from jobs.lakehouse import engine
from jobs.lakehouse.engine import EngineUnreachable
from jobs.lakehouse.kernel_archive import package_zip
from jobs.secret import Url
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json
from jobs.streams import control
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

USER = "evergreen"
OPTIONS = {
    # State that outgrows the memory of Java, and of which a batch writes what changed.
    "spark.sql.streaming.stateStore.providerClass":
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.artifact.isolation.enabled": "false",
    # What a query keeps is not needed once it has ended.
    "spark.sql.streaming.minBatchesToRetain": "2",
}  # fmt: skip


def new_session(settings: Settings, use_case: UseCase) -> SparkSession:
    """A session with the kernels in it, which is remembered. Raises EngineUnreachable."""
    engine.url(settings)
    session = str(uuid.uuid4())
    replace_json(_memory(settings, use_case), {"session": session}, private=True)
    spark = _connected(settings, session)
    for name, value in OPTIONS.items():
        spark.conf.set(name, value)
    spark.addArtifacts(str(package_zip()), pyfile=True)
    return spark


def end(settings: Settings, use_case: UseCase, spark: SparkSession) -> None:
    """End the queries of a session, and the session, which is then forgotten; nothing if Spark is gone."""
    with contextlib.suppress(Exception):  # whatever a channel says whose Spark is gone
        for query in spark.streams.active:
            query.stop()
        spark.client.release_session()
        _memory(settings, use_case).unlink(missing_ok=True)
    with contextlib.suppress(Exception):
        spark.client.close()


def end_left_over(settings: Settings, use_case: UseCase) -> None:
    """End the session that is remembered, with its queries: they would add rows beside those of the next stream.

    Raises EngineUnreachable, and Invalid where SPARK_REMOTE is not set any more.
    """
    from jobs.lakehouse.engine_calls import EngineForeign

    session = read_memory(_memory(settings, use_case), lambda stored: str(stored["session"]))
    if session is None:
        return
    if settings.spark_remote is None:
        raise Invalid(
            f"{use_case.name}: expected no queries on Spark, found that a stream which was killed may have left some; "
            "start it with SPARK_REMOTE once more and end it, or, if that Spark is gone, remove "
            f"{_memory(settings, use_case)}"
        )
    engine.url(settings)
    try:
        end(settings, use_case, _connected(settings, session))
    except EngineForeign:  # nobody is let into a session that has ended
        _memory(settings, use_case).unlink()
    if _memory(settings, use_case).exists():
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


def _memory(settings: Settings, use_case: UseCase) -> Path:
    return control.folder(settings, use_case) / "spark_session.json"
