"""A declaration that cannot be meant is refused where it is made, with the source and what was expected."""

from dataclasses import replace
from typing import Any

import pytest
from worlds.deliveries import DELAYS

from jobs.errors import Invalid
from jobs.problem import Groups, Rule, Slice
from jobs.use_case import Column, Source, problem_of
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


def test_an_input_or_a_rule_of_a_kind_that_no_model_takes_is_refused() -> None:
    problem = replace(problem_of(FRAUD), inputs=("tx_amount", "tx_datetime"))
    with pytest.raises(Invalid, match=r"expected inputs that differ .* found tx_datetime, whose age is 0"):
        replace(FRAUD, problem=problem)
    by_moment = replace(problem, inputs=(), rules=(Rule("oldest", ("tx_datetime",)),))
    with pytest.raises(Invalid, match=r"rank by numbers, found tx_datetime of kind timestamp; rank by tx_datetime_age"):
        replace(FRAUD, problem=by_moment)
    by_text = replace(problem_of(FRAUD), rules=(Rule("by_region", ("region",)),))
    with pytest.raises(Invalid, match=r"expected rule by_region to rank by numbers, found region of kind string"):
        replace(FRAUD, problem=by_text)
    replace(FRAUD, problem=replace(problem_of(FRAUD), inputs=("tx_amount", "region")))


@pytest.mark.parametrize(("problem", "told"), [
    ({"rules": (Rule("first", ("remark",)),)}, "expected rule first to rank by numbers, found remark of kind text"),
    ({"rules": (Rule("said", cases=((("remark", "==", "x"), 1.0),), otherwise=0.0),)}, "expected cases of rule said"),
    ({"slices": (Slice("said", "remark", values=("x",)),)}, "slice said to cut numbers, found bounds of remark"),
    ({"slices": (Groups("said", "remark"),)}, "slice said to cut numbers, found bounds of remark"),
])  # fmt: skip
def test_a_text_is_refused_where_words_have_no_meaning(problem: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        replace(DELAYS, problem=replace(problem_of(DELAYS), **problem))


def test_a_text_is_no_label_and_no_key() -> None:
    told = r"expected the label is_fraud to be of kind boolean for a binary task, found text"
    with pytest.raises(Invalid, match=told):
        replace(FRAUD, computed=(*FRAUD.computed, Column("is_fraud", "text")))
    columns = (Column("note", "text"), Column("at", "timestamp"))
    with pytest.raises(Invalid, match=r"expected columns that identify a row, found the vectors or texts \['note'\]"):
        Source("notes", columns, key=("note",), event_time="at")


@pytest.mark.parametrize("guard", [
    Slice("north", "region", source="customers", minimum=1),
    Groups("regions", "region", source="customers", edges=(1,)),
    Slice("late", "tx_datetime", maximum=3),
])  # fmt: skip
def test_a_slice_cuts_numbers_only(guard: Slice | Groups) -> None:
    with pytest.raises(Invalid, match=f"expected slice {guard.name} to cut numbers, found bounds of {guard.column} of"):
        replace(FRAUD, problem=replace(problem_of(FRAUD), slices=(guard,)))
    by_value = Slice("by_value", guard.column, values=("x",), source=guard.source)
    replace(FRAUD, problem=replace(problem_of(FRAUD), slices=(by_value, Groups("each", guard.column, guard.source))))
