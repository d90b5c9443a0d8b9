"""MLflow down, silent or killed half-way: a clear error in bounded time, nothing half-registered, and it goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import training_world as world

from jobs import settings
from jobs.lakehouse.tables import Lakehouse
from jobs.loopback import free_port, listens
from jobs.registry import model_versions, tracking
from jobs.secret import Url
from jobs.settings import Settings
from jobs.training import candidate

FOLDER = str(Path(__file__).parents[2])
BOUND = 60
"""Seconds, on a busy machine too; left to itself MLflow tries for minutes."""


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home"), "EVERGREEN_TRACKING_SECONDS": "2"})


def test_a_tracking_server_that_is_down_is_named_before_anything_is_trained(own: Settings) -> None:
    lakehouse = Lakehouse(replace(own, tracking=Url(f"http://127.0.0.1:{free_port()}")))
    world.put(lakehouse, world.payments())
    began = time.monotonic()
    with pytest.raises(tracking.TrackingUnavailable, match=r"expected MLflow to answer.*EVERGREEN_TRACKING"):
        candidate.make(lakehouse, world.DEMO)
    assert time.monotonic() - began < BOUND and not (own.home / "training").exists()
    made = candidate.make(Lakehouse(own), world.DEMO)
    assert made.version == 1


def test_a_tracking_server_that_never_answers_is_given_up(own: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = replace(own, tracking=Url(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(tracking.TrackingUnavailable, match="within 2 s"):
            model_versions.latest_candidate(found, world.DEMO)
        # The first call imported MLflow, which takes its own time.
        began = time.monotonic()
        with pytest.raises(tracking.TrackingUnavailable, match="within 2 s"):
            model_versions.latest_candidate(found, world.DEMO)
        assert time.monotonic() - began < BOUND


def test_a_password_in_the_url_is_not_shown(own: Settings) -> None:
    found = replace(own, tracking=Url(f"postgresql://me:secret@127.0.0.1:{free_port()}/mlflow"))
    with pytest.raises(tracking.TrackingUnavailable) as error:
        model_versions.latest_candidate(found, world.DEMO)
    assert "secret" not in str(error.value)


def test_a_training_killed_while_it_is_tracked_registers_once_when_run_again(own: Settings) -> None:
    lakehouse = Lakehouse(own)
    world.put(lakehouse, world.payments())
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1]); from worlds import training_world as world\n"
        "from jobs import settings\nfrom jobs.lakehouse.tables import attach\n"
        "from jobs.registry import tracking\nfrom jobs.training import candidate\n"
        "tracking.log_trials = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "candidate.make(attach(settings.load()), world.DEMO)\n"
    )
    environment = {**os.environ, "EVERGREEN_HOME": str(own.home)}
    killed = subprocess.run([sys.executable, "-c", script, FOLDER], env=environment, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert model_versions.latest_candidate(own, world.DEMO) is None
    versions = [candidate.make(lakehouse, world.DEMO).version for _ in range(2)]
    assert versions == [1, 1]
    with tracking.client(own) as tracker:
        experiment = tracking.experiment(own, tracker, world.DEMO)
        states = sorted(run.info.status for run in tracker.search_runs([experiment]))
    assert states == ["FINISHED", "KILLED"]


@pytest.mark.servers
def test_a_server_holds_versions_and_once_it_is_down_what_is_here_still_serves(own: Settings, tmp_path: Path) -> None:
    port = free_port()
    lakehouse = Lakehouse(replace(own, tracking=Url(f"http://127.0.0.1:{port}"), tracking_seconds=30))
    world.put(lakehouse, world.payments())
    with server(tmp_path, port):
        made = candidate.make(lakehouse, world.DEMO)
        assert made.version == 1 and made.link.startswith(f"http://127.0.0.1:{port}/#/experiments/")
        bundle = model_versions.fetch(lakehouse.settings, world.DEMO, 1)
    with pytest.raises(tracking.TrackingUnavailable):
        candidate.make(lakehouse, world.with_problem(seed=1))
    # What is here and is what was meant needs no server.
    assert model_versions.fetch(lakehouse.settings, world.DEMO, 1, bundle.sha256).sha256 == bundle.sha256


@pytest.mark.servers
def test_a_database_holds_versions_and_the_home_their_files(own: Settings, database: str) -> None:
    lakehouse = Lakehouse(replace(own, tracking=Url(database)))
    world.put(lakehouse, world.payments())
    made = candidate.make(lakehouse, world.DEMO)
    assert made.version == 1 and model_versions.latest_candidate(lakehouse.settings, world.DEMO) is not None
    with tracking.client(lakehouse.settings) as tracker:
        experiment = tracking.experiment(lakehouse.settings, tracker, world.DEMO)
        places = {run.info.artifact_uri for run in tracker.search_runs([experiment])}
    assert places and all(place.startswith((own.home / "tracking" / "artifacts").as_uri()) for place in places)


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    """A real MLflow server on loopback."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "kept")]
    with (folder / "server.log").open("w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        try:
            while not listens(port):
                assert running.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
            yield
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
