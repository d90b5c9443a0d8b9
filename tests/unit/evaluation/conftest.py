"""A training set, and a good model of it."""

from pathlib import Path

import pytest
from worlds.judged_rows import TABLE, rows_in
from worlds.judged_world import fitted, write_training_set

from jobs import settings
from jobs.lakehouse.tables import Lakehouse
from jobs.registry.bundle import Bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def lakehouse(folder: Path) -> Lakehouse:
    return write_training_set(settings.load({"EVERGREEN_HOME": str(folder / "home")}), TABLE)


@pytest.fixture(scope="module")
def good(folder: Path) -> Bundle:
    return fitted(folder / "good", rows_in(40, 20))
