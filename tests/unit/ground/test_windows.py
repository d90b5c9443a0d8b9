"""The declaration of window features: names, history, fingerprint, refusals."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from jobs.windows import Aggregate, WindowFeatures, duration

DAY = timedelta(days=1)
WINDOWS = (DAY, 7 * DAY, 30 * DAY)


def handbook(*aggregates: Aggregate) -> WindowFeatures:
    return WindowFeatures("terminal_windows", "terminal_id", "transaction_id", "tx_datetime", aggregates)


RISK = Aggregate("rate", "is_fraud", WINDOWS, 7 * DAY, of="labels", empty=0.0)


def test_names_tell_column_function_window_and_delay() -> None:
    declared = handbook(
        Aggregate("count", windows=WINDOWS, name="nb_tx"),
        Aggregate("mean", "tx_amount", (timedelta(minutes=10), timedelta(hours=1))),
        Aggregate("count", windows=(DAY,), of="labels", where=("is_fraud", True)),
        RISK,
    )
    assert declared.names == (
        "nb_tx_1d", "nb_tx_7d", "nb_tx_30d", "tx_amount_mean_10m", "tx_amount_mean_1h",
        "labels_count_is_fraud_true_1d",
        "is_fraud_rate_1d_delay_7d", "is_fraud_rate_7d_delay_7d", "is_fraud_rate_30d_delay_7d",
    )  # fmt: skip


def test_history_is_the_longest_window_with_its_delay() -> None:
    assert handbook(RISK, Aggregate("count", windows=(timedelta(days=31),))).history == timedelta(days=37)


def test_columns_to_read_are_known_per_input() -> None:
    declared = handbook(RISK, Aggregate("sum", "tx_amount", where=("channel", "web")), Aggregate("count"))
    assert declared.event_columns == ("tx_amount", "channel")
    assert declared.label_columns == ("is_fraud",)
    assert declared.reads_labels and not handbook(Aggregate("count")).reads_labels


def test_schema_keeps_the_types_of_the_keys() -> None:
    schema = handbook(Aggregate("count"), RISK).schema(pa.string(), pa.int32())
    assert schema.field("transaction_id").type == pa.string() and schema.field("terminal_id").type == pa.int32()
    assert schema.field("events_count_1d").type == pa.int64()
    assert schema.field("is_fraud_rate_1d_delay_7d").type == pa.float64()
    assert schema.names[-1] == "event_date"


def test_fingerprint_follows_values_and_not_words() -> None:
    declared = handbook(RISK)
    assert replace(declared, aggregates=(replace(RISK, description="risk"),)).fingerprint == declared.fingerprint
    assert replace(declared, aggregates=(replace(RISK, delay=DAY),)).fingerprint != declared.fingerprint
    assert replace(declared, aggregates=(replace(RISK, empty=None),)).fingerprint != declared.fingerprint


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"function": "median"}, "unknown function 'median'"),
        ({"function": "mean"}, "mean needs a column"),
        ({"function": "count", "windows": ()}, "expected positive windows"),
        ({"function": "count", "windows": (timedelta(0),)}, "expected positive windows"),
        ({"function": "count", "delay": -DAY}, "delay >= 0"),
        ({"function": "rate", "column": "is_fraud"}, "of='labels'"),
    ],
)
def test_a_wrong_declaration_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Aggregate(**wrong)


def test_two_aggregates_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="events_count_1d"):
        handbook(Aggregate("count"), Aggregate("count"))


@pytest.mark.parametrize(
    ("length", "name"),
    [
        (DAY, "1d"),
        (timedelta(hours=36), "36h"),
        (timedelta(minutes=10), "10m"),
        (timedelta(microseconds=1500), "1500us"),
    ],
)
def test_durations_have_exact_names(length: timedelta, name: str) -> None:
    assert duration(length) == name
