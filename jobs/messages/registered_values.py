"""Values that were written by a schema of a registry: byte 0, the schema's number in four bytes, then Avro or JSON.

JSON is not held against its JSON Schema: contracts say what a row must hold, and validating takes many times as long as
all else.
"""

from __future__ import annotations

import struct
from typing import Any

from jobs.errors import Invalid
from jobs.messages import avro_values
from jobs.messages.avro_schemas import readable
from jobs.messages.debezium import Unwrap
from jobs.messages.groups import in_groups
from jobs.messages.message import Decoded, ValueDecoder, Values
from jobs.messages.registry import Registered, SchemaByNumber

CUT_OFF = "cut off before the number of its schema"
UNKNOWN, OF_NO_KIND = "a schema that the registry does not have", "a schema that is neither Avro nor JSON Schema"
UNREADABLE, REFERRING = "a schema by which no row is read: ", "one that refers to others"
"""Why a value is no record."""
_MAGIC = b"\0"
_FRAME = struct.Struct(">cI")


class RegisteredValues:
    """Decodes values by the schemas of a registry, and those without a schema as texts are."""

    def __init__(self, schemas: SchemaByNumber, of_texts: ValueDecoder, unwrap: Unwrap) -> None:
        self._schemas = schemas
        self._of_texts = of_texts
        self._unwrap = unwrap
        self._readable: dict[int, Any] = {}
        """Schemas of Avro, as fastavro takes them."""

    def __call__(self, values: Values) -> Decoded:
        """What the values say. Raises RegistryError while the registry does not say what a schema is."""
        return in_groups(values, [_schema_of(value) for value in values], self._decoded)

    def _decoded(self, schema: int | str | None, values: Values) -> Decoded:
        """schema: its number, or why there is none; None: the values are texts."""
        if schema is None:
            return self._of_texts(values)
        if isinstance(schema, str):
            return Decoded.no_records(len(values), schema)
        bodies = [value[_FRAME.size :] for value in values if value is not None]
        found = self._by_schema(schema, bodies)
        return found._replace(schemas=[str(schema)] * len(bodies))

    def _by_schema(self, number: int, bodies: list[bytes]) -> Decoded:
        registered = self._schemas(number)
        if registered is None:
            return Decoded.no_records(len(bodies), UNKNOWN)
        if registered.kind == "JSON":
            return self._of_texts(bodies)
        if registered.kind != "AVRO":
            return Decoded.no_records(len(bodies), OF_NO_KIND)
        try:
            schema = self._schema(number, registered)
        except Invalid as reason:
            return Decoded.no_records(len(bodies), f"{UNREADABLE}{reason}")
        return avro_values.rows(schema, bodies, self._unwrap)

    def _schema(self, number: int, registered: Registered) -> Any:
        if registered.refers:
            raise Invalid(REFERRING)
        if number not in self._readable:
            self._readable[number] = readable(registered.definition)
        return self._readable[number]


def _schema_of(value: bytes | None) -> int | str | None:
    if value is None or not value.startswith(_MAGIC):
        return None
    return int(_FRAME.unpack_from(value)[1]) if len(value) >= _FRAME.size else CUT_OFF
