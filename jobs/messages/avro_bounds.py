"""Whether values of an Avro schema end: each is refused by which a few bytes would say values without an end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobs.errors import Invalid

_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_Around = tuple[str, ...]
"""Names of the records that a schema is in."""
_Known = dict[str, bool]
"""Named schemas so far -> whether each value takes bytes."""


def check_bounds(schema: Any) -> None:
    """Raises Invalid, with the reason, if a value of the schema, as fastavro takes it, may have no end."""
    _takes_bytes(schema, (), {})


def _takes_bytes(schema: Any, around: _Around, known: _Known) -> bool:
    """Whether each value takes bytes."""
    if isinstance(schema, str):
        return _named(schema, around, known)
    if isinstance(schema, list):
        # A value begins with the number of its branch.
        return bool([_takes_bytes(branch, around, known) for branch in schema])
    of = _COMPLEX.get(schema["type"])
    return of(schema, around, known) if of else _takes_bytes(schema["type"], around, known)


def _named(name: str, around: _Around, known: _Known) -> bool:
    if name in around:
        # fastavro follows it in C, as deep as the bytes say, and the process ends.
        raise Invalid("a record that holds itself")
    return name != "null" if name in _PRIMITIVES else known[name]


def _record(schema: Mapping[str, Any], around: _Around, known: _Known) -> bool:
    within = (*around, schema["name"])
    known[schema["name"]] = True in [_takes_bytes(field["type"], within, known) for field in schema["fields"]]
    return known[schema["name"]]


def _array(schema: Mapping[str, Any], around: _Around, known: _Known) -> bool:
    if not _takes_bytes(schema["items"], around, known):
        raise Invalid("a list whose elements take no bytes")
    return True


def _map(schema: Mapping[str, Any], around: _Around, known: _Known) -> bool:
    _takes_bytes(schema["values"], around, known)
    return True


def _fixed(schema: Mapping[str, Any], _: _Around, known: _Known) -> bool:
    known[schema["name"]] = schema["size"] > 0
    return known[schema["name"]]


def _enum(schema: Mapping[str, Any], _: _Around, known: _Known) -> bool:
    known[schema["name"]] = True
    return True


_COMPLEX: Mapping[str, Callable[[Mapping[str, Any], _Around, _Known], bool]] = {
    "record": _record,
    "array": _array,
    "map": _map,
    "fixed": _fixed,
    "enum": _enum,
}
