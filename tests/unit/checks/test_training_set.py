"""A training set with a leak, a wrong label, a strange share of positives or a row that is no event."""

from __future__ import annotations

import polars as pl
import pytest
from worlds.checked_tables import AS_OF, DAY, STATE, CheckedTables, Tamper

from jobs.checks import training_set
from jobs.checks.check import Outcome
from jobs.use_cases.fraud import FRAUD

FEATURE = "customer_amount_mean_7d"
YOUNG = pl.col("tx_datetime") > AS_OF - 2 * DAY


def judged(tables: CheckedTables) -> dict[str, Outcome]:
    return {each.check.name: each for each in training_set.judge(tables.lakehouse, FRAUD, STATE)}


def failed(tables: CheckedTables, change: Tamper) -> dict[str, Outcome]:
    tables.tamper(FRAUD.training_set, change)
    return {name: outcome for name, outcome in judged(tables).items() if not outcome.passed}


def test_a_sound_training_set_passes(tables: CheckedTables) -> None:
    outcomes = judged(tables)
    assert {check.name for check in training_set.CHECKS} == outcomes.keys()
    assert all(each.passed and each.expected for each in outcomes.values())


@pytest.mark.parametrize(
    "leak",
    [pl.col("is_fraud").cast(pl.Float64), pl.when("is_fraud").then(pl.lit(None, pl.Float64)).otherwise(FEATURE)],
    ids=["the label itself", "missing where it is positive"],
)
def test_a_feature_that_holds_the_label_is_named(tables: CheckedTables, leak: pl.Expr) -> None:
    found = failed(tables, lambda rows: rows.with_columns(leak.alias(FEATURE)))
    assert found.keys() == {"no_leak"} and found["no_leak"].found.startswith(f"{FEATURE} alone with average precision")


def test_a_strong_feature_is_no_leak(tables: CheckedTables) -> None:
    strong = pl.col(FEATURE) + 2 * pl.col("is_fraud").cast(pl.Float64)
    assert not failed(tables, lambda rows: rows.with_columns(strong.alias(FEATURE)))


def test_labels_of_one_class_are_no_share(tables: CheckedTables) -> None:
    found = failed(tables, lambda rows: rows.filter(~pl.col("is_fraud")))
    assert found.keys() == {"label_share"} and "negatives only" in found["label_share"].found


def test_a_jump_of_the_share_warns(tables: CheckedTables) -> None:
    late = (pl.col("tx_datetime") > AS_OF - 27 * DAY) & (pl.col("transaction_id") % 2 == 0)
    outcome = failed(tables, lambda rows: rows.with_columns(is_fraud=pl.col("is_fraud") | late))["label_share"]
    assert outcome.check.severity == "warning" and "among the later ones" in outcome.found


def test_a_negative_before_its_time_is_found(tables: CheckedTables) -> None:
    """As if an event without a report counted at once."""
    events = pl.DataFrame(tables.lakehouse.to_arrow(FRAUD.events)).filter(YOUNG & (pl.col("transaction_id") % 10 != 0))

    def with_young(rows: pl.DataFrame) -> pl.DataFrame:
        young = events.select("transaction_id", "tx_datetime", "customer_id", "tx_amount", "event_date")
        return pl.concat([rows, young.with_columns(is_fraud=False)], how="diagonal_relaxed")

    found = failed(tables, with_young)
    assert found.keys() == {"label_maturity"}
    assert found["label_maturity"].numbers["negative_before_their_time"] == events.height


def test_labels_against_their_reports_are_found(tables: CheckedTables) -> None:
    flipped = pl.when(pl.col("transaction_id") % 10 < 2).then(~pl.col("is_fraud")).otherwise("is_fraud")
    numbers = failed(tables, lambda rows: rows.with_columns(flipped.alias("is_fraud")))["label_maturity"].numbers
    assert numbers["against_their_report"] and numbers["positive_without_a_report"]


def test_rows_of_no_event_hold_the_training_back(tables: CheckedTables) -> None:
    name = pl.col("transaction_id")
    found = failed(tables, lambda rows: rows.with_columns(pl.when(name % 7 == 0).then(name + 10**6).otherwise(name)))
    assert found["rows_are_events"].holds_back and found["rows_are_events"].numbers["unknown"]


def test_an_empty_training_set_is_not_judged(tables: CheckedTables) -> None:
    assert not failed(tables, lambda rows: rows.clear())
