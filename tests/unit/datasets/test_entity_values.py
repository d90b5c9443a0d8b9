"""The features of one entity are those of its latest event that was known, as a plain search over all rows says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import profiled_world
from worlds.profiled_world import BANK

from jobs import settings as settings_module
from jobs.datasets.entity_values import entity_values
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.use_cases.fraud import CUSTOMER_WINDOWS, FRAUD

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
TABLE = FRAUD.window_table(CUSTOMER_WINDOWS)
COUNT = CUSTOMER_WINDOWS.names[0]
pytestmark = pytest.mark.embedded

Row = tuple[int, int, int]
"""Customer, hour of the event, hours until it was known."""


def lakehouse(home: Path) -> Lakehouse:
    return attach(settings_module.load({"EVERGREEN_HOME": str(home)}))


def stored(own: Lakehouse, rows: list[Row], kind: pa.DataType | None = None) -> list[dict[str, Any]]:
    """Write a table of features: the count of each row is its number."""
    written = [
        {
            "transaction_id": number,
            "customer_id": customer if kind is None else f"c{customer}",
            "event_timestamp": BEGIN + timedelta(hours=hour),
            "created_timestamp": BEGIN + timedelta(hours=hour + late),
            COUNT: number,
            "event_date": (BEGIN + timedelta(hours=hour)).date(),
        }
        for number, (customer, hour, late) in enumerate(rows)
    ]
    schema = CUSTOMER_WINDOWS.schema(*((pa.int64(), kind) if kind else ()))
    write_deltalake(
        own.path(TABLE), pa.Table.from_pylist(written, schema), mode="overwrite", partition_by=["event_date"]
    )
    return written


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    return lakehouse(tmp_path_factory.mktemp("home"))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 30)), min_size=1, max_size=12),
    hour=st.integers(-1, 90),
)
def test_the_latest_event_that_was_known_counts(place: Lakehouse, rows: list[Row], hour: int) -> None:
    as_of = BEGIN + timedelta(hours=hour)
    known = [
        row
        for row in stored(place, rows)
        if row["customer_id"] == 1 and max(row["event_timestamp"], row["created_timestamp"]) <= as_of
    ]
    values = entity_values(place, FRAUD, ("customer_id",), ("1",), as_of)
    if not known:
        assert values == []
        return
    last = max(known, key=lambda row: (row["event_timestamp"], row["created_timestamp"], row["transaction_id"]))
    assert [value.feature for value in values] == list(CUSTOMER_WINDOWS.names)
    assert {value.event_id for value in values} == {last["transaction_id"]}
    assert (values[0].value, values[0].event_timestamp) == (last[COUNT], last["event_timestamp"])
    assert values[1].value is None and all(value.meaning for value in values)


@pytest.mark.parametrize("text", ["1", " 1 ", "c1"])
def test_an_identifier_is_read_in_the_form_that_the_table_has(tmp_path: Path, text: str) -> None:
    own = lakehouse(tmp_path)
    stored(own, [(1, 0, 0)], pa.string() if "c" in text else None)
    later = BEGIN + timedelta(days=1)
    assert entity_values(own, FRAUD, ("customer_id",), (text,), later)
    for other in ("null", "2.5" if "c" not in text else ""):
        with pytest.raises(Invalid, match="customer_id: expected"):
            entity_values(own, FRAUD, ("customer_id",), (other,), later)


def test_a_pair_is_found_by_an_identifier_for_each_column(tmp_path: Path) -> None:
    own, pairs = lakehouse(tmp_path), replace(CUSTOMER_WINDOWS, entity=("customer_id", "terminal_id"))
    use_case, hour = replace(FRAUD, windows=(pairs,)), timedelta(hours=1)
    written = [
        {"transaction_id": number, "customer_id": 1 + number % 2, "terminal_id": f"t{number // 2}", COUNT: number}
        | dict.fromkeys(("event_timestamp", "created_timestamp"), BEGIN + number * hour)
        | {"event_date": BEGIN.date()}
        for number in range(4)
    ]
    table = pa.Table.from_pylist(written, pairs.schema(pa.int64(), pa.int64(), pa.string()))
    write_deltalake(own.path(TABLE), table, partition_by=["event_date"])
    values = entity_values(own, use_case, pairs.keys, ("1", "t1"), BEGIN + 9 * hour)
    assert (values[0].value, values[0].event_id) == (2, 2)
    with pytest.raises(Invalid, match="customer_id,terminal_id: expected 2 identifiers, found 1: 1"):
        entity_values(own, use_case, pairs.keys, ("1",), BEGIN + 9 * hour)


def test_only_declared_entities_have_features_and_without_a_table_there_are_none(tmp_path: Path) -> None:
    own = lakehouse(tmp_path)
    names = "customer_id or terminal_id or customer_id,terminal_id"
    with pytest.raises(Invalid, match=f"expected {names}, found 'merchant'"):
        entity_values(own, FRAUD, ("merchant",), ("1",), BEGIN)
    assert entity_values(own, FRAUD, ("customer_id",), ("1",), BEGIN) == []


def test_a_profile_that_was_known_is_told_too(tmp_path: Path) -> None:
    house = lakehouse(tmp_path)
    rows = [profiled_world.profile(1, BEGIN, BEGIN, 3), profiled_world.profile(1, BEGIN, BEGIN + profiled_world.DAY, 4)]
    profiled_world.put_profiles(house, rows)
    for moment, number in ((BEGIN, 3), (BEGIN + 2 * profiled_world.DAY, 4)):
        found = {each.feature: each for each in entity_values(house, BANK, ["customer_id"], ["1"], moment)}
        wanted = profiled_world.expected(rows, 1, moment)
        assert {name: each.value for name, each in found.items()} == wanted and wanted["visits"] == number
        assert found["region"].event_id is None and found["region"].table == "bank.customers"
    assert entity_values(house, BANK, ["customer_id"], ["2"], moment) == []
    with pytest.raises(Invalid, match="expected customer_id, found 'shop'"):
        entity_values(house, BANK, ["shop"], ["2"], moment)
