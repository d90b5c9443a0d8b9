"""A real Prometheus on loopback with our rules, which asks one server once a second."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from jobs.loopback import free_port
from jobs.settings import ROOT

CONFIGURATION = ROOT / "deploy" / "prometheus"
PATIENCE = 60


class Prometheus:
    """A server that runs."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def asked(self, query: str) -> list[dict[str, Any]]:
        """The samples that a query gives now: labels (`metric`) and `value`."""
        answer = httpx.get(f"{self._address}/query", params={"query": query}).raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def awaited(self, query: str) -> list[dict[str, Any]]:
        """The same, once there are numbers among them."""
        until = time.monotonic() + PATIENCE
        while True:
            found = self.asked(query)
            if any(each["value"][1] != "NaN" for each in found):
                return found
            assert time.monotonic() < until, f"no numbers: {query}: {found}"
            time.sleep(0.5)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self._address}/status/buildinfo").status_code == 200
        except httpx.TransportError:
            return False


@contextlib.contextmanager
def running(folder: Path, target: str) -> Iterator[Prometheus]:
    """A Prometheus by the configuration that we ship, for another target and in less time.

    Args:
        target: host and port of the server that is asked.
    """
    program = shutil.which("prometheus")
    assert program, "Prometheus is missing: apt-get install prometheus"
    shutil.copytree(CONFIGURATION, folder)
    config = folder / "prometheus.yml"
    config.write_text(config.read_text().replace("127.0.0.1:8080", target).replace("15s", "1s"))
    port = free_port()
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen([program, *options], stdout=log, stderr=log) as process:
        found = Prometheus(port)
        try:
            until = time.monotonic() + PATIENCE
            while not found.answers():
                assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.1)
            yield found
        finally:
            process.terminate()
