"""`evergreen serve`, as clients of the protocol meet it: right answers, a swap and an end without a failed request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import httpx
import numpy as np
import psutil
import pytest
from worlds.exported_models import export, made

from jobs import settings
from jobs.loopback import free_port
from jobs.models.runtime import score
from jobs.promotion import export_onnx
from jobs.registry.bundle import Bundle
from jobs.settings import ROOT, Settings
from jobs.use_cases.fraud import FRAUD
from serving.web import api_keys

pytestmark = pytest.mark.embedded

CLIENTS = Path(__file__).parent / "clients"
COMMAND = [sys.executable, "-c", "import sys; from orchestration.cli import main; sys.exit(main())"]
ROWS = np.array([[1, 2, np.nan], [0, -0.5, 3]], dtype=np.float32)
PATIENCE = 60
BODY = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [2, 3], "data": np.nan_to_num(ROWS).tolist()}]}


@dataclass
class Running:
    """A server of a home, and how to reach it."""

    process: subprocess.Popen[str]
    port: int
    grpc_port: int
    home: Settings

    @property
    def infer(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2/models/fraud/infer"


@dataclass
class Asking:
    """Requests that go on until they are told to end: what was answered, and what failed."""

    address: str
    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                answer = httpx.post(self.address, json=BODY, timeout=PATIENCE)
                self.versions.append(answer.raise_for_status().json()["model_version"])
            except httpx.HTTPError as error:
                self.failures.append(repr(error))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return made(folder / "first", 1), made(folder / "second", 2)


@pytest.fixture
def serve(tmp_path: Path, bundles: tuple[Bundle, Bundle]) -> Iterator[Callable[..., Running]]:
    """Starts servers of a home in which version 3 is in service."""
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    export(home, 3, bundles[0])
    started = []

    def start(*arguments: str) -> Running:
        port, grpc_port = free_port(), free_port()
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port), "--grpc-port", str(grpc_port), *arguments], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "EVERGREEN_HOME": str(home.home)},
        )  # fmt: skip
        started.append(process)
        running = Running(process, port, grpc_port, home)
        wait_for(lambda: ready(running))
        return running

    yield start
    for process in started:
        for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
            child.kill()
        process.kill()
        process.communicate()


def ready(running: Running) -> bool:
    assert running.process.poll() is None, running.process.communicate()[0]
    try:
        return httpx.get(f"http://127.0.0.1:{running.port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def clients_python() -> Path:
    """Python of an environment with the clients, built once."""
    lock = CLIENTS / "requirements.lock"
    place = ROOT / ".cache" / "inference-clients"
    place.parent.mkdir(exist_ok=True)
    with filelock.FileLock(f"{place}.lock"):
        marker = place / "installed.lock"
        if not marker.exists() or marker.read_text() != lock.read_text():
            uv = str(Path(sys.prefix) / "bin" / "uv")
            python = str(place / "bin" / "python")
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], check=True)
            # Named, as uv would otherwise take the environment that it runs in.
            sync = [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(lock)]
            subprocess.run(sync, check=True)
            marker.write_text(lock.read_text())
    return place / "bin" / "python"


def answers_of(python: Path, script: str, running: Running, key: str) -> Any:
    addresses = (f"127.0.0.1:{running.port}", f"127.0.0.1:{running.grpc_port}")
    done = subprocess.run(
        [python, CLIENTS / script, *addresses, key], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_real_clients_get_what_the_model_says(
    serve: Callable[..., Running], bundles: tuple[Bundle, Bundle], clients_python: Path
) -> None:
    running = serve()
    key = api_keys.add(running.home, "shop", ["decide", "read"], datetime.now(UTC))
    missing, finite = (score(bundles[0].session(), rows).tolist() for rows in (ROWS, np.nan_to_num(ROWS)))
    triton = answers_of(clients_python, "tritonclient_asks.py", running, key)
    for way in ("http", "grpc"):
        assert triton[way]["about"] == [True, True, True] and triton[way]["inputs"] == ["features"]
        assert triton[way]["scores"] == [missing, missing]
        unknown, unnamed = triton[way]["refused"]
        assert "expected one of ['fraud']" in unknown and "expected a key" in unnamed
    assert triton["other"] == [pytest.approx(finite, abs=1e-7), finite]
    kserve = answers_of(clients_python, "kserve_asks.py", running, key)
    assert kserve["http"] == {"about": [True, True, True], "scores": [missing, pytest.approx(finite, abs=1e-7)]}
    assert kserve["grpc"] == {"about": [True, True, True], "scores": [missing]}


def test_a_swap_fails_no_request_and_an_end_answers_those_that_run(
    serve: Callable[..., Running], bundles: tuple[Bundle, Bundle]
) -> None:
    running = serve("--workers", "2")
    asking = Asking(running.infer)
    threads = [threading.Thread(target=asking.run) for _ in range(3)]
    for thread in threads:
        thread.start()
    export(running.home, 4, bundles[1])
    wait_for(lambda: asking.versions[-20:] == ["4"] * 20)
    export_onnx.restore(running.home, FRAUD, 3, bundles[0].sha256)
    wait_for(lambda: asking.versions[-20:] == ["3"] * 20)
    asking.ended.set()
    for thread in threads:
        thread.join()
    assert not asking.failures and set(asking.versions) == {"3", "4"}
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE) in (0, -signal.SIGTERM)


def test_nothing_starts_that_cannot_serve(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EVERGREEN_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [*COMMAND, "serve"], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 1 and "nothing was exported yet; run `evergreen run`" in done.stderr
    assert "Traceback" not in done.stderr
