"""A history is read once for the steps of a run, and anew where the table, or the lakehouse, is another."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
from deltalake import write_deltalake
from worlds import small_history
from worlds.small_history import START, world

from jobs import settings
from jobs.datasets import day_cache, history
from jobs.lakehouse.tables import Lakehouse
from jobs.models.features import values_of
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


def test_features_read_by_day_are_those_read_at_once(tmp_path: Path) -> None:
    lakehouse = written(tmp_path, seed=1)
    whole = history.read(lakehouse, FRAUD)
    by_day = history.read(Lakehouse(lakehouse.settings), FRAUD, by_day=True)
    assert np.array_equal(by_day.times, whole.times) and by_day.names == whole.names
    # The last days one by one, then all: both ways of reading.
    for day in np.unique(whole.days)[::-1]:
        first, last = np.searchsorted(whole.days, [day, day + 1])
        for rows in (slice(first, last), slice(first + 3, last - 5)):
            assert np.array_equal(values_of(by_day.features[rows]), values_of(whole.features[rows]), equal_nan=True), (
                day
            )


def test_a_day_that_was_written_again_lies_in_other_files(tmp_path: Path) -> None:
    lakehouse = written(tmp_path, seed=1)
    before, name = day_cache.files(lakehouse, history.table(FRAUD)), history.table(FRAUD)
    day = max(before)
    rows = lakehouse.to_arrow(name, filters=[("event_date", "=", day)])
    write_deltalake(lakehouse.path(name), rows, mode="overwrite", predicate=f"event_date = '{day}'")
    after = day_cache.files(lakehouse, name)
    assert {each for each in before if before[each] != after[each]} == {day}
