"""What a registered schema says of the columns of its rows: of which sorts their values may be.

Sorts are coarse on purpose: values of one sort become texts of one form, so that int and long are one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastavro import parse_schema
from fastavro.schema import SchemaParseException

from jobs.messages.logical_values import DECIMALS, SCALED_DECIMAL, TIMES
from jobs.messages.registry import Registered

INTEGER, NUMBER, BOOLEAN, TEXT, BYTES, NESTED = "integer", "number", "boolean", "text", "bytes", "list or object"
MOMENT, LOCAL_TIME, DATE, TIME_OF_DAY = "moment", "time without a zone", "date", "time of day"
Sorts = frozenset[str]
"""Of which sorts values may be, null apart; empty: of any."""
_AVRO = {
    "null": (), "boolean": (BOOLEAN,), "int": (INTEGER,), "long": (INTEGER,), "float": (NUMBER,), "double": (NUMBER,),
    "bytes": (BYTES,), "fixed": (BYTES,), "string": (TEXT,), "enum": (TEXT,), "array": (NESTED,), "map": (NESTED,),
    "record": (NESTED,),
}  # fmt: skip
_JSON = {
    "null": (), "boolean": (BOOLEAN,), "integer": (INTEGER,), "number": (NUMBER,), "string": (TEXT,),
    "array": (NESTED,), "object": (NESTED,),
}  # fmt: skip
_FORMATS = {"date-time": MOMENT, "date": DATE, "time": TIME_OF_DAY}


def fields_of(schema: Registered) -> Mapping[str, Sorts]:
    """The columns of the rows, and of which sorts their values are; none if the schema cannot be understood."""
    try:
        said = json.loads(schema.definition)
        return _of_json_schema(said) if schema.kind == "JSON" else _of_avro(parse_schema(said), {})
    except (SchemaParseException, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _of_avro(schema: Any, named: dict[str, Any]) -> Mapping[str, Sorts]:
    """The columns of a record, or of the rows in change events. named: the schemas that bear a name, so far."""
    fields = {field["name"]: _with_names(field["type"], named) for field in schema["fields"]}
    if {"op", "before", "after"} <= fields.keys():
        row = next(each for side in ("before", "after") for each in _branches(fields[side], named) if each != "null")
        return _of_avro(row, named)
    return {name: _sorts(of, named) for name, of in fields.items()}


def _with_names(schema: Any, named: dict[str, Any]) -> Any:
    """The schema, whose names are known from here on."""
    for each in schema if isinstance(schema, list) else [schema]:
        if isinstance(each, dict) and "name" in each:
            named[each["name"]] = each
            for field in each.get("fields", ()):
                _with_names(field["type"], named)
    return schema


def _branches(schema: Any, named: Mapping[str, Any]) -> list[Any]:
    branches = schema if isinstance(schema, list) else [schema]
    return [named.get(each, each) if isinstance(each, str) else each for each in branches]


def _sorts(schema: Any, named: Mapping[str, Any]) -> Sorts:
    return frozenset(sort for branch in _branches(schema, named) for sort in _sorts_of_branch(branch, named))


def _sorts_of_branch(branch: Any, named: Mapping[str, Any]) -> Sorts:
    if isinstance(branch, str):
        return frozenset(_AVRO.get(branch, (NESTED,)))
    for name in (branch.get("logicalType"), branch.get("connect.name")):
        if name in TIMES:
            return frozenset({_sort_of_time(name)})
        if name in (*DECIMALS, SCALED_DECIMAL):
            return frozenset({NUMBER})
    of = branch["type"]
    return frozenset(_AVRO[of]) if isinstance(of, str) and of in _AVRO else _sorts(of, named)


def _sort_of_time(name: str) -> str:
    said = name.lower()
    if "timestamp" in said:
        return LOCAL_TIME if said.startswith(("local", "io.debezium")) else MOMENT
    return DATE if said.endswith("date") else TIME_OF_DAY


def _of_json_schema(schema: Mapping[str, Any]) -> Mapping[str, Sorts]:
    return {name: _json_sorts(of) for name, of in schema["properties"].items()}


def _json_sorts(schema: Any) -> Sorts:
    """Of which sorts values of a property are; of any, where it is not said by `type`."""
    if branches := schema.get("oneOf") or schema.get("anyOf"):
        return frozenset().union(*map(_json_sorts, branches))
    types = schema.get("type", ())
    sorts = {sort for of in ([types] if isinstance(types, str) else types) for sort in _JSON[of]}
    return frozenset(sorts - {TEXT} | {_FORMATS.get(schema.get("format"), TEXT)} if TEXT in sorts else sorts)
