"""Which tables the decision service stands on, and which of several servers of a home may change them."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from jobs import settings
from jobs.decisions import opened
from jobs.errors import EvergreenError
from jobs.use_cases.fraud import FRAUD


def test_a_server_without_tables_does_not_keep_the_next_one_waiting(tmp_path: Path) -> None:
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    with opened.lease(home, FRAUD) as first, opened.lease(home, FRAUD) as second:
        with pytest.raises(EvergreenError, match="expected the tables"):
            opened.renew(home, FRAUD, first)
        fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
