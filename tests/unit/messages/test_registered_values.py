"""Messages by schemas of a registry: what fastavro wrote is read, and whatever else there is says why it is no row."""

from __future__ import annotations

import json
import math
from base64 import b64decode
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from worlds.made_messages import decoded, faults, made_of
from worlds.registered_messages import avro_body, framed, record_of, registered

from jobs.ingest.declared_formats import ValueFormat
from jobs.ingest.json_objects import NO_OBJECT
from jobs.ingest.parsing import canonical
from jobs.messages import json_values
from jobs.messages.avro_values import NO_FIT, TOO_LONG
from jobs.messages.debezium import RowChange
from jobs.messages.formats import decoder
from jobs.messages.message import Decoded
from jobs.messages.registered_values import CUT_OFF, OF_NO_KIND, UNKNOWN, RegisteredValues
from jobs.messages.registry import Registered, Registry

BIG = 2**53 + 1
MOMENTS = st.datetimes(timezones=st.just(UTC))
LOGICAL: dict[str, tuple[Any, st.SearchStrategy[Any], Any]] = {
    "boolean": ("boolean", st.booleans(), lambda text: {"true": True, "false": False}[text]),
    "int": ("int", st.integers(-(2**31), 2**31 - 1), int),
    "long": ("long", st.integers(-(2**63), 2**63 - 1), int),
    "double": ("double", st.floats(allow_nan=False), float),
    "float": ("float", st.floats(width=32, allow_nan=False), float),
    "string": ("string", st.text(min_size=1), str),
    "bytes": ("bytes", st.binary(min_size=1), b64decode),
    "fixed": ({"type": "fixed", "name": "F", "size": 3}, st.binary(min_size=3, max_size=3), b64decode),
    "enum": ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, st.sampled_from("AB"), str),
    "list": (
        {"type": "array", "items": "long"},
        st.lists(st.integers(0, BIG)),
        lambda text: [int(each) for each in json.loads(text)],
    ),
    "uuid": ({"type": "string", "logicalType": "uuid"}, st.uuids(), UUID),
    "date": ({"type": "int", "logicalType": "date"}, st.dates(), date.fromisoformat),
    "time": ({"type": "long", "logicalType": "time-micros"}, st.times(), time.fromisoformat),
    "micros": ({"type": "long", "logicalType": "timestamp-micros"}, MOMENTS, datetime.fromisoformat),
    "millis": (
        {"type": "long", "logicalType": "timestamp-millis"},
        MOMENTS.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)),
        datetime.fromisoformat,
    ),
    "local": ({"type": "long", "logicalType": "local-timestamp-micros"}, st.datetimes(), datetime.fromisoformat),
    "decimal": (
        {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 9},
        st.decimals(-(10**20), 10**20, allow_nan=False, places=9),
        Decimal,
    ),
    "fixed_decimal": (
        {"type": "fixed", "name": "D", "size": 16, "logicalType": "decimal", "precision": 30, "scale": 2},
        st.decimals(-(10**20), 10**20, allow_nan=False, places=2),
        Decimal,
    ),
}  # fmt: skip
ROW = record_of(**{name: ["null", of] for name, (of, _, _) in LOGICAL.items()})
ROWS = st.fixed_dictionaries({name: st.none() | values for name, (_, values, _) in LOGICAL.items()})
LISTS = record_of(a={"type": "map", "values": {"type": "array", "items": "string"}})
PAYMENT = record_of(id="long", note=["null", "string"], at={"type": "long", "logicalType": "timestamp-micros"})


def by_schemas(*schemas: Registered) -> RegisteredValues:
    """Decodes by schemas numbered from 1."""
    return RegisteredValues(dict(enumerate(schemas, 1)).get, json_values.rows, RowChange)


def read(schema: Any, *bodies: bytes) -> Decoded:
    of_values = by_schemas(registered(schema))
    return decoded(lambda messages: of_values([m.value for m in messages]), *(framed(1, body) for body in bodies))


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_what_was_written_is_read_back_exactly(rows: list[dict[str, Any]]) -> None:
    found = read(ROW, *(avro_body(ROW, row) for row in rows))
    assert set(faults(found)) == {None} and set(found.schemas) == {"1"}
    for row, texts in zip(rows, found.records.iter_rows(named=True), strict=True):
        for name, (_, _, value_of) in LOGICAL.items():
            assert (None if texts[name] is None else value_of(texts[name])) == row[name]


@given(st.lists(MOMENTS, min_size=1, max_size=5))
def test_times_are_read_by_tables_to_the_microsecond(moments: list[datetime]) -> None:
    bodies = [avro_body(PAYMENT, {"id": 1, "note": None, "at": moment}) for moment in moments]
    column = canonical("at", pl.String(), "timestamp", ValueFormat())
    assert read(PAYMENT, *bodies).records.select(column).to_series().to_list() == moments


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_told_as_json_tells_them(special: float) -> None:
    schema = record_of(a="double")
    assert read(schema, avro_body(schema, {"a": special})).records["a"].to_list() == [json.dumps(special)]


@pytest.mark.parametrize(
    ("of", "value"),
    [("date", 10**8), ("timestamp-millis", 2**62), ("timestamp-micros", -(2**62)), ("time-micros", -1)],
)
def test_a_time_out_of_the_calendar_is_a_text_that_is_no_time(of: str, value: int) -> None:
    kind = "int" if of == "date" else "long"
    text = read(record_of(a={"type": kind, "logicalType": of}), avro_body(record_of(a=kind), {"a": value})).records["a"]
    assert str(value) in text.item()
    parsed = text.to_frame().select(canonical("a", pl.String(), "timestamp", ValueFormat()))
    assert parsed.item() is None


def test_a_decimal_as_long_as_a_message_is_none() -> None:
    schema = record_of(a={"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2})
    bodies = [avro_body(record_of(a="bytes"), {"a": b"\x7f" * length}) for length in (1_000, 900_000)]
    assert faults(read(schema, *bodies)) == [None, NO_FIT]


def test_the_branch_of_a_union_says_what_a_number_stands_for() -> None:
    schema = record_of(a=["null", {"type": "int", "logicalType": "date"}, "long"])
    found = read(
        schema, avro_body(schema, {"a": date(2026, 5, 1)}), avro_body(record_of(a=["null", "int", "long"]), {"a": BIG})
    )
    assert found.records["a"].to_list() == ["2026-05-01", str(BIG)]


@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from([PAYMENT, ROW, LISTS]))
@example([b"\xff" * 30, b"", b"\2"], PAYMENT)
def test_whatever_bytes_there_are_nothing_is_raised_and_none_is_lost(bodies: list[bytes], schema: Any) -> None:
    read(schema, *bodies)


@given(st.data())
def test_every_cut_of_a_value_is_no_record_and_no_more_is_one(data: st.DataObject) -> None:
    whole = avro_body(ROW, data.draw(ROWS))
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert faults(read(ROW, whole, whole[:cut], whole + b"\0")) == [None, NO_FIT, TOO_LONG]


def test_messages_of_many_schemas_and_of_none_keep_their_places() -> None:
    of_values = by_schemas(
        registered(PAYMENT), registered({"type": "object"}, "JSON"), registered("x", "PROTOBUF"),
        registered(record_of(id="long", more="string")), registered(PAYMENT, refers=True), registered("nonsense"),
    )  # fmt: skip
    paid = avro_body(PAYMENT, {"id": BIG, "note": '\0é\n"😀', "at": datetime(2026, 5, 1, tzinfo=UTC)})
    wanted = {
        framed(4, avro_body(record_of(id="long", more="string"), {"id": 1, "more": "x"})): ("4", "1", None),
        framed(1, paid): ("1", str(BIG), None),
        framed(9, paid): ("9", None, UNKNOWN),
        framed(2, b'{"id": 9007199254740993.0}'): ("2", "9007199254740993.0", None),
        b'{"id": 7}': (None, "7", None),
        None: (None, None, json_values.TOMBSTONE),
        framed(2, b"[]"): ("2", None, NO_OBJECT),
        b"\0\0\0": (None, None, CUT_OFF),
        framed(3, paid): ("3", None, OF_NO_KIND),
        framed(5, paid): ("5", None, "a schema by which no row is read: one that refers to others"),
        framed(6, paid): ("6", None, "a schema by which no row is read: no Avro that can be understood"),
        framed(1, paid[:-1]): ("1", None, NO_FIT),
        framed(1, b""): ("1", None, NO_FIT),
    }  # fmt: skip
    found = decoded(lambda messages: of_values([m.value for m in messages]), *wanted)
    assert list(zip(found.schemas, found.records["id"], faults(found), strict=True)) == list(wanted.values())
    assert found.records["note"][1] == '\0é\n"😀' and found.records["more"][0] == "x"


HOLDS_ITSELF = record_of(next=["null", "Row"])
WITHIN = record_of(
    a={"type": "record", "name": "In", "fields": [{"name": "of", "type": {"type": "map", "values": "Row"}}]}
)
EMPTY = {"type": "record", "name": "Empty", "fields": [{"name": "a", "type": "null"}]}
NOTHING = {"type": "fixed", "name": "Nothing", "size": 0}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (HOLDS_ITSELF, "a record that holds itself"),
        (WITHIN, "a record that holds itself"),
        (record_of(a={"type": "array", "items": "null"}), "a list whose elements take no bytes"),
        (record_of(e=EMPTY, a={"type": "array", "items": "Empty"}), "a list whose elements take no bytes"),
        (record_of(a={"type": "array", "items": NOTHING}), "a list whose elements take no bytes"),
        ("long", "no record"),
        (["null", PAYMENT], "no record"),
        (5, "no Avro that can be understood"),
        (record_of(a="money"), "no Avro that can be understood"),
    ],
)  # fmt: skip
def test_a_schema_by_which_bytes_might_have_no_end_reads_nothing(schema: Any, why: str) -> None:
    assert faults(read(schema, b"\2" * 100_000 + b"\0")) == [f"a schema by which no row is read: {why}"]


def test_a_record_may_hold_another_twice_and_lists_of_it() -> None:
    inner = {"type": "record", "name": "In", "fields": [{"name": "n", "type": "long"}, {"name": "z", "type": "null"}]}
    schema = record_of(a=inner, b="In", c={"type": "array", "items": "In"})
    value = {"a": {"n": 1, "z": None}, "b": {"n": 2, "z": None}, "c": [{"n": BIG, "z": None}]}
    found = read(schema, avro_body(schema, value)).records.row(0, named=True)
    assert json.loads(found["c"]) == [{"n": str(BIG), "z": None}] and json.loads(found["b"])["n"] == "2"


def test_avro_alone_takes_nothing_else() -> None:
    found = decoder("avro", Registry("http://127.0.0.1:9"))(made_of([b'{"a": 1}', None]))
    assert faults(found) == ["no number of a schema", json_values.TOMBSTONE]
