"""A small home that was built before `jobs` was parted into rooms, and what the code of then made of one more night.

`old_home.tar.xz` holds the home, the script that made it (`made_by.py`) and `next_night.json`. It was packed with
`tar --format=posix`, since the modification times of input files count.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs import settings
from jobs.problem import Family
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD, PROBLEM

ARCHIVE = Path(__file__).with_name("old_home.tar.xz")
OLD_PLACE = "/old-home"
LAST_NIGHT, NEXT_NIGHT = datetime(2026, 3, 31, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
USE_CASE = replace(
    FRAUD,
    label_maturity=timedelta(days=4),
    problem=replace(
        PROBLEM,
        families=(Family("boosted", fixed={"rounds": 25, "num_leaves": 7}),),
        validation_window=timedelta(days=5),
        evaluation_window=timedelta(days=10),
        training_noise=0.0,
        slices=(),
        fairness=(),
        latency_ms=1000.0,
    ),
)


def unpacked(folder: Path) -> Settings:
    """The home in `folder`, with every path in it that named its old place rewritten."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    home = folder / "old-home"
    for file in home.rglob("*.json"):
        if OLD_PLACE in (text := file.read_text()):
            file.write_text(text.replace(OLD_PLACE, str(home)))
    with sqlite3.connect(home / "tracking" / "mlflow.db") as database:
        for table, column in _texts(database):
            database.execute(f'update "{table}" set "{column}" = replace("{column}", ?, ?)', (OLD_PLACE, str(home)))
    database.close()
    return settings.load({"EVERGREEN_HOME": str(home)})


def next_night(home: Path) -> dict[str, Any]:
    """What one more night led to: rows and sums per table, scores, the decision, the digest of the evidence."""
    made: dict[str, Any] = json.loads((home / "next_night.json").read_text())
    return made


def _texts(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Columns of text that hold the old place."""
    tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'").fetchall()]
    columns = [(table, row[1]) for table in tables for row in database.execute(f'pragma table_info("{table}")')]
    return [
        (table, column)
        for table, column in columns
        if database.execute(f'select 1 from "{table}" where instr("{column}", ?)', (OLD_PLACE,)).fetchone()
    ]
