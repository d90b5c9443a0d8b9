"""Schemas of Avro, made so that whatever bytes are read by them end, and times and decimals are read as texts.

Fetching them: see `jobs.messages.registry`.
"""

from __future__ import annotations

import json
from typing import Any

from fastavro import parse_schema
from fastavro.read import LOGICAL_READERS
from fastavro.schema import SchemaParseException

from jobs.errors import Invalid
from jobs.messages.avro_bounds import check_bounds
from jobs.messages.logical_values import DECIMALS, SCALED_DECIMAL, TIMES, decimal

_AS_TEXT = "evergreen-text"
"""Logical type of what is read as text, and the property that says which type it had."""


def readable(definition: str) -> Any:
    """A schema as fastavro takes it. Raises Invalid, with the reason, for one by which no row can be read."""
    try:
        schema = parse_schema(_with_texts(json.loads(definition)))
        is_record = isinstance(schema, dict) and schema.get("type") == "record"
        check_bounds(schema)
    except Invalid:
        raise
    except (SchemaParseException, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid("no Avro that can be understood") from error
    if not is_record:
        raise Invalid("no record")
    return schema


def _with_texts(schema: Any) -> Any:
    """The schema with our logical type where `_text` knows what is meant, and without any elsewhere."""
    if isinstance(schema, list):
        return [_with_texts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {k: _with_texts(v) if k in ("type", "items", "values", "fields") else v for k, v in schema.items()}
    names = (made.pop("logicalType", None), schema.get("connect.name"))
    known = [name for name in names if (str(name), str(schema.get("type"))) in _MEANT]
    return {**made, "logicalType": _AS_TEXT, _AS_TEXT: known[0]} if known else made


_MEANT = {
    *((name, of) for name in TIMES for of in ("int", "long")),
    *((name, of) for name in DECIMALS for of in ("bytes", "fixed")),
    (SCALED_DECIMAL, "record"),
}


def _text(value: Any, schema: Any, _: Any) -> str:
    meant = schema[_AS_TEXT]
    if meant in TIMES:
        return TIMES[meant](value)
    return decimal(value, schema.get("scale", 0)) if meant in DECIMALS else decimal(value["value"], value["scale"])


# The documented way to read a logical type that fastavro does not know.
LOGICAL_READERS.update({f"{of}-{_AS_TEXT}": _text for _, of in _MEANT})
