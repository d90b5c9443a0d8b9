"""A history is read once for the steps of a run, and anew where the table, or the lakehouse, is another."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from worlds import small_history
from worlds.small_history import START, world

from jobs import settings
from jobs.datasets import history
from jobs.lakehouse.tables import Lakehouse
from jobs.use_cases.fraud import FRAUD

AS_OF = START + timedelta(days=40)


def written(folder: Path, seed: int) -> Lakehouse:
    return small_history.write(settings.load({"EVERGREEN_HOME": str(folder)}), world(seed), FRAUD, AS_OF)


def test_a_lakehouse_holds_the_history_that_it_read_last(tmp_path: Path) -> None:
    lakehouse = written(tmp_path, seed=0)
    first = history.read(lakehouse, FRAUD)
    assert history.read(lakehouse, FRAUD) is first
    written(tmp_path, seed=1)
    changed = history.read(lakehouse, FRAUD)
    assert changed is not first and (changed.times != first.times).any()
    assert len(lakehouse.last_read) == 1


def test_two_lakehouses_share_no_history(tmp_path: Path) -> None:
    one, other = written(tmp_path, seed=0), Lakehouse(settings.load({"EVERGREEN_HOME": str(tmp_path)}))
    assert history.read(one, FRAUD) is not history.read(other, FRAUD)
