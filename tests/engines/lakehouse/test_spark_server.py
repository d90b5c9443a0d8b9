"""The local Apache Spark: pinned and refused when changed, loopback only, without our package until it is sent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from jobs.java_servers.java import ServerNotReady
from jobs.lakehouse import spark_environment, spark_server
from jobs.lakehouse.kernel_archive import package_zip
from jobs.settings import ROOT

CACHE = ROOT / ".cache"


@pytest.fixture
def spark(spark_remote: str) -> Iterator[Any]:
    """A session of its own, so that nothing another test has sent is in it."""
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(spark_remote).create()
    yield session
    session.stop()


def test_the_lock_is_followed_to_what_a_package_needs() -> None:
    lock = "a==1 \\\n    --hash=sha256:x\n    # via\n    #   b\n    #   z\nb==2\n    # via evergreen-ml\n"
    assert spark_environment.select(lock + "c==3\n    # via z\n", ("b",)) == lock
    with pytest.raises(ServerNotReady, match=r"missing \['d'\]"):
        spark_environment.select(lock, ("d",))


def test_an_install_without_a_checkout_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServerNotReady, match=r"expected a checkout of Evergreen with requirements.lock.*SPARK_REMOTE"):
        spark_environment.prepare(tmp_path / "cache", tmp_path / "requirements.lock")
    assert not (tmp_path / "cache").exists()


def test_the_environment_holds_the_locks_versions_and_not_our_package() -> None:
    selected = spark_environment.select((ROOT / "requirements.lock").read_text(), spark_environment.PYTHON_PACKAGES)
    names = {line.split("==")[0] for line in selected.splitlines() if "==" in line}
    assert {"pyspark", "polars", "pyarrow", "numpy", "pandas", "grpcio", "py4j", "onnxruntime"} <= names
    assert not names & {"dagster", "feast", "dbt-core", "deltalake", "evergreen-ml"}


def test_the_zip_of_kernels_depends_on_sources_alone(tmp_path: Path) -> None:
    package = tmp_path / "kernels"
    (package / "deep").mkdir(parents=True)
    for folder in (package, package / "deep"):
        (folder / "__init__.py").write_text("")
    (package / "deep" / "one.py").write_text("ONE = 1\n")
    (package / "data.parquet").write_bytes(b"not code")
    first = package_zip(package, tmp_path / "out")
    os.utime(package / "__init__.py", (0, 0))
    assert package_zip(package, tmp_path / "out") == first
    (package / "deep" / "one.py").write_text("ONE = 2\n")
    second = package_zip(package, tmp_path / "out")
    assert second != first
    program = "import kernels.deep.one as o, zipfile, sys; print(o.ONE, zipfile.ZipFile(sys.path[1]).namelist())"
    seen = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(second)}, cwd=tmp_path / "out", capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert seen.strip() == "2 ['kernels/__init__.py', 'kernels/deep/__init__.py', 'kernels/deep/one.py']"


def test_a_port_in_use_is_said_before_spark_starts(tmp_path: Path) -> None:
    import socket

    prepared = spark_server.Prepared(Path("java"), Path("python"), Path("spark"), (), {})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerNotReady, match=f"--port {port}: expected a free port, found it taken"):
            spark_server.start(prepared, port, tmp_path, tmp_path)


@pytest.mark.spark
def test_delta_reads_writes_merges_and_travels_in_time(spark: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "numbers")
    spark.range(4).selectExpr("id", "'old' as word").write.format("delta").save(path)
    spark.sql(
        f"merge into delta.`{path}` t using (select id + 2 as id, 'new' as word from range(4)) s on t.id = s.id "
        "when matched then update set * when not matched then insert *"
    ).collect()
    now = {tuple(row) for row in spark.read.format("delta").load(path).collect()}
    then = {tuple(row) for row in spark.read.format("delta").option("versionAsOf", 0).load(path).collect()}
    assert now == {(0, "old"), (1, "old"), (2, "new"), (3, "new"), (4, "new"), (5, "new")}
    assert then == {(i, "old") for i in range(4)}


@pytest.mark.spark
def test_it_speaks_utc_whatever_the_caller_does(spark: Any) -> None:
    row = spark.sql(
        "select current_timezone() as zone, cast(timestamp'2024-06-01 00:00:00' as long) as seconds"
    ).first()
    assert (row.zone, row.seconds) == ("UTC", 1717200000)


@pytest.mark.spark
def test_a_kernel_of_our_package_works_only_once_the_package_was_sent(spark: Any) -> None:
    def where(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from jobs.lakehouse import kernel_archive

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"file": [kernel_archive.__file__]})

    with pytest.raises(Exception, match="No module named 'jobs'"):
        spark.range(1).mapInArrow(where, "file string").collect()
    spark.addArtifacts(str(package_zip()), pyfile=True)
    assert package_zip().name in spark.range(1).mapInArrow(where, "file string").first().file


@pytest.mark.spark
def test_it_listens_on_loopback_only_and_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from jobs.lakehouse import spark_server as s\n"
        f"r = s.start(s.prepare(Path({str(CACHE)!r}), Path({str(ROOT / 'requirements.lock')!r})), None, "
        f"Path({str(tmp_path / 'warehouse')!r}), Path({str(tmp_path / 'log')!r}))\n"
        "print(r.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    listening = {c.laddr.ip for c in server.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN}
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 120
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
