"""A small home that was built before `jobs` was parted into rooms, and what the code of then made of one more night.

`old_home.tar.xz` holds the home, the script that made it (`made_by.py`) and `next_night.json`. It was packed with
`tar --format=posix`, since the modification times of input files count.
"""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tarfile
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs import settings
from jobs.integrity import home_check
from jobs.lakehouse.tables import attach
from jobs.limits import Limits
from jobs.problem import Family
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD, PROBLEM
from orchestration.dagster_yaml import CONFIGURATION
from orchestration.relocation import settle, with_history

ARCHIVE = Path(__file__).with_name("old_home.tar.xz")
OLD_PLACE = Path("/old-home")
LAST_NIGHT, NEXT_NIGHT = datetime(2026, 3, 31, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
USE_CASE = replace(
    FRAUD,
    label_maturity=timedelta(days=4),
    problem=replace(
        PROBLEM,
        families=(Family("boosted", fixed={"rounds": 25, "num_leaves": 7}),),
        validation_window=timedelta(days=5),
        evaluation_window=timedelta(days=10),
        slices=(),
        fairness=(),
        limits=Limits(latency_ms=1000.0, training_noise=0.0),
    ),
)


MADE_SINCE = {
    "fraud_features.customer_terminal_windows": "fraud.transactions",
    "fraud_monitoring.leaderboard": None,
    "fraud_monitoring.business": None,
}
"""Tables that the code of then did not make, and the table that they have as many rows as, if they follow one."""


def unpacked(folder: Path) -> Settings:
    """The home, moved into `folder`."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    own = settings.load({"EVERGREEN_HOME": str(folder / "old-home")})
    own.dagster_home.mkdir()
    (own.dagster_home / "dagster.yaml").write_text(with_history(CONFIGURATION, OLD_PLACE))
    settle(own)
    return own


def checked(folder: Path) -> Settings:
    """A copy of the home, in `folder`, that was found whole before it was copied: checksums of its files are known."""
    own = settings.load({"EVERGREEN_HOME": str(shutil.copytree(_found_whole(), folder / "old-home"))})
    settle(own)
    return own


@functools.cache
def _found_whole() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    own = unpacked(folder)
    assert not list(home_check.findings(attach(own), (USE_CASE,)))
    return own.home


def next_night(home: Path) -> dict[str, Any]:
    """What one more night led to: rows and sums per table, scores, the decision, the digest of the evidence."""
    made: dict[str, Any] = json.loads((home / "next_night.json").read_text())
    return made
