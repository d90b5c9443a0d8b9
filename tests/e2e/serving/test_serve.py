"""`evergreen serve`, as clients of the protocol meet it: right answers, a swap and an end without a failed request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.exported_models import export, made
from worlds.locked_environments import locked_environment
from worlds.serve_processes import COMMAND, PATIENCE, ROWS, Asking, Running, started, wait_for

from jobs import settings
from jobs.models.runtime import score
from jobs.promotion import export_onnx
from jobs.registry.bundle import Bundle
from jobs.settings import ROOT
from jobs.use_cases.fraud import FRAUD
from serving.web import api_keys

pytestmark = pytest.mark.embedded

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return made(folder / "first", 1), made(folder / "second", 2)


@pytest.fixture
def serve(tmp_path: Path, bundles: tuple[Bundle, Bundle]) -> Iterator[Callable[..., Running]]:
    """Starts servers of a home in which version 3 is in service."""
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    export(home, 3, bundles[0])
    servers: list[Running] = []

    def start(*arguments: str) -> Running:
        servers.append(started(home, *arguments))
        wait_for(servers[-1].ready)
        return servers[-1]

    yield start
    for running in servers:
        running.kill()


@pytest.fixture(scope="session")
def clients_python() -> Path:
    """Python of an environment with the clients, built once."""
    return locked_environment("inference-clients", CLIENTS / "requirements.lock") / "python"


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
