"""What `evergreen ui` refuses before it starts anything; tests/e2e/orchestration/test_ui.py tests what it starts."""

import socket
from pathlib import Path

import pytest

from jobs.errors import Invalid
from jobs.settings import Settings
from orchestration.servers import serve

pytestmark = pytest.mark.embedded


def test_a_port_that_is_taken_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Invalid, match=f"--port {port}: expected a free port"):
            serve(Settings(tmp_path), port)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_modules_dagster_would_take_for_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "night.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Invalid, match=f"{tmp_path / 'jobs'}: expected no module named like .*; rename it"):
        serve(Settings(tmp_path / "home"), 1)
    assert not (tmp_path / "home").exists()
