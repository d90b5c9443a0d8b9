"""The embedded engine: one per home, shared by processes, alive beyond a run, gone when orphaned."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from jobs import settings
from jobs.lakehouse import engine, engine_process
from jobs.lakehouse.engine import EngineUnreachable
from jobs.lakehouse.engine_server import OF_KERNELS
from jobs.lakehouse.tables import attach
from jobs.settings import ROOT, Settings

COUNT = """
import sys
from jobs import settings
from jobs.lakehouse.tables import attach
print(attach(settings.load({"EVERGREEN_HOME": sys.argv[1]})).spark.sql(sys.argv[2]).collect()[0][0])
"""


def other_process(home: Settings, sql: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(home.home), sql], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def server_process(home: Settings) -> psutil.Process:
    return psutil.Process(json.loads((home.home / "engine" / "server.json").read_text())["pid"])


def gone(process: psutil.Process) -> bool:
    """A dead child that nobody waited for is still listed, as a zombie."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_until(condition: object, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


def test_processes_share_one_session_and_its_tables(home: Settings) -> None:
    spark = attach(home).spark
    # Who knows the session could join it.
    assert (home.home / "engine" / "server.json").stat().st_mode & 0o777 == 0o600
    spark.sql("create or replace temp view shared as select 42 as answer")
    assert other_process(home, "select answer from shared") == "42"
    assert other_process(home, "select answer from shared") == "42"  # the first client's end did not end the session


def test_the_libraries_of_kernels_are_loaded_before_the_first_one_runs(home: Settings) -> None:
    needed = OF_KERNELS

    def missing(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        loaded = sys.modules.keys()
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"name": [name for name in needed if name not in loaded]})

    assert attach(home).spark.range(1).mapInArrow(missing, "name string").collect() == []


def test_a_lakehouse_has_one_client_and_another_after_its_engine_ended(home: Settings) -> None:
    lakehouse, other = attach(home), attach(home)
    first = lakehouse.spark
    assert lakehouse.spark is first
    assert other.spark is not first
    assert other.spark.session_id == first.session_id
    engine.stop(home)
    assert lakehouse.spark is not first
    assert lakehouse.spark.sql("select 1").collect()[0][0] == 1


def test_no_library_finds_a_session_that_it_would_wait_for_once_the_engine_has_ended(home: Settings) -> None:
    from pyspark.sql.connect.session import SparkSession

    spark = attach(home).spark
    assert SparkSession.getActiveSession() is None
    with engine.active(spark):
        assert SparkSession.getActiveSession() is spark  # as dbt asks for it
    assert SparkSession.getActiveSession() is None


def test_many_starters_get_one_server(home: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        urls = set(pool.map(lambda _: engine.url(home), range(4)))
    assert len(urls) == 1


def test_the_server_listens_on_loopback_only(home: Settings) -> None:
    engine.url(home)
    addresses = {c.laddr.ip for c in server_process(home).net_connections(kind="tcp") if c.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}


def test_an_orphaned_server_ends_itself(home: Settings) -> None:
    idle = replace(home, engine_idle_seconds=2.0)
    engine.url(idle)
    process = server_process(idle)
    assert wait_until(lambda: gone(process))
    assert not (idle.home / "engine" / "server.json").exists()


def test_a_server_whose_home_is_deleted_ends_itself(home: Settings) -> None:
    engine.url(home)
    process = server_process(home)
    shutil.rmtree(home.home)
    assert wait_until(lambda: gone(process))


def test_a_killed_server_is_replaced_and_finds_the_tables_again(home: Settings) -> None:
    import pyarrow as pa

    rows = pa.table({"id": [1, 2]})
    attach(home).write("demo.rows", rows, mode="append", schema=rows.schema)
    server_process(home).kill()
    assert wait_until(lambda: engine_process.running(home) is None)
    assert attach(home).spark.sql("select count(*) from demo.rows").collect()[0][0] == 2


def test_an_unreachable_spark_is_a_clear_error(tmp_path: Path) -> None:
    wrong = settings.load({"EVERGREEN_HOME": str(tmp_path), "SPARK_REMOTE": "sc://127.0.0.1:1"})
    with pytest.raises(EngineUnreachable, match="SPARK_REMOTE"):
        attach(wrong).spark.sql("select 1")
