"""Loads that lose rows, refuse many, or bring nothing new."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from worlds.checked_tables import AS_OF, DAY, CheckedTables

from jobs.checks import raw_loads
from jobs.ingest.load_memory import LoadResult
from jobs.use_cases.fraud import CUSTOMERS, FRAUD, TRANSACTIONS

LOADED = LoadResult(rows_read=1000, appended=960, rows_quarantined=40)


def passed(tables: CheckedTables, loaded: LoadResult = LOADED, later: timedelta = timedelta(0)) -> dict[str, bool]:
    rows = pl.DataFrame(tables.lakehouse.to_arrow(FRAUD.events))
    tables.put(FRAUD.raw_table(TRANSACTIONS), rows)
    outcomes = raw_loads.judge(tables.lakehouse, FRAUD, TRANSACTIONS, loaded, AS_OF + later)
    return {each.check.name: each.passed for each in outcomes}


def test_a_sound_load_passes(tables: CheckedTables) -> None:
    assert all(passed(tables).values())


@pytest.mark.parametrize("lost", [1, -1])
def test_a_row_that_vanished_or_was_made_up_fails(tables: CheckedTables, lost: int) -> None:
    found = passed(tables, replace(LOADED, unaccounted=lost))
    assert not found["rows_accounted"] and found["quarantine_share"]


def test_many_rows_in_quarantine_fail(tables: CheckedTables) -> None:
    assert not passed(tables, replace(LOADED, rows_quarantined=60))["quarantine_share"]


def test_a_silent_source_warns_after_what_is_usual(tables: CheckedTables) -> None:
    assert passed(tables, later=2 * DAY)["events_fresh"] and not passed(tables, later=3 * DAY)["events_fresh"]


def test_a_source_with_longer_silences_may_be_silent_for_longer(tables: CheckedTables) -> None:
    weekly = pl.col("event_date").dt.weekday() == 7
    tables.tamper(FRAUD.events, lambda rows: rows.filter(weekly))
    assert passed(tables, later=7 * DAY)["events_fresh"] and not passed(tables, later=9 * DAY)["events_fresh"]


def test_a_source_without_a_file_or_without_days_is_not_judged(tables: CheckedTables) -> None:
    outcomes = raw_loads.judge(tables.lakehouse, FRAUD, CUSTOMERS, LoadResult(), AS_OF)
    assert all(each.passed and each.text.startswith("not judged") for each in outcomes)
