"""A Redis for the tests of a file, and homes whose log is in a file or there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.redis_server import RedisServer, empty_home

from jobs.settings import Settings


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest) -> str | None:
    """The address of a Redis; None: logs are files."""
    return None if request.param == "file" else request.getfixturevalue("redis").url


@pytest.fixture
def home(tmp_path: Path, store: str | None) -> Settings:
    """A home with a log in a file, or in an empty Redis."""
    return empty_home(tmp_path, store)
