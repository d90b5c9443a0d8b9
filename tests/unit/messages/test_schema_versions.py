"""Versions of a schema: those by which a row is the same row are accepted, those that retype a column are held."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.made_messages import decoded, faults
from worlds.registered_messages import avro_body, framed, record_of, registered

from jobs.messages import json_values
from jobs.messages.debezium import RowChange
from jobs.messages.message import Decoded
from jobs.messages.registered_values import RegisteredValues
from jobs.messages.registry import Registered
from jobs.messages.schema_versions import HELD, AcceptedVersions
from jobs.use_case import Column, Source

MICROS, MILLIS = ({"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("micros", "millis"))
LOCAL, DATE = {"type": "long", "logicalType": "local-timestamp-micros"}, {"type": "int", "logicalType": "date"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
ENUM = {"type": "enum", "name": "E", "symbols": ["A"]}
SOURCE = Source(
    name="orders",
    key=("order_id",),
    event_time="placed_at",
    columns=(
        Column("order_id", "identifier"),
        Column("placed_at", "timestamp"),
        Column("amount", "number"),
        Column("items", "integer", nullable=True),
        Column("channel", "category"),
        Column("gift", "boolean", optional=True),
    ),
)
TYPES: dict[str, Any] = {
    "order_id": "long", "PLACED_AT": MICROS, "amount": "double", "Items": "int", "channel": "string", "gift": "boolean",
    "more": "string",
}  # fmt: skip
JSON_TYPES: dict[str, Any] = {
    "order_id": {"type": "integer"}, "placed_at": {"type": "string", "format": "date-time"},
    "amount": {"type": ["null", "number"]}, "channel": {"oneOf": [{"type": "string"}, {"type": "null"}]},
    "items": {"enum": [1, 2]},
}  # fmt: skip


def in_json(types: Any) -> Registered:
    return registered({"type": "object", "properties": types}, "JSON")


def held(first: Registered, later: Registered) -> str | None:
    """Why the later version is held after the first."""
    versions = AcceptedVersions(json_decoder, SOURCE, {1: first, 2: later}.get)
    assert versions.why_held("1") is None
    return versions.why_held("2")


def json_decoder(messages: Any) -> Decoded:
    return json_values.rows([message.value for message in messages])


@pytest.mark.parametrize(
    "change",
    [
        {}, {"another": "long"}, {"more": None}, {"more": "long"}, {"gift": None}, {"Items": None}, {"Items": "long"},
        {"order_id": "int"}, {"amount": DECIMAL}, {"amount": "float"}, {"amount": "int"}, {"PLACED_AT": MILLIS},
        {"channel": ENUM}, {"channel": "int"}, {"channel": ["null", "string"]},
    ],
)  # fmt: skip
def test_a_version_by_which_rows_stay_the_same_is_accepted(change: dict[str, Any]) -> None:
    assert held(registered(record_of(**TYPES)), registered(changed(TYPES, change))) is None


def changed(types: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return record_of(**{name: of for name, of in (types | change).items() if of is not None})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": "string"}, "orders.amount: expected number, found text"),
        ({"amount": ["double", "string"]}, "orders.amount: expected number, found number or text"),
        ({"amount": "bytes"}, "orders.amount: expected number, found bytes"),
        ({"amount": None}, "orders.amount: expected number, found no such column"),
        ({"order_id": "string"}, "orders.order_id: expected integer, found text"),
        ({"order_id": "double"}, "orders.order_id: expected integer, found number"),
        ({"Items": "double"}, "orders.items: expected integer, found number"),
        ({"PLACED_AT": "long"}, "orders.placed_at: expected moment, found integer"),
        ({"PLACED_AT": LOCAL}, "orders.placed_at: expected moment, found time without a zone"),
        ({"PLACED_AT": DATE}, "orders.placed_at: expected moment, found date"),
        ({"gift": "int"}, "orders.gift: expected boolean, found integer"),
        ({"channel": {"type": "array", "items": "string"}}, "orders.channel: expected text, found list or object"),
    ],
)
def test_a_version_that_retypes_a_declared_column_is_held(change: dict[str, Any], reason: str) -> None:
    assert held(registered(record_of(**TYPES)), registered(changed(TYPES, change))) == f"{HELD}{reason}"


@pytest.mark.parametrize(
    ("name", "of", "reason"),
    [
        ("order_id", {"type": "string"}, "orders.order_id: expected integer, found text"),
        ("placed_at", {"type": "string"}, "orders.placed_at: expected moment, found text"),
        ("amount", {"type": ["number", "string"]}, "orders.amount: expected number, found number or text"),
        ("channel", {"type": "object"}, "orders.channel: expected text, found list or object"),
        ("amount", {"type": "integer"}, None),
        ("amount", {"$ref": "#/definitions/money"}, None),
        ("items", {"type": "string"}, None),
        ("new", {"type": "string"}, None),
    ],
)  # fmt: skip
def test_versions_of_json_schema_are_held_alike(name: str, of: Any, reason: str | None) -> None:
    assert held(in_json(JSON_TYPES), in_json(JSON_TYPES | {name: of})) == (reason and f"{HELD}{reason}")


def test_a_topic_may_go_from_json_to_avro() -> None:
    assert held(in_json(JSON_TYPES), registered(record_of(**TYPES))) is None


def test_the_columns_of_change_events_are_those_of_its_rows() -> None:
    def change_event(**types: Any) -> Registered:
        row = {**record_of(**types), "name": "Value", "namespace": "shop.orders"}
        sides = record_of(before=["null", row], after=["null", "shop.orders.Value"], op="string")
        return registered({**sides, "name": "Envelope", "namespace": "shop.orders"})

    own = {
        "type": "record", "name": "Own", "connect.name": "io.debezium.data.VariableScaleDecimal",
        "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    }  # fmt: skip
    local = {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}
    assert held(change_event(**TYPES), change_event(**TYPES | {"amount": own, "new": "string"})) is None
    reasons = "placed_at: expected moment, found time without a zone; orders.amount: expected number, found text"
    later = change_event(**TYPES | {"PLACED_AT": local, "amount": "string"})
    assert held(change_event(**TYPES), later) == f"{HELD}orders.{reasons}"


def test_messages_of_a_held_version_are_no_records_and_others_go_on() -> None:
    schemas = {
        3: registered(record_of(**TYPES)), 4: registered(record_of(**TYPES | {"amount": "string"})),
        5: registered(record_of(**TYPES | {"new": "string"})), 6: registered("nonsense"),
    }  # fmt: skip
    row = {
        "order_id": 1,
        "PLACED_AT": datetime(2026, 5, 1, tzinfo=UTC),
        "Items": 1,
        "channel": "x",
        "gift": True,
        "more": "",
    }
    values = [
        framed(6, b""),
        framed(3, avro_body(record_of(**TYPES), {**row, "amount": 1.5})),
        framed(4, avro_body(record_of(**TYPES | {"amount": "string"}), {**row, "amount": "1.5"})),
        framed(5, avro_body(record_of(**TYPES | {"new": "string"}), {**row, "amount": 2.5, "new": "x"})),
        b'{"amount": "anything"}',
        framed(9, b""),
    ]
    of_values = RegisteredValues(schemas.get, json_values.rows, RowChange)

    def plain(messages: Any) -> Decoded:
        return of_values([message.value for message in messages])

    versions = AcceptedVersions(plain, SOURCE, schemas.get)
    found, without = decoded(versions, *values), decoded(plain, *values)
    reason = f"{HELD}orders.amount: expected number, found text"
    assert faults(found) == [*faults(without)[:2], reason, *faults(without)[3:]]
    assert versions.first == "3" and decoded(versions, values[2]).schemas == ["4"]
    # A stream that starts again is told which version was the first.
    again = AcceptedVersions(plain, SOURCE, schemas.get, first="4")
    assert faults(decoded(again, values[1], values[2])) == [
        reason.replace("number, found text", "text, found number"),
        None,
    ]


def test_a_version_that_the_registry_learns_of_later_is_held_then() -> None:
    schemas = {1: registered(record_of(**TYPES))}
    versions = AcceptedVersions(json_decoder, SOURCE, schemas.get, first="1")
    assert versions.why_held("2") is None
    schemas[2] = registered(record_of(**TYPES | {"amount": "string"}))
    assert versions.why_held("2") == f"{HELD}orders.amount: expected number, found text"


WORDS = st.sampled_from(["type", "fields", "name", "properties", "oneOf", "items", "format"])
NONSENSE = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner)
)


@given(NONSENSE, st.sampled_from(["AVRO", "JSON", "PROTOBUF"]))
def test_a_schema_that_makes_no_sense_is_no_reason(said: Any, kind: str) -> None:
    assert held(registered(said, kind), registered(record_of(**TYPES))) is None
    assert AcceptedVersions(json_decoder, SOURCE, {1: registered(said, kind)}.get).why_held("1") is None
