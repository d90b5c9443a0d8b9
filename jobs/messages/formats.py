"""The formats that a topic may have, and the decoder of each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from jobs.errors import Invalid
from jobs.messages import debezium, json_values
from jobs.messages.debezium import RowChange, Unwrap
from jobs.messages.groups import in_groups
from jobs.messages.message import Decoded, Decoder, ValueDecoder, Values
from jobs.messages.registry import Registry

NO_NUMBER = "no number of a schema"
"""Why a value of Avro is no record."""


def decoder(form: str = "auto", registry: Registry | None = None) -> Decoder:
    """A decoder of messages in a format, by the schemas of a registry if there is one.

    Raises Invalid if there is no such format, or it needs a registry and there is none. What it returns raises
    RegistryError while the registry does not say what a schema is.
    """
    if form not in _FORMATS:
        raise Invalid(f"format: expected one of {', '.join(_FORMATS)}, found {form!r}; correct EVERGREEN_STREAM")
    if form == "avro" and registry is None:
        raise Invalid("format=avro: expected the address of a schema registry, found none; add `registry=http://...`")
    of_values = _FORMATS[form].of_texts if registry is None else _by_schemas(registry, _FORMATS[form])
    return lambda messages: of_values([message.value for message in messages])


class _Format(NamedTuple):
    """How values without a schema become rows, and what values with one say."""

    of_texts: ValueDecoder
    unwrap: Unwrap


def _by_schemas(registry: Registry, form: _Format) -> ValueDecoder:
    from jobs.messages.registered_values import RegisteredValues

    return RegisteredValues(registry.schema, *form)


def _no_texts(values: Values) -> Decoded:
    """Values of a format that has no texts."""
    reasons = [json_values.TOMBSTONE if value is None else NO_NUMBER for value in values]
    return in_groups(values, reasons, lambda reason, part: Decoded.no_records(len(part), reason))


_FORMATS: Mapping[str, _Format] = {
    "auto": _Format(debezium.rows_or_changes, partial(debezium.unwrapped, required=False)),
    "json": _Format(json_values.rows, RowChange),
    "avro": _Format(_no_texts, RowChange),
    "debezium": _Format(debezium.changes, partial(debezium.unwrapped, required=True)),
}
