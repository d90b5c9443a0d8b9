"""The declaration of window features: names, history, fingerprint, refusals."""

import contextlib
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.conditions import Where
from jobs.errors import Invalid
from jobs.window_lengths import BEFORE, Last, Trend, duration
from jobs.windows import Aggregate, Ratio, WindowFeatures

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


def test_names_tell_percentile_conditions_and_other_windows() -> None:
    between: Where = (("tx_amount", ">=", 5), ("tx_amount", "<", 20))
    declared = handbook(
        Aggregate("percentile", "tx_amount", (timedelta(hours=6),), percentile=0.9),
        Aggregate("percentile", "tx_amount", (DAY,), percentile=0.999, interpolation="lower"),
        Aggregate("count", windows=(timedelta(hours=6),), where=between),
        Aggregate("count", windows=(DAY,), where=("channel", "in", ("web", "a pp"))),
        Aggregate("count", windows=(DAY,), where=(("x", ">", 2.5), ("x", "<=", 5), ("channel", "web"))),
        Aggregate("count", windows=(DAY,), where=("x", "<=", 5)),
        Aggregate("mean", "tx_amount", (Last(5, 30 * DAY), Trend(DAY, 30 * DAY)), BEFORE),
        Aggregate("last_age", windows=(30 * DAY,), delay=BEFORE),
    )
    assert declared.names == (
        "tx_amount_p90_6h", "tx_amount_p99_9_1d", "events_count_tx_amount_from_5_tx_amount_below_20_6h",
        "events_count_channel_web_a_pp_1d", "events_count_x_above_2_5_x_up_to_5_channel_web_1d",
        "events_count_x_<=_5_1d",
        "tx_amount_mean_last_5_30d_before", "tx_amount_mean_1d_over_30d_before",
        "events_last_age_30d_before",
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


def test_fingerprints_of_tables_that_were_made_before_stay() -> None:
    """A home made before percentiles, pairs and trends computes nothing anew."""
    risk = handbook(RISK)
    assert risk.fingerprint == "443362b97200a029a0a4c0e9154b71e827461f94b8621ef6133ea4da0e4fc219"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"function": "median"}, "unknown function 'median'"),
        ({"function": "mean"}, "mean needs a column"),
        ({"function": "count", "windows": ()}, "expected positive windows"),
        ({"function": "count", "windows": (timedelta(0),)}, "expected positive windows"),
        ({"function": "count", "delay": -DAY}, "delay >= 0"),
        ({"function": "rate", "column": "is_fraud"}, "of='labels'"),
        ({"function": 3}, "unknown function 3"),
        ({"function": "sum", "column": 3}, "sum: column: expected a name, found 3"),
        ({"function": "count", "windows": DAY}, "expected a tuple of timedelta, Last or Trend"),
        ({"function": "count", "windows": (1,)}, "expected a positive timedelta of at most 36,525 days, found 1"),
        ({"function": "count", "windows": (timedelta.max,)}, "at most 36,525 days"),
        ({"function": "count", "delay": 7}, "delay >= 0"),
        ({"function": "count", "of": "reports"}, "expected 'events' or 'labels', found 'reports'"),
        ({"function": "count", "where": "online"}, "where: expected"),
        ({"function": "count", "where": ("amount", "<", "5")}, "expected a finite number after '<', found '5'"),
        ({"function": "count", "where": ("amount", "<", float("nan"))}, "expected a finite number"),
        ({"function": "count", "where": ("amount", "~", 5)}, "expected a comparison"),
        ({"function": "count", "where": ("kind", "in", "web")}, "expected a tuple of values after 'in'"),
        ({"function": "count", "where": (("amount", ">", 5), ("kind",))}, "where: expected"),
        ({"function": "count", "empty": -1.0}, "0 in an empty window, found -1.0"),
        ({"function": "mean", "column": "amount", "empty": "0"}, "empty: expected a finite number"),
        ({"function": "percentile", "column": "amount"}, "expected percentile="),
        ({"function": "mean", "column": "amount", "percentile": 0.9}, "and with no other, found 0.9"),
        ({"function": "percentile", "column": "amount", "percentile": 1}, "above 0 and below 1 .* found 1"),
        ({"function": "percentile", "column": "amount", "percentile": 90}, "above 0 and below 1 .* found 90"),
        ({"function": "percentile", "column": "amount", "percentile": 1 / 3}, "at most four decimals"),
        ({"function": "percentile", "column": "x", "percentile": 0.5, "interpolation": "cubic"}, "one of linear"),
        ({"function": "streak", "column": "online", "windows": (Last(3, DAY),)}, "instead of Last"),
    ],
)
def test_a_wrong_declaration_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Aggregate(**wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Last(0, DAY), "expected 1 to 100 facts, found 0"),
        (lambda: Last(2.5, DAY), "expected 1 to 100 facts, found 2.5"),  # type: ignore[arg-type]
        (lambda: Last(5, 30), "Last: within: expected a positive timedelta"),  # type: ignore[arg-type]
        (lambda: Trend(DAY, DAY), "expected a short window below the long one"),
        (lambda: Trend(DAY, None), "Trend: long: expected a positive timedelta"),  # type: ignore[arg-type]
        (lambda: Ratio("to_level", "amount", 5), "to: expected an Aggregate, found 5"),  # type: ignore[arg-type]
        (lambda: replace(handbook(RISK), entity=()), "entity: expected a column or a tuple of columns"),
        (lambda: replace(handbook(RISK), entity=("a", "a")), "columns declared twice: a"),
        (lambda: replace(handbook(RISK), aggregates=[RISK]), "aggregates: expected a tuple of Aggregate"),  # type: ignore[arg-type]
        (lambda: replace(handbook(RISK), aggregates=(DAY,)), "aggregates: expected a tuple of Aggregate"),  # type: ignore[arg-type]
        (lambda: replace(handbook(RISK), id=None), "id: expected a name, found None"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_value_is_refused_where_it_is_declared(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        make()


ODD: list[Any] = [
    None,
    True,
    0,
    1,
    2.5,
    -1,
    1e400,
    10**400,
    "",
    "count",
    "a`b",
    (),
    ("a",),
    ("a", 1),
    ("a", ">", 1),
    [],
    {},
    DAY,
]
OTHER = [-DAY, timedelta.max, (DAY,), (timedelta.max,), (None,), Last(3, DAY), (Trend(DAY, 7 * DAY),)]
ANYTHING = st.one_of(
    st.sampled_from([*ODD, *OTHER]),
    st.floats(),
    st.text(max_size=3),
    st.tuples(st.sampled_from(ODD), st.sampled_from(ODD)),
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["<", "in", "==", 3]), st.sampled_from(ODD)),
)


@given(
    st.sampled_from(["count", "mean", "percentile", "rate", "streak", "last_age"]),
    st.dictionaries(st.sampled_from([field.name for field in fields(Aggregate)]), ANYTHING, max_size=4),
)
@with_examples(300)
def test_whatever_is_declared_is_a_feature_or_refused(function: str, given: dict[str, Any]) -> None:
    usual = {"function": function, "column": "x", "of": "labels" if function == "rate" else "events"}
    with contextlib.suppress(Invalid):
        declared = handbook(Aggregate(**usual | given))
        assert len(declared.schema().names) == len(set(declared.schema().names))
        assert declared.history and declared.fingerprint and hash(declared)


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
