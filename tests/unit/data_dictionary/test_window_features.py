"""A window feature says what is computed, of what, in which unit, over which window and as known when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.conditions import Where
from jobs.data_dictionary.window_features import in_words, window_feature, window_features
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from jobs.use_cases.returns import RETURNS
from jobs.window_lengths import BEFORE, Last, Trend
from jobs.windows import BOOLEAN_COLUMN, WHOLE_NUMBERS, Aggregate, Function, Interpolation, WindowFeatures

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)


def sentence(use_case: UseCase, name: str) -> str:
    return window_features(use_case)[name].sentence


def of(aggregate: Aggregate, use_case: UseCase = FRAUD, entity: str | tuple[str, ...] = "terminal_id") -> str:
    windows = WindowFeatures("w", entity, "transaction_id", "tx_datetime", (aggregate,))
    return window_feature(use_case, windows, windows.features[0]).sentence


@pytest.mark.parametrize(
    ("use_case", "name", "text"),
    [
        (
            FRAUD,
            "customer_amount_mean_30d",
            "Mean tx_amount of the customer's transactions in the 30 days up to this one (included), as known at its "
            "time, in the card's currency; null if there is none.",
        ),
        (
            FRAUD,
            "terminal_risk_7d_delay_7d",
            "Share (0 to 1) of the terminal's transactions known to have is_fraud true in the 7 days ending 7 days "
            "before this one, as known at its time; 0 if there is none.",
        ),
        (
            FRAUD,
            "customer_suspected_7d_delay_1s",
            "Number of the customer's transactions with amount_to_level above 2.2 in the 7 days ending 1 second before "
            "this one, as known at its time; amount_to_level is tx_amount over the mean tx_amount of the same "
            "customer's transactions in the 30 days ending 1 second before its time.",
        ),
        (
            RETURNS,
            "buyer_last_returned_age_90d",
            "Age in seconds of the latest of the buyer's purchases known to have is_returned true in the 90 days up to "
            "this one, as known at its time; null if there is none.",
        ),
    ],
)
def test_a_declaration_reads_as_a_sentence(use_case: UseCase, name: str, text: str) -> None:
    assert sentence(use_case, name) == text


def test_own_words_say_what_is_computed_and_the_rest_is_still_told() -> None:
    own = Aggregate("mean", "tx_amount", (DAY,), SECOND, description="What is usually paid.")
    expected = "What is usually paid in the day ending 1 second before this one, as known at its time, in the card's "
    assert of(own) == f"{expected}currency; null if there is none."


@given(
    st.sampled_from(get_args(Function)),
    st.sampled_from(["events", "labels"]),
    st.integers(1, 400).map(lambda hours: timedelta(hours=hours)),
    st.sampled_from([timedelta(0), SECOND, 7 * DAY]),
    st.sampled_from([None, 0.0, -1.5]),
    st.sampled_from([None, ("is_fraud", False), ("terminal_id", 7), ("tx_amount", ">", 2.5)]),
    st.sampled_from(get_args(Interpolation)),
)
def test_every_declaration_names_column_window_delay_and_unit(
    function: Function,
    facts: Any,
    window: timedelta,
    delay: timedelta,
    empty: float | None,
    where: Any,
    between: Interpolation,
) -> None:
    if function in BOOLEAN_COLUMN:
        facts, where = "labels", None
    empty = None if function in WHOLE_NUMBERS else empty
    percentile = 0.9 if function == "percentile" else None
    column = "is_fraud" if function in BOOLEAN_COLUMN else "tx_amount"
    text = of(Aggregate(function, column, (window,), delay, facts, where, empty, None, "", percentile, between))
    assert in_words(window).removeprefix("1 ") in text and (not delay or f"ending {in_words(delay)} before" in text)
    assert text.endswith(".") and ".." not in text and "None" not in text and "{" not in text
    assert function.endswith("_age") or column in text
    assert where is None or where[0] in text
    money = function in ("sum", "mean", "std", "min", "max", "percentile")
    assert ("in the card's currency" in text) == money and ("in seconds" in text) == function.endswith("_age")


PAIR = ("customer_id", "terminal_id")
SMALL: Where = (("tx_amount", ">=", 1), ("tx_amount", "<", 20))
MONTH = 30 * DAY


@pytest.mark.parametrize(
    ("aggregate", "entity", "text"),
    [
        (
            Aggregate("count", windows=(90 * DAY,), delay=BEFORE),
            PAIR,
            "Number of the transactions of this customer and terminal in the 90 days before this one, as known at its "
            "time.",
        ),
        (
            Aggregate("count", windows=(6 * HOUR,), where=SMALL),
            "customer_id",
            "Number of the customer's transactions with tx_amount of at least 1 and tx_amount below 20 in the 6 hours "
            "up to this one (included), as known at its time.",
        ),
        (
            Aggregate("percentile", "tx_amount", (MONTH,), percentile=0.9, interpolation="lower"),
            "customer_id",
            "Percentile 90 of tx_amount over the customer's transactions in the 30 days up to this one (included), as "
            "known at its time, in the card's currency; null if there is none; the lower one of two values that it "
            "falls between.",
        ),
        (
            Aggregate("mean", "tx_amount", (Last(5, MONTH),)),
            "customer_id",
            "Mean tx_amount of the customer's transactions, only the last 5, in the 30 days up to this one (included), "
            "as known at its time, in the card's currency; null if there is none.",
        ),
        (
            Aggregate("sum", "tx_amount", (Trend(DAY, MONTH),), empty=0.0),
            "customer_id",
            "Sum of tx_amount over the customer's transactions in the day over that in the 30 days up to this one "
            "(included), as known at its time; 0 if either is undefined or the longer one is 0.",
        ),
    ],
)
def test_pairs_conditions_and_other_windows_read_as_sentences(aggregate: Aggregate, entity: Any, text: str) -> None:
    assert of(aggregate, entity=entity) == text


def test_two_declarations_that_differ_are_told_apart() -> None:
    for use_case in (FRAUD, RETURNS):
        texts = [meaning.sentence for meaning in window_features(use_case).values()]
        assert len(set(texts)) == len(texts)


def test_a_column_without_a_unit_gives_features_without_one() -> None:
    source = replace(FRAUD.sources[0], columns=tuple(replace(c, unit="") for c in FRAUD.sources[0].columns))
    unitless = replace(FRAUD, sources=(source, *FRAUD.sources[1:]))
    assert "currency" not in of(Aggregate("mean", "tx_amount"), unitless)
