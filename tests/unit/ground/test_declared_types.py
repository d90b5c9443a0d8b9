"""A declaration of a wrong type, or one that contradicts itself, is refused in one line with its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime, timedelta
from typing import Any, Literal

import pytest

from jobs import problem, use_case
from jobs.declared_types import is_of
from jobs.errors import Invalid
from jobs.use_cases.catalog import USE_CASES
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, PROBLEM, TRANSACTIONS

# Without their types, as a checker would refuse what is tried here.
replace: Any = dataclasses.replace
Column: Any = use_case.Column
Family: Any = problem.Family
Groups: Any = problem.Groups
Range: Any = problem.Range
Review: Any = problem.Review
Rule: Any = problem.Rule
Slice: Any = problem.Slice
NULLABLE = Column("fraud_reported_at", "timestamp", nullable=True)
OF_OTHER_KINDS = replace(FRAUD_REPORTS, references={"tx_fraud": "transactions.tx_amount"})
A_DAY, NAN = timedelta(days=1), float("nan")
DECLARED: tuple[Any, ...] = (
    *USE_CASES, TRANSACTIONS, FRAUD_REPORTS, TRANSACTIONS.columns[0], PROBLEM, Range(1, 2), Family("boosted"),
    Slice("s", "x", minimum=1), Groups("g", "x"), Rule("r", ("x",)),
)  # fmt: skip
WRONG: tuple[object, ...] = (
    object(),
    1.5j,
    b"x",
    {1},
    ...,
    [()],
    ("x", 1),
    {"x": object()},
    NAN,
    [],
    datetime(2026, 1, 1),
)


@pytest.mark.parametrize("declared", DECLARED, ids=lambda each: type(each).__name__)
def test_a_value_of_another_type_is_refused_in_every_field(declared: Any) -> None:
    for field in fields(declared):
        refused = 0
        for value in WRONG:
            try:
                replace(declared, **{field.name: value})
            except Invalid as error:
                [line] = str(error).splitlines()
                assert f"{field.name}: expected" in line and "found" in line and __file__ in line, line
                refused += 1
        assert refused >= len(WRONG) - 3, field.name


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Column("my amount", "number"), "column my amount: name: expected letters"),
    (lambda: Column("x", "money"), "column x: kind: expected one of 'identifier', .* found 'money'"),
    (lambda: Column("x", "number", minimum=2, maximum=1), "expected minimum <= maximum, found 2 and 1"),
    (lambda: Column("x", "string", minimum=0), "expected bounds of a number only"),
    (lambda: Column("x", "number", minimum="0"), "minimum: expected a finite number or None, found '0'"),
    (lambda: Column("x", "string", formats=("%Y",)), "expected formats of a timestamp only"),
    (lambda: Column("x", "string", also_in_file="X"), "also_in_file: expected a tuple, each a text, found 'X'"),
    (lambda: Column("x", "number", made_of=("y",)), "made_of: expected of a string only"),
    (lambda: replace(TRANSACTIONS, key="transaction_id"), "key: expected a tuple, each a text"),
    (lambda: replace(TRANSACTIONS, key=("transaction_id",) * 2), "key: expected distinct columns"),
    (lambda: replace(TRANSACTIONS, latency=-A_DAY), "expected latency and carried_delay of 0 or more"),
    (lambda: replace(TRANSACTIONS, latency=7), "latency: expected a timedelta, found 7"),
    (lambda: replace(TRANSACTIONS, plausible_age=0 * A_DAY), "plausible_age: expected more than 0"),
    (lambda: replace(TRANSACTIONS, option="My Files"), "option: expected small letters"),
    (lambda: replace(TRANSACTIONS, columns=(*TRANSACTIONS.columns, Column("event_date", "timestamp"))), "rename them"),
    (lambda: replace(TRANSACTIONS, columns=(*TRANSACTIONS.columns, Column("k", "string", made_of=("nope",)))),
     "made_of of k: expected columns among"),
    (lambda: replace(FRAUD_REPORTS, columns=(*FRAUD_REPORTS.columns[:2], NULLABLE)),
     "fraud_reported_at: expected a value in each row"),
    (lambda: replace(FRAUD, sources=()), "sources: expected at least one"),
    (lambda: replace(FRAUD, sources=(TRANSACTIONS, TRANSACTIONS)), "expected sources of distinct names"),
    (lambda: replace(FRAUD, sources=(TRANSACTIONS, replace(FRAUD_REPORTS, option="transactions"))), "distinct options"),
    (lambda: replace(FRAUD, sources=(TRANSACTIONS, OF_OTHER_KINDS)),
     "expected columns of one kind"),
    (lambda: replace(FRAUD, first_day=date(2027, 1, 1)), "expected first_day <= last_day"),
    (lambda: replace(FRAUD, first_day=datetime(2026, 1, 1)), "first_day: expected a date without a time"),
    (lambda: replace(FRAUD, label_maturity=-A_DAY), "label_maturity: expected 0 or more"),
    (lambda: replace(FRAUD, training_window=0 * A_DAY), "training_window: expected more than 0"),
    (lambda: replace(FRAUD, name="my fraud"), "use case my fraud: name: expected small letters"),
    (lambda: replace(FRAUD, windows=FRAUD.windows[:1] * 2), "expected windows of distinct names"),
    (lambda: replace(PROBLEM, families=()), "families: expected at least one"),
    (lambda: replace(PROBLEM, families=(Family("boosted"),) * 2), "families: expected distinct names"),
    (lambda: replace(PROBLEM, families=(Family("xgboost"),)),
     "binary expects families among logistic, boosted, tabular_mlp, rule, found xgboost"),
    (lambda: replace(FRAUD, problem=replace(PROBLEM, slices=(Slice("s", "region", 1, source="clients"),))),
     "s.source: expected one of the sources .* found 'clients'"),
    (lambda: replace(FRAUD, problem=replace(PROBLEM, fairness=(Groups("g", "nowhere", source="customers"),))),
     "g.column: expected a column of customers, .* found 'nowhere'"),
    (lambda: replace(PROBLEM, trials=True), "trials: expected a whole number, found True"),
    (lambda: replace(PROBLEM, sampler="best"), "sampler: expected one of 'tpe', 'random', 'grid', found 'best'"),
    (lambda: replace(PROBLEM, evaluation_window=90 * A_DAY), "expected longest_evaluation_window of at least"),
    (lambda: Review(threshold=1.5, capacity=1, cost=1), "threshold: expected a score of 0 to 1, found 1.5"),
    (lambda: Range(2, 1), "expected low <= high, found 2 and 1"),
    (lambda: Range(0, 1, log=True), "expected low > 0 for a logarithmic range"),
    (lambda: Range(0, 1.5, integer=True), r"expected whole numbers, found \[0, 1.5\]"),
    (lambda: Range(0, 1, step=0), "step: expected more than 0"),
    (lambda: Range(NAN, 1), "low: expected a finite number, found nan"),
    (lambda: Family("boosted", negative_rate=0), "negative_rate: expected a share above 0"),
    (lambda: Family("boosted", search={"rounds": ()}), "search: expected a range or values of rounds"),
    (lambda: Family("boosted", search={"rounds": [1]}), "search: expected a mapping of a text to a Range or a tuple"),
    (lambda: Slice("s", "x"), "expected either minimum or maximum, or values"),
    (lambda: Slice("s", "x", minimum=2, maximum=2), "expected minimum < maximum"),
    (lambda: Groups("g", "x", edges=(2, 1)), "edges: expected ascending numbers"),
    (lambda: Rule("r", ()), "features: expected at least one"),
    (lambda: Rule("r", "risk"), "features: expected a tuple, each a text, found 'risk'"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place(make: Callable[[], object], message: str) -> None:
    with pytest.raises(Invalid, match=message) as found:
        make()
    assert __file__ in str(found.value) and "\n" not in str(found.value)


def test_values_are_of_what_annotations_say() -> None:
    assert is_of((1, 2), tuple[int, ...]) and not is_of([1, 2], tuple[int, ...]) and not is_of((True,), tuple[int, ...])
    assert is_of({"a": 1}, Mapping[str, float]) and not is_of({1: 1}, Mapping[str, float])
    assert is_of(None, int | None) and is_of("a", Literal["a", "b"]) and not is_of(1, Literal[True])
    assert is_of(print, Callable[[str], None]) and not is_of("print", Callable[[str], None])
    assert is_of(date(2026, 1, 1), date) and not is_of(datetime(2026, 1, 1), date)
