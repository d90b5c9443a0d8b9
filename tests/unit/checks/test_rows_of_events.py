"""Rows that lack an event, hold one twice, or know the future: found in history and windows alike."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from worlds.checked_tables import AS_OF, DAY, CheckedTables, Tamper

from jobs.checks import rows_of_events
from jobs.checks.check import Outcome
from jobs.checks.rows_of_events import EventRows
from jobs.datasets import history
from jobs.use_cases.fraud import FRAUD

TABLE = history.table(FRAUD)
ROWS = EventRows(TABLE, FRAUD.event_timestamp, "event_known_at")
LAST = (AS_OF - DAY).date()
FIRST_OF_LAST = (pl.col("event_date") == LAST) & (pl.int_range(pl.len()).over("event_date") == 0)


def judged(tables: CheckedTables) -> dict[str, Outcome]:
    return {each.check.name: each for each in rows_of_events.judge(tables.lakehouse, FRAUD, ROWS, AS_OF)}


def test_sound_rows_pass(tables: CheckedTables) -> None:
    outcomes = judged(tables)
    assert all(each.passed and each.expected for each in outcomes.values())
    assert outcomes["rows_equal_events"].numbers["rows"] == 3 * 60


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda rows: rows.filter(~FIRST_OF_LAST), "lacking"),
        (lambda rows: pl.concat([rows, rows.filter(FIRST_OF_LAST)]), "twice"),
        (
            lambda rows: rows.with_columns(
                pl.when(FIRST_OF_LAST).then(10**6).otherwise("transaction_id").alias("transaction_id")
            ),
            "unknown",
        ),
        (lambda rows: rows.filter(pl.col("event_date") != LAST), "lacking"),
    ],
)
def test_rows_that_are_not_the_events_are_counted(tables: CheckedTables, change: Tamper, count: str) -> None:
    tables.tamper(TABLE, change)
    outcome = judged(tables)["rows_equal_events"]
    assert not outcome.passed and outcome.holds_back
    assert outcome.numbers[count] in (1, 60) and f"{outcome.numbers[count]} {count}" in outcome.found


def test_a_row_of_later_than_the_moment_is_found(tables: CheckedTables) -> None:
    later = pl.when(FIRST_OF_LAST).then(AS_OF + timedelta(hours=1)).otherwise("tx_datetime")
    tables.tamper(TABLE, lambda rows: rows.with_columns(later.alias("tx_datetime")))
    outcome = judged(tables)["no_future"]
    assert not outcome.passed
    assert {name: outcome.numbers[name] for name in ("later", "on_another_day", "known_before_it_happened")} == {
        "later": 1, "on_another_day": 1, "known_before_it_happened": 1,
    }  # fmt: skip


def test_what_became_known_after_the_moment_is_no_event_yet(tables: CheckedTables) -> None:
    late = pl.when(FIRST_OF_LAST).then(AS_OF + DAY).otherwise("known_at")
    tables.tamper(FRAUD.events, lambda rows: rows.with_columns(late.alias("known_at")))
    assert judged(tables)["rows_equal_events"].numbers["unknown"] == 1


def test_without_events_there_is_nothing_to_judge(tables: CheckedTables) -> None:
    tables.put(FRAUD.events, pl.DataFrame(tables.lakehouse.to_arrow(FRAUD.events)).clear())
    outcomes = judged(tables).values()
    assert all(each.passed and each.found.startswith("not judged") for each in outcomes)
