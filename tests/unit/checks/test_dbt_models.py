"""A model without a test of its own, whose table is empty."""

from jobs.checks.dbt_models import not_empty


def test_an_empty_table_of_inputs_with_rows_warns() -> None:
    failed = not_empty(0, {"raw.orders": 1200})
    assert not failed.passed and failed.text == "expected at least one row, found 0"
    assert failed.check.severity == "warning" and not failed.holds_back
    assert not_empty(1200, {"raw.orders": 1200}).passed


def test_without_rows_to_read_there_is_nothing_to_judge() -> None:
    outcome = not_empty(0, {"raw.orders": 1200, "raw.shops": 0})
    assert outcome.passed and outcome.text == "not judged: raw.shops has no rows"
