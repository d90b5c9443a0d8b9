"""Review queues of events that were never scored, attributions that do not add up, groups that are overlooked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from worlds.checked_tables import AS_OF, DAY, CheckedTables, Tamper

from jobs.checks import decisions
from jobs.checks.check import Outcome
from jobs.evaluation import fairness
from jobs.evaluation.explain import Attribution
from jobs.scoring import prediction_log
from jobs.use_case import review_of
from jobs.use_cases.fraud import FRAUD

LAST = (AS_OF - DAY).date()
CAPACITY = review_of(FRAUD).capacity


def queue(tables: CheckedTables, change: Tamper) -> Outcome:
    of_day = [("event_date", "=", LAST)]
    log = pl.DataFrame(tables.lakehouse.to_arrow(prediction_log.table(FRAUD), filters=of_day)).head(10)
    asked = change(log.with_columns(propensity=0.5))
    return decisions.queue_of_scored_events(tables.lakehouse, FRAUD, LAST, asked.to_arrow())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda rows: rows, ""),
        (lambda rows: rows.with_columns(transaction_id=pl.col("transaction_id") + 10**6), "never_scored"),
        (lambda rows: pl.concat([rows, rows.head(1)]), "twice"),
        (lambda rows: pl.concat([rows] * CAPACITY), "beyond_capacity"),
        (lambda rows: rows.with_columns(propensity=0.0), "without_a_chance"),
    ],
    ids=["sound", "never scored", "twice", "too many", "no chance"],
)
def test_a_queue_is_of_scored_events(tables: CheckedTables, change: Tamper, fault: str) -> None:
    outcome = queue(tables, change)
    assert outcome.passed is (not fault)
    assert not fault or outcome.numbers[fault]


def test_attributions_that_do_not_add_up_fail() -> None:
    values = np.array([[0.5, -0.25], [1.0, 1.0]])
    scores = (1 / (1 + np.exp(-(values.sum(axis=1) - 1)))).astype(np.float32)
    sound = Attribution(("a", "b"), np.zeros((2, 2), np.float32), np.full(2, -1.0), values, scores, "exact")
    assert decisions.adds_up(sound).passed
    assert not decisions.adds_up(replace(sound, scores=scores + np.float32(0.01))).passed


def report(found_in_b: float, rows: int = 400) -> list[fairness.FairnessReport]:
    labels = np.arange(rows) % 4 == 0
    in_b = np.arange(rows) % 8 < 4
    lucky = np.arange(rows) % 100 < 100 * found_in_b
    return fairness.report(labels, labels & (~in_b | lucky), {"region:a": ~in_b, "region:[b](x)": in_b})


def test_a_group_whose_positives_are_overlooked_warns() -> None:
    assert decisions.groups_alike(report(0.9)).passed
    overlooked = decisions.groups_alike(report(0.0))
    assert not overlooked.passed and "region `[b](x)`: 0.00 of 0.50" in overlooked.found, "names come from data"
    assert "not judged" in decisions.groups_alike(report(0.0, rows=40)).text
