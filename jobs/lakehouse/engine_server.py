"""The process of the embedded engine: one Sail server for one EVERGREEN_HOME, on loopback.

Started by `jobs.lakehouse.engine`; outlives the run that started it and ends itself when orphaned: its home gone,
another server named in the state file, or no client connected for the idle time.
"""

import importlib
import json
import os
import secrets
import sys
import time
import uuid
from pathlib import Path

import psutil
from pysail.spark import SparkConnectServer

from jobs.lakehouse import engine_token
from jobs.processes import start_of
from jobs.state_files import replace_json

POLL_SECONDS = 2.0
OF_KERNELS = ("pyspark.worker", "pandas", "pyarrow.compute", "polars", "onnxruntime")
"""Modules that the first kernel would import while its caller waits; an engine starts while its client imports."""


def _connected(process: psutil.Process, port: int) -> bool:
    return any(
        c.status == psutil.CONN_ESTABLISHED and c.laddr and c.laddr.port == port
        for c in process.net_connections(kind="tcp")
    )


def _orphaned(state_file: Path) -> bool:
    try:
        return int(json.loads(state_file.read_text())["pid"]) != os.getpid()
    except (OSError, ValueError, KeyError):
        return True


def _announce(state_file: Path, port: int) -> None:
    own, session_id, token = os.getpid(), str(uuid.uuid4()), secrets.token_hex(32)
    engine_token.give(port, session_id, token)
    state = {"pid": own, "started": start_of(own), "port": port, "session_id": session_id, "token": token}
    replace_json(state_file, state, private=True)  # who knows the session may use it


def serve(state_file: Path, idle_seconds: float) -> None:
    """Serve until orphaned (blocks)."""
    for module in OF_KERNELS:
        importlib.import_module(module)
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    port = server.listening_address[1]
    _announce(state_file, port)
    process, last_seen = psutil.Process(), time.monotonic()
    while time.monotonic() - last_seen < idle_seconds and not _orphaned(state_file):
        if _connected(process, port):
            last_seen = time.monotonic()
        time.sleep(min(POLL_SECONDS, idle_seconds / 4))
    server.stop()
    if not _orphaned(state_file):
        state_file.unlink(missing_ok=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), float(sys.argv[2]))
