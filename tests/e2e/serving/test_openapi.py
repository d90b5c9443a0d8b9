"""What others make of the OpenAPI document: it is a valid one, and requests drawn from it find no error of ours."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from worlds.deciding_server import deciding
from worlds.draws import drawn
from worlds.locked_environments import locked_environment

from jobs import settings
from jobs.settings import Settings
from serving.web import api_keys

pytestmark = pytest.mark.embedded

FOLDER = Path(__file__).parent / "openapi"
LOCK, CONFIG = FOLDER / "requirements.lock", FOLDER / "schemathesis.toml"
EXAMPLES = 15
"""Requests of each kind, and as many chains of requests; those that try every bound come on top."""
PATIENCE = 300


@pytest.fixture(scope="module")
def programs() -> Path:
    """The programs of an environment with a validator and schemathesis, built once."""
    return locked_environment("openapi", LOCK)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


@pytest.fixture
def address(home: Settings) -> Iterator[str]:
    with deciding(home) as found:
        yield found


def test_the_document_is_one(address: str, programs: Path, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_bytes(httpx.get(f"{address}/openapi.json").content)
    command = [str(programs / "python"), "-m", "openapi_spec_validator", str(tmp_path / "openapi.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_requests_drawn_from_the_document_find_no_error_of_ours(
    address: str, home: Settings, programs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = api_keys.add(home, "fuzzer", ["decide", "read", "entities", "review", "metrics"], datetime.now(UTC))
    seed = drawn("requests of OpenAPI").randrange(2**32)
    report = tmp_path / "report.json"
    command = [
        programs / "st", "--config-file", CONFIG, "run", f"{address}/openapi.json",
        "--header", f"Authorization: Bearer {key}",
        "--max-examples", str(EXAMPLES), "--seed", str(seed), "--continue-on-failure", "--no-color",
        "--report", "json", "--report-json-path", report,
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING, "evergreen.serve"):
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=tmp_path
        )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    found = json.loads(report.read_text())
    assert found["operations"]["tested"] == found["operations"]["total"] > 15
    assert found["test_cases"]["generated"] > 40 * EXAMPLES
    for path in ("fraud/decisions", "fraud/events", "returns/decisions", "returns/events"):
        phases = found["valid_rates"][f"POST /v1/{path}"]
        assert sum(phase["accepted"] for phase in phases.values()) > 3, path
