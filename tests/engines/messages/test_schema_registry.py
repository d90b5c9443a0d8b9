"""Messages by the schemas of a real registry: versions beside each other, and a registry that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from worlds.made_messages import decoded, faults, made_of
from worlds.registered_messages import avro_body, framed, record_of
from worlds.schema_registry import SchemaRegistry

from jobs.messages.avro_values import NO_FIT
from jobs.messages.formats import decoder
from jobs.messages.registered_values import REFERRING, UNKNOWN, UNREADABLE
from jobs.messages.registry import Registry, RegistryError

pytestmark = [pytest.mark.embedded, pytest.mark.servers]
WHEN = {"type": "long", "logicalType": "timestamp-micros"}
FIRST = record_of(id="long", at=WHEN)
SECOND = {**FIRST, "fields": [*FIRST["fields"], {"name": "note", "type": ["null", "string"], "default": None}]}
ROW = {"id": 2**53 + 1, "at": datetime(2026, 5, 1, 10, 0, 0, 1, UTC)}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaRegistry]:
    with SchemaRegistry(tmp_path_factory.mktemp("registry")) as server:
        yield server


def test_each_message_is_read_by_the_version_that_it_was_written_with(registry: SchemaRegistry) -> None:
    first, second = (registry.register("fraud.transactions-value", schema) for schema in (FIRST, SECOND))
    in_json = registry.register("in-json", {"type": "object", "properties": {"id": {"type": "integer"}}}, "JSON")
    values = [
        framed(second, avro_body(SECOND, {**ROW, "note": "x"})),
        framed(first, avro_body(FIRST, ROW)),
        framed(in_json, b'{"id": 9007199254740993, "at": "2026-05-01T10:00:00.000001+00:00"}'),
        framed(first + 1000, b""),
        framed(first, avro_body(FIRST, ROW)[:-1]),
        b'{"id": 9007199254740993, "at": "2026-05-01T10:00:00.000001+00:00"}',
    ]
    found = decoded(decoder("auto", Registry(registry.url)), *values)
    assert found.schemas == [str(second), str(first), str(in_json), str(first + 1000), str(first), None]
    assert faults(found) == [None, None, None, UNKNOWN, NO_FIT, None]
    exact = (str(2**53 + 1), "2026-05-01T10:00:00.000001+00:00")
    assert found.records.select("id", "at").rows() == [exact, exact, exact, (None, None), (None, None), exact]
    assert found.records["note"].to_list() == ["x", None, None, None, None, None]


def test_a_schema_that_refers_to_another_is_told_of(registry: SchemaRegistry) -> None:
    registry.register("card", {**record_of(number="long"), "name": "Card"})
    reference = {"name": "Card", "subject": "card", "version": 1}
    number = registry.register("paid-value", record_of(card="Card"), references=[reference])
    assert faults(decoded(decoder("avro", Registry(registry.url)), framed(number, b"\2"))) == [
        f"{UNREADABLE}{REFERRING}"
    ]


def test_an_address_beside_its_api_is_told_of(registry: SchemaRegistry) -> None:
    with pytest.raises(RegistryError, match=r"expected a schema registry's answer to schemas/ids/1, found the status"):
        decoder("auto", Registry(f"{registry.url}/elsewhere"))(made_of([framed(1, b"")]))


def test_a_registry_that_ends_leaves_what_is_known_and_holds_what_is_new(registry: SchemaRegistry) -> None:
    known, new = (registry.register(f"last-{n}", record_of(**{name: "long"})) for n, name in enumerate("ab"))
    decode, body = decoder("auto", Registry(registry.url)), avro_body(record_of(a="long"), {"a": 1})
    assert decoded(decode, framed(known, body)).records["a"].to_list() == ["1"]
    registry.stop()
    assert decoded(decode, framed(known, body)).records["a"].to_list() == ["1"]
    with pytest.raises(RegistryError, match=r"no answer .*start the registry"):
        decode(made_of([framed(known, body), framed(new, body)]))
