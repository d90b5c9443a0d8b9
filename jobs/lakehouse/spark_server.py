"""A local Apache Spark Connect server with Delta, on loopback, run as a cluster would be: without our package.

For the tests, and for those who want Spark instead of the embedded engine (`evergreen spark`). What the machine
must have: see `jobs.lakehouse.spark_environment`.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jobs.java_servers import process
from jobs.java_servers.process import Running, port_for_server
from jobs.lakehouse.spark_environment import Prepared, prepare
from jobs.loopback import HOST, ending_with_parent
from jobs.settings import ROOT, Settings

__all__ = ["QUICK_TO_WARM", "Prepared", "Running", "SparkServer", "foreground", "prepare", "start"]

SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
LAPTOP = {
    "spark.driver.memory": "2g",
    "spark.ui.enabled": "false",
    "spark.log.level": "WARN",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    # The defaults, 200 and 50, are for clusters: on two cores they cost seconds per statement.
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Workers of streaming queries look for packages that a session brought where all of them share them (Spark 4.2).
    "spark.sql.artifact.isolation.enabled": "false",
    # The default of 10,000 rows cuts what a kernel sees into slivers.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "200000",
}
QUICK_TO_WARM = {
    # The cache of compiled code is 48 MB with one compiler. Spark fills it, and sweeping took a quarter of the time.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC -XX:ReservedCodeCacheSize=256m",
    # To compile a statement takes longer than to interpret it over a few thousand rows.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "2",
}
"""Options for a server that lives for minutes and sees little data: statements take half the time, long ones more."""


def start(
    prepared: Prepared,
    port: int | None,
    warehouse: str | Path,
    log_dir: Path,
    options: Mapping[str, str] | None = None,
) -> Running:
    """Start a server and wait until it answers; `port` None takes a free one, `options` overrule `LAPTOP`.

    The server ends with this process (on Linux with the calling thread: start it from one that lasts).
    Raises ServerNotReady if the port is taken or Spark does not come up.
    """
    port = port_for_server(port)
    work = log_dir.absolute() / f"work-{port}"
    work.mkdir(parents=True, exist_ok=True)
    settings = {
        **LAPTOP,
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.warehouse.dir": str(warehouse if "://" in str(warehouse) else Path(warehouse).absolute()),
        "spark.local.dir": str(work),
        "spark.jars": ",".join(map(str, prepared.jars)),
        **(options or {}),
    }
    command = [str(prepared.spark_home / "bin" / "spark-submit"), "--master", "local[*]", "--class", SERVER_CLASS]
    command += [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    command = ending_with_parent([*command, "spark-internal"], str(prepared.python))
    with (log_dir.absolute() / "spark.log").open("ab") as log:
        return process.start(command, f"sc://{HOST}:{port}", work, log, _environment(prepared))


def _environment(prepared: Prepared) -> dict[str, str]:
    """The caller's environment less whatever would lead Python or Spark back to the caller's packages."""
    inherited = {
        name: value
        for name, value in prepared.environment.items()
        if not name.startswith(("PYTHON", "PYSPARK_", "SPARK_", "VIRTUAL_ENV"))
    }
    return inherited | {
        "JAVA_HOME": str(prepared.java.parent.parent),
        "SPARK_HOME": str(prepared.spark_home),
        "PYSPARK_PYTHON": str(prepared.python),
        "PYSPARK_DRIVER_PYTHON": str(prepared.python),
        # Spares Spark a lookup of this host's name.
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TZ": "UTC",
        # Spark runs one Python worker per core; threads inside each would only get in each other's way.
        "POLARS_MAX_THREADS": "1",
    }


@contextlib.contextmanager
def SparkServer(
    cache: Path, lock_file: Path, warehouse: str | Path, log_dir: Path, port: int | None = None
) -> Iterator[Running]:
    """A prepared and running server for the length of a `with` block."""
    running = start(prepare(cache, lock_file), port, warehouse, log_dir)
    try:
        yield running
    finally:
        running.stop()


def foreground(settings: Settings, port: int, say: Callable[[str], None]) -> int:
    """Run a server over this home's warehouse until it ends or is interrupted; returns an exit status.

    Raises ServerNotReady.
    """
    say("Making sure that Java, the jars and a Python environment are there (minutes, the first time) ...")
    prepared = prepare(settings.home / "cache", ROOT / "requirements.lock")
    running = start(prepared, port, settings.warehouse, settings.home / "spark")
    say(f"Apache Spark answers; its log is {running.log}. Ctrl-C ends it. In another terminal:")
    say(f"  export SPARK_REMOTE={running.url}")
    return running.attend()
