"""The servers that `evergreen ui` starts: Dagster (webserver and daemon) and, where the tracking store is a database,
MLflow. They end together."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from jobs.errors import Invalid
from jobs.registry.tracking import LOCAL_PORT
from jobs.settings import Settings, exported
from orchestration.event_log import BATCH_SIZE
from orchestration.instance import home
from orchestration.printing import say

HOST = "127.0.0.1"
POLL_SECONDS, END_SECONDS = 0.2, 15
Server = subprocess.Popen[bytes]


def serve(settings: Settings, port: int) -> int:
    """Serve until Dagster ends or this process is told to; returns Dagster's exit status.

    Raises Invalid if the port is taken.
    """
    if not _free(port):
        raise Invalid(f"--port {port}: expected a free port, found one on which something listens; choose another")
    signal.signal(signal.SIGTERM, _interrupted)
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    remote = settings.tracking_url.parts.scheme in ("http", "https")
    with ExitStack() as servers:
        dagster = servers.enter_context(_server(_dagster(port), _dagster_variables(settings), logs / "dagster.log"))
        mlflow = str(settings.tracking_url)
        if not remote:
            own = LOCAL_PORT if _free(LOCAL_PORT) else _any_port()
            servers.enter_context(_server(_mlflow(settings, own), _mlflow_variables(settings), logs / "mlflow.log"))
            mlflow = f"http://{HOST}:{own}"
        while dagster.poll() is None and _free(port):
            time.sleep(POLL_SECONDS)
        if dagster.poll() is None:
            say(f"Dagster  http://{HOST}:{port}\nMLflow   {mlflow}\nLogs     {logs}\nCtrl-C ends both.")
        else:
            say(f"Dagster ended as it started: expected a server on port {port}; {logs / 'dagster.log'} says why")
        return dagster.wait()


def _dagster(port: int) -> list[str]:
    quiet = ["--log-level", "warning", "--code-server-log-level", "warning"]
    return ["dagster", "dev", "-m", "orchestration.definitions", "-h", HOST, "-p", str(port), *quiet]


def _dagster_variables(settings: Settings) -> dict[str, str]:
    own = {"EVERGREEN_HOME": str(settings.home), "DAGSTER_HOME": str(home(settings))}
    return {**own, "DAGSTER_EVENT_BATCH_SIZE": str(BATCH_SIZE)}


def _mlflow(settings: Settings, port: int) -> list[str]:
    artifacts = settings.home / "tracking" / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    place = ["--no-serve-artifacts", "--default-artifact-root", artifacts.as_uri()]
    return ["mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1", *place]


def _mlflow_variables(settings: Settings) -> dict[str, str]:
    # By a variable, as everybody on a machine sees the arguments of a process.
    store = settings.tracking_url.reveal()
    return {"MLFLOW_BACKEND_STORE_URI": store, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@contextmanager
def _server(arguments: Sequence[str], variables: Mapping[str, str], log: Path) -> Iterator[Server]:
    """A Python module as a process of its own, which ends with this block."""
    with log.open("ab") as output, exported(**variables):
        process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
