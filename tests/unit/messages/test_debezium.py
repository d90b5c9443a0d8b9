"""Messages of Debezium: each change brings its row, and what is none says why."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.made_messages import decoded, faults
from worlds.registered_messages import avro_body, framed, record_of, registered

from jobs.ingest.json_objects import NAME_TWICE, NO_OBJECT
from jobs.messages import debezium
from jobs.messages.debezium import NO_CHANGE_EVENT, OF_NO_ROW, ROW_MISSING
from jobs.messages.formats import decoder
from jobs.messages.json_values import NO_TEXT, TOMBSTONE
from jobs.messages.message import ChangeKind, Decoded
from jobs.messages.registered_values import RegisteredValues

CHANGES, AUTO, ROWS = decoder("debezium"), decoder("auto"), decoder("json")
VALUES = st.none() | st.booleans() | st.integers() | st.text()
SAID = st.dictionaries(st.sampled_from(["a", "b", "op", "before", "payload"]), VALUES)
OPERATIONS: dict[str, ChangeKind] = {"c": "create", "r": "create", "u": "update", "d": "delete"}
EPOCH = datetime(1970, 1, 1)


def change_event(op: str, before: Any, after: Any, **more: Any) -> dict[str, Any]:
    return {"before": before, "after": after, "source": {"db": "shop", "ts_ms": 1}, "op": op, "ts_ms": 2, **more}


def said(value: Any) -> bytes:
    return json.dumps(value).encode()


def with_schema(payload: Mapping[str, Any], **types: Mapping[str, Any]) -> bytes:
    """A change event with the schema of its rows, by Connect's names of types."""
    fields = [{"field": name, "type": "int64", **of} for name, of in types.items()]
    sides = [{"field": side, "type": "struct", "fields": fields} for side in ("before", "after")]
    return said({"schema": {"type": "struct", "fields": sides, "name": "shop.Envelope"}, "payload": payload})


@pytest.mark.parametrize("form", [CHANGES, AUTO])
@given(st.lists(st.tuples(st.sampled_from("crud"), SAID, SAID, st.booleans()), max_size=5))
def test_the_row_of_a_change_is_what_it_would_be_alone(form: Any, told: list[tuple[str, Any, Any, bool]]) -> None:
    events = [(change_event(op, before, after), bare) for op, before, after, bare in told]
    found = decoded(form, *(said(each if bare else {"schema": None, "payload": each}) for each, bare in events))
    alone = decoded(ROWS, *(said(before if op == "d" else after) for op, before, after, _ in told))
    assert found.changes == [OPERATIONS[op] for op, *_ in told]
    assert found.records.equals(alone.records.select(found.records.columns))


@given(
    st.lists(SAID.map(said) | st.none() | st.binary() | st.just(said(change_event("c", None, {"a": 1}))), max_size=6)
)
def test_rows_and_changes_keep_their_places_whatever_else_there_is(values: list[bytes | None]) -> None:
    found, alone = decoded(AUTO, *values), decoded(ROWS, *values)
    decoded(CHANGES, *values)
    for row, plain, change in zip(filled(found), filled(alone), found.changes, strict=True):
        assert row["a"] == "1" if change else row == plain or row["_malformed"] == ROW_MISSING


def filled(found: Decoded) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if v is not None} for row in found.records.iter_rows(named=True)]


@pytest.mark.parametrize(
    ("value", "why", "why_in_any"),
    [
        (b'{"a": 1}', NO_CHANGE_EVENT, None),
        (b'{"op": "c"}', NO_CHANGE_EVENT, None),
        (b'{"op": "x", "after": {}}', NO_CHANGE_EVENT, None),
        (b'{"op": ["c"], "after": {}}', NO_CHANGE_EVENT, None),
        (b'{"payload": null, "schema": {}}', NO_CHANGE_EVENT, None),
        (said(change_event("t", None, None)), OF_NO_ROW, OF_NO_ROW),
        (said(change_event("m", None, None)), OF_NO_ROW, OF_NO_ROW),
        (said(change_event("d", None, None)), ROW_MISSING, ROW_MISSING),
        (said(change_event("u", {}, None)), ROW_MISSING, ROW_MISSING),
        (said(change_event("c", None, '{"of": "MongoDB"}')), ROW_MISSING, ROW_MISSING),
        (b'{"op": "c", "after": {"a": 1, "a": 2}}', None, None),
        (b'{"op": "c", "op": "c", "after": {}}', NAME_TWICE, NAME_TWICE),
        (b'{"op": "c", "after": {}', NO_OBJECT, NO_OBJECT),
        (b'{"op": "c", "after": \xff}', NO_TEXT, NO_TEXT),
        (b'{"op":"c","after":{"a":' + b"[" * 100_000, NO_OBJECT, NO_OBJECT),
    ],
)
def test_what_is_no_change_says_why(value: bytes, why: str | None, why_in_any: str | None) -> None:
    assert (faults(decoded(CHANGES, value)), faults(decoded(AUTO, value))) == ([why], [why_in_any])


def test_a_tombstone_is_none_of_its_own_where_only_changes_come() -> None:
    delete = said(change_event("d", {"a": 1}, None))
    found = decoded(CHANGES, delete, None)
    assert (found.changes, faults(found)) == (["delete", "tombstone"], [None, None])
    assert found.records["a"].to_list() == ["1", None]
    assert faults(decoded(AUTO, delete, None)) == [None, TOMBSTONE]


@pytest.mark.parametrize(
    ("name", "unit", "zone"),
    [
        ("io.debezium.time.Timestamp", timedelta(milliseconds=1), None),
        ("io.debezium.time.MicroTimestamp", timedelta(microseconds=1), None),
        ("org.apache.kafka.connect.data.Timestamp", timedelta(milliseconds=1), UTC),
        ("io.debezium.time.Date", timedelta(days=1), None),
        ("org.apache.kafka.connect.data.Date", timedelta(days=1), None),
    ],
)
@given(st.datetimes())
def test_times_are_as_the_schema_says(name: str, unit: timedelta, zone: Any, moment: datetime) -> None:
    number = (moment - EPOCH) // unit
    change = change_event("u", {"at": number + 1}, {"at": number, "not": number})
    row = decoded(CHANGES, with_schema(change, at={"name": name})).records.row(0, named=True)
    assert datetime.fromisoformat(row["at"]) == (EPOCH + number * unit).replace(tzinfo=zone)
    assert row["not"] == str(number)


@given(st.integers(-(10**40), 10**40))
def test_decimals_are_exact(unscaled: int) -> None:
    value = b64encode(unscaled.to_bytes(20, "big", signed=True)).decode()
    fixed = {"name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "4"}}
    change = change_event("c", None, {"fixed": value, "own": {"scale": 4, "value": value}})
    found = decoded(AUTO, with_schema(change, fixed=fixed, own={"name": "io.debezium.data.VariableScaleDecimal"}))
    assert [Fraction(text) for text in found.records.select("fixed", "own").row(0)] == 2 * [Fraction(unscaled, 10**4)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("io.debezium.time.Date", "tomorrow"),
        ("io.debezium.time.Timestamp", "9" * 30),
        ("io.debezium.time.NanoTime", True),
        ("org.apache.kafka.connect.data.Decimal", "Ā"),
        ("org.apache.kafka.connect.data.Decimal", "AQ=="),
        ("io.debezium.data.VariableScaleDecimal", {"scale": "9" * 40, "value": "AQ=="}),
        ("io.debezium.data.VariableScaleDecimal", {"scale": "0", "value": "A" * 900_000}),
        ("io.debezium.data.VariableScaleDecimal", []),
        ("io.debezium.time.Date", None),
        (["no name"], 1),
    ],
)
def test_a_value_that_is_not_what_its_schema_says_stays_as_it_is(name: Any, value: Any) -> None:
    told = decoded(CHANGES, with_schema(change_event("c", None, {"a": value}), a={"name": name, "parameters": []}))
    assert told.records.equals(decoded(ROWS, said({"a": value})).records)


@pytest.mark.parametrize("schema", [1, {"fields": 1}, {"fields": [1, {"field": []}]}, {"fields": [{"field": "after"}]}])
def test_a_schema_that_makes_no_sense_says_nothing(schema: Any) -> None:
    found = decoded(CHANGES, said({"schema": schema, "payload": change_event("c", None, {"a": 1})}))
    assert found.records["a"].to_list() == ["1"]


def test_changes_in_avro_are_those_in_json() -> None:
    when = {"type": "long", "connect.version": 1, "connect.name": "io.debezium.time.MicroTimestamp"}
    own = {
        "type": "record", "name": "Own", "connect.name": "io.debezium.data.VariableScaleDecimal",
        "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    }  # fmt: skip
    row = {**record_of(id="long", at=when, own=own), "name": "Value"}
    schema = {**record_of(before=["null", row], after=["null", "Value"], op="string"), "name": "Envelope"}
    kept = {"id": 2**53 + 1, "at": 1_777_629_600_000_001, "own": {"scale": 2, "value": b"\x01\xf4"}}
    told = [("c", None, kept), ("d", kept, None), ("t", None, None)]
    bodies = [avro_body(schema, {"op": op, "before": before, "after": after}) for op, before, after in told]
    plain = avro_body(record_of(id="long"), {"id": 1})
    schemas = {1: registered(schema), 2: registered(record_of(id="long"))}
    of_values = RegisteredValues(schemas.get, debezium.rows_or_changes, lambda each: debezium.unwrapped(each, False))
    values = [*(framed(1, body) for body in bodies), framed(2, plain)]
    found = decoded(lambda messages: of_values([m.value for m in messages]), *values)
    exact = (str(2**53 + 1), "2026-05-01T10:00:00.000001", "5.00")
    assert found.records.select("id", "at", "own").rows() == [exact, exact, (None,) * 3, ("1", None, None)]
    assert found.changes == ["create", "delete", None, None]
    assert faults(found) == [None, None, OF_NO_ROW, None]
