"""MLflow's empty database, made once for all homes of a test session: its migrations take a second in each."""

import shutil
from collections.abc import Callable
from pathlib import Path

from worlds.shared import built_once

from jobs import settings
from jobs.registry import tracking
from jobs.settings import Settings

PREPARE: Callable[[Settings], None] = tracking.prepare


def copying(folder: Path) -> Callable[[Settings], None]:
    """Prepares the folder of a home as PREPARE does, with a copy of the database made in `folder` if it has none."""

    def prepare(own: Settings) -> None:
        if own.tracking is None and own.home.resolve() != (folder / "built").resolve():
            database = built_once(folder, _make) / "tracking" / "mlflow.db"
            if not (own.home / "tracking" / "mlflow.db").exists():
                (own.home / "tracking").mkdir(parents=True, exist_ok=True)
                shutil.copy(database, own.home / "tracking")
        PREPARE(own)

    return prepare


def _make(built: Path) -> None:
    with tracking.client(settings.load({"EVERGREEN_HOME": str(built)})) as tracker:
        tracker.search_registered_models()
