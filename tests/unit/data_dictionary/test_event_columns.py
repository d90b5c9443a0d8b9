"""Columns of sources and events say what they are, with and without a word from who declared them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.data_dictionary.dbt_columns import ModelDictionary
from jobs.data_dictionary.event_columns import BOOKKEEPING
from jobs.data_dictionary.tables import DataDictionary
from jobs.use_case import Column, Kind, Source, UseCase
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS
from jobs.use_cases.returns import RETURNS


def undescribed(use_case: UseCase) -> UseCase:
    """The use case as a stranger would declare it who writes nothing about it."""
    sources = tuple(
        replace(source, columns=tuple(replace(column, description="") for column in source.columns))
        for source in use_case.sources
    )
    return replace(use_case, sources=sources, computed=())


def in_source(source: Source, column: str) -> str:
    return DataDictionary(FRAUD, source=source).meaning(column).sentence


def test_description_and_unit_make_one_sentence() -> None:
    dictionary = DataDictionary(RETURNS, source=RETURNS.sources[0])
    assert dictionary.meaning("unit_price").sentence == "Price of a piece, in pounds."
    assert dictionary.meaning("quantity").sentence == "Pieces; negative when they come back."
    assert dictionary.meaning("invoiced_at").sentence == "When it was written, in UTC."
    assert dictionary.meaning("event_date").sentence == "Day (UTC) of invoiced_at; the daily partition."


def test_a_column_that_sql_computes_is_described_where_the_use_case_says_so() -> None:
    dictionary = DataDictionary(RETURNS)
    assert dictionary.meaning("amount").sentence == "Quantity times price, in pounds."
    assert dictionary.meaning("is_returned").sentence == (
        "Whether the line is known to have come back within 60 days; what nothing is known of 60 days after the event "
        "counts as false."
    )


def test_without_a_word_the_place_in_the_source_says_what_a_column_is() -> None:
    use_case = undescribed(FRAUD)
    transactions, reports, *_ = use_case.sources

    def text(source: Source, column: str) -> str:
        return DataDictionary(use_case, source=source).meaning(column).sentence

    assert text(transactions, "transaction_id") == "Identifies a row of transactions."
    assert text(transactions, "tx_datetime") == "When a row of transactions happened, in UTC."
    assert text(transactions, "customer_id") == "Customer id of transactions: an identifier."
    assert text(transactions, "tx_amount") == (
        "Tx amount of transactions: a number, at least 0 and at most 1e+09, in the card's currency."
    )
    assert text(reports, "transaction_id") == "Refers to transactions.transaction_id."
    assert text(reports, "fraud_reported_at") == "When a row of fraud reports became known, in UTC."


@given(
    st.sampled_from(get_args(Kind)),
    st.text("abcdefg_", min_size=1, max_size=12),
    st.sampled_from(["", "pounds", "units of the map"]),
    st.sampled_from([None, 0.0]),
)
def test_every_column_of_a_stranger_has_a_sentence_with_its_unit(
    kind: Kind, name: str, unit: str, minimum: float | None
) -> None:
    bound, length = minimum if kind in ("number", "integer") else None, 3 if kind == "vector" else None
    column = Column(name, kind, minimum=bound, unit=unit, length=length)
    others = (Column("ID", "identifier"), Column("AT", "timestamp"))
    source = Source("things", (*others, column), ("ID",), event_time="AT")
    text = DataDictionary(replace(FRAUD, sources=(source,), problem=None), source=source).meaning(name).sentence
    assert text.endswith(".") and len(text.split()) > 2 and unit in text
    assert kind != "timestamp" or unit or "UTC" in text


def test_identifiers_are_known_as_names_in_every_table() -> None:
    for use_case in (FRAUD, RETURNS, undescribed(FRAUD)):
        names = [use_case.event_id, *use_case.entities]
        assert all(DataDictionary(use_case).meaning(name).is_identifier for name in names)
    assert not DataDictionary(FRAUD).meaning("tx_amount").is_identifier


def test_what_a_table_says_of_its_own_columns_wins() -> None:
    assert DataDictionary(FRAUD, {"known_at": "Just here."}).meaning("known_at").sentence == "Just here, in UTC."


@pytest.mark.parametrize("name", BOOKKEEPING)
def test_columns_of_evergreen_are_the_same_in_every_use_case(name: str) -> None:
    assert DataDictionary(FRAUD).meaning(name) == DataDictionary(RETURNS).meaning(name) == BOOKKEEPING[name]


def test_a_model_says_what_its_yaml_or_its_inputs_say() -> None:
    source = {"resource_type": "source", "name": "fraud_reports", "columns": {"tx_fraud": {"description": "A"}}}
    staged = {"resource_type": "model", "name": "staged", "columns": {"own": {"description": "B"}}}
    manifest = {
        "nodes": {"model.p.staged": staged},
        "sources": {"source.p.fraud_reports": source},
        "parent_map": {"model.p.staged": ["source.p.fraud_reports"], "source.p.fraud_reports": []},
    }
    model = ModelDictionary(FRAUD, manifest, "model.p.staged")
    told = {name: model.meaning(name).sentence for name in ("own", "tx_fraud", "loaded_in", "tx_amount", "net_sum")}
    assert told == {
        "own": "B.",
        "tx_fraud": "A.",
        "loaded_in": BOOKKEEPING["loaded_in"].sentence,
        "tx_amount": "Amount of the payment, in the card's currency.",
        "net_sum": "Net sum, as the SQL of staged computes it.",
    }
    raw = ModelDictionary(FRAUD, manifest, "source.p.fraud_reports")
    assert raw.meaning("fraud_reported_at").sentence == in_source(FRAUD_REPORTS, "fraud_reported_at")


def test_a_label_says_when_silence_counts_as_no() -> None:
    use_case = replace(undescribed(FRAUD), label_maturity=timedelta(days=14))
    assert "14 days" in DataDictionary(use_case).meaning("is_fraud").sentence
    assert (
        "nothing is known"
        not in DataDictionary(replace(use_case, label_maturity=timedelta(0))).meaning("is_fraud").sentence
    )
