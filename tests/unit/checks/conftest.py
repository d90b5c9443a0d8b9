"""Sound tables, which each test damages in its own way."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.checked_tables import CheckedTables, write_tables

from jobs import settings
from jobs.lakehouse.tables import Lakehouse


@pytest.fixture
def tables(tmp_path: Path) -> CheckedTables:
    return write_tables(Lakehouse(settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})))
