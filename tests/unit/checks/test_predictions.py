"""Predictions that lack an event, are no probability, or are all the same."""

from __future__ import annotations

import polars as pl
import pytest
from worlds.checked_tables import AS_OF, DAY, CheckedTables, Tamper

from jobs.checks import predictions
from jobs.scoring import prediction_log
from jobs.use_cases.fraud import FRAUD

LOG = prediction_log.table(FRAUD)
NIGHTS = [(AS_OF - n * DAY).date() for n in (3, 2, 1)]
SOME = pl.col("transaction_id") % 30 == 0


def some_scored(value: float | None) -> pl.Expr:
    return pl.when(SOME).then(pl.lit(value)).otherwise("score").cast(pl.Float32).alias("score")


def failing(tables: CheckedTables) -> set[str]:
    outcomes = predictions.judge(tables.lakehouse, FRAUD, NIGHTS, AS_OF)
    assert {each.check for each in outcomes} == set(predictions.CHECKS)
    return {each.check.name for each in outcomes if not each.passed}


def test_sound_predictions_pass(tables: CheckedTables) -> None:
    assert failing(tables) == set()


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda log: log.filter(~SOME), "rows_equal_events"),
        (lambda log: pl.concat([log, log.filter(SOME)]), "rows_equal_events"),
        (lambda log: log.with_columns(some_scored(1.5)), "scores_in_range"),
        (lambda log: log.with_columns(some_scored(float("nan"))), "scores_in_range"),
        (lambda log: log.with_columns(some_scored(None)), "scores_in_range"),
        (lambda log: log.with_columns(score=pl.lit(0.25, pl.Float32)), "scores_vary"),
        (lambda log: log.with_columns(pl.col("tx_datetime") + 4 * DAY), "no_future"),
    ],
    ids=["lacking", "twice", "above 1", "no number", "null", "constant", "future"],
)
def test_a_fault_fails_its_check(tables: CheckedTables, change: Tamper, check: str) -> None:
    tables.tamper(LOG, change)
    assert failing(tables) == {check}


def test_what_is_scored_online_is_not_looked_at(tables: CheckedTables) -> None:
    online = pl.lit("online").alias("origin")
    tables.tamper(LOG, lambda log: pl.concat([log, log.filter(SOME).with_columns(online, score=pl.lit(7, pl.Float32))]))
    assert failing(tables) == set()


def test_without_a_champion_nothing_is_judged(tables: CheckedTables) -> None:
    outcomes = predictions.judge(tables.lakehouse, FRAUD, [], AS_OF)
    assert all(each.passed and "no champion" in each.text for each in outcomes)
