"""Change events of Debezium: what happened to a row of a database, and the row before and after it.

JSON of Kafka Connect may bring its schema along, in `schema` beside `payload`, which says what numbers stand for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jobs.ingest.csv_records import LINE, MALFORMED
from jobs.ingest.json_objects import NoRecord, ObjectRead, as_frame, as_texts, parsed
from jobs.ingest.json_records import TEXT
from jobs.messages.groups import in_groups
from jobs.messages.json_values import MOST_NAMES, TOMBSTONE, numbered_texts, rows
from jobs.messages.logical_values import DECIMALS, SCALED_DECIMAL, TIMES, decimal
from jobs.messages.message import ChangeKind, Decoded, Values

NO_CHANGE_EVENT = "no change event of Debezium"
OF_NO_ROW = "a change event of Debezium that creates, updates or deletes no row"
ROW_MISSING = "a change event of Debezium without its row"
"""Why a message is no record."""
_CHANGES: Mapping[Any, ChangeKind] = {"c": "create", "r": "create", "u": "update", "d": "delete"}
"""By `op`; a row that was there when Debezium began is read."""
_TO_NO_ROW = ("t", "m")
"""A table that was emptied, and a message of the database."""
_OPERATIONS = (*_CHANGES, *_TO_NO_ROW)
_INTEGER = re.compile(r"-?[0-9]{1,20}").fullmatch


class RowChange(NamedTuple):
    """A row, and what happens to it where that is said."""

    row: Mapping[str, Any]
    change: ChangeKind | None = None
    side: str = ""
    """Field of the change event that the row stands in; empty: it is none."""


Unwrap = Callable[[Mapping[str, Any]], RowChange]
"""From what a message says to its row. Raises NoRecord, with the reason, if there is none."""


def unwrapped(said: Mapping[str, Any], required: bool) -> RowChange:
    """The row of a change event, or of what is none. Raises NoRecord, with the reason, if there is no row.

    required: what is no change event has none.
    """
    op = said.get("op")
    if op not in _OPERATIONS or not {"before", "after"} & said.keys():
        if required:
            raise NoRecord(NO_CHANGE_EVENT)
        return RowChange(said)
    if op in _TO_NO_ROW:
        raise NoRecord(OF_NO_ROW)
    change = _CHANGES[op]
    side = "before" if change == "delete" else "after"
    if not isinstance(said.get(side), Mapping):
        raise NoRecord(ROW_MISSING)
    return RowChange(said[side], change, side)


def changes(values: Values) -> Decoded:
    """The changes that values tell; a tombstone follows a delete, and is none of its own."""
    return _told(values, required=True)


def rows_or_changes(values: Values) -> Decoded:
    """The rows that values are, or the changes that they tell; a tombstone is no record."""
    wrapped = [value is not None and (b'"op"' in value or b'"payload"' in value) for value in values]
    return in_groups(values, wrapped, lambda is_wrapped, part: _told(part, False) if is_wrapped else rows(part))


def _told(values: Values, required: bool) -> Decoded:
    texts = numbered_texts(values)
    told = [_told_by(text, fault, required) for text, fault in texts.select(TEXT, MALFORMED).iter_rows()]
    records = as_frame([read for read, _ in told], texts[LINE], MOST_NAMES)
    return Decoded(records, [None] * len(told), [change for _, change in told])


def _told_by(text: str | None, fault: str | None, required: bool) -> tuple[ObjectRead, ChangeKind | None]:
    if text is None:
        return (ObjectRead({}), "tombstone") if fault == TOMBSTONE else (ObjectRead({}, fault), None)
    try:
        schema, said = _payload(parsed(text))
        row, change, side = unwrapped(said, required)
        return ObjectRead(as_texts(_meant(row, _field(schema, side) if side else schema))), change
    except NoRecord as reason:
        return ObjectRead({}, str(reason)), None


def _payload(said: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The schema of an object, and what it says without it."""
    payload, schema = said.get("payload"), said.get("schema")
    if not isinstance(payload, dict) or not said.keys() <= {"schema", "payload"}:
        return {}, said
    return schema if isinstance(schema, dict) else {}, payload


def _field(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The schema of a field of an object, as far as there is one."""
    return _fields(schema).get(name, {})


def _fields(schema: Mapping[str, Any]) -> dict[Any, Mapping[str, Any]]:
    fields = schema.get("fields")
    return {str(f.get("field")): f for f in fields if isinstance(f, dict)} if isinstance(fields, list) else {}


def _meant(row: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with texts in place of numbers that stand for times or decimals."""
    return {**row, **{name: _value(row[name], field) for name, field in _fields(schema).items() if name in row}}


def _value(value: Any, field: Mapping[str, Any]) -> Any:
    """What a value stands for; itself, where it is not what its schema says."""
    name, parameters = str(field.get("name")), field.get("parameters")
    try:
        if name in TIMES and isinstance(value, str) and _INTEGER(value):
            return TIMES[name](int(value))
        if name in DECIMALS and isinstance(parameters, dict):
            return decimal(base64.b64decode(value, validate=True), int(parameters["scale"]))
        if name == SCALED_DECIMAL:
            return decimal(base64.b64decode(value["value"], validate=True), int(value["scale"]))
    except (ValueError, LookupError, TypeError, ArithmeticError):
        pass
    return value
