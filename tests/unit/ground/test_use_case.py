"""A declaration that cannot be meant is refused where it is made, with the source and what was expected."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.errors import Invalid
from jobs.use_case import Column
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS


@pytest.mark.parametrize(("changed", "message"), [
    ({"key": ()}, "source transactions: key: expected at least one column, found none"),
    ({"key": ("nope",)}, r"source transactions: key: expected columns among .* found \['nope'\]"),
    ({"event_time": "tx_amount"}, r"event_time: expected columns among \['tx_datetime'\], found \['tx_amount'\]"),
    ({"known_at": "nope"}, "known_at: expected columns among"),
    ({"references": {"nope": "customers.customer_id"}}, "references: expected columns among"),
    ({"columns": (*TRANSACTIONS.columns, Column("tx_amount", "number"))}, "expected distinct columns"),
])  # fmt: skip
def test_a_source_that_contradicts_itself_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        replace(TRANSACTIONS, **changed)


@pytest.mark.parametrize(("changed", "message"), [
    ({"carried_by": "nope"}, "fraud_reports.carried_by: expected one of .* found 'nope'"),
    ({"references": {"transaction_id": "nope.x"}}, "fraud_reports.references: expected one of .* found 'nope'"),
    ({"references": {"transaction_id": "transactions.x"}}, "expected a column of transactions, found 'x'"),
])  # fmt: skip
def test_a_source_refers_to_what_is_declared(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        replace(FRAUD, sources=(TRANSACTIONS, replace(FRAUD_REPORTS, **changed)))
