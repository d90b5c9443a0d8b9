"""What tests on both engines share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def built_marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `worlds.marts.built_or_copied` keeps the marts of a module, one folder for each engine."""
    return tmp_path_factory.mktemp("marts")
