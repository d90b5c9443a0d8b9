"""The features of one entity as of a moment, of its latest event and of its profile, read without an engine.

Features of many events are joined by `jobs.feature_store.point_in_time`; this is for a person who asks about one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.data_dictionary.profile_features import profile_features
from jobs.data_dictionary.window_features import window_feature
from jobs.errors import Invalid
from jobs.ingest.identifiers import as_integers, canonical_text
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.profiles import ProfileFeatures
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

EVENT, KNOWN = "event_timestamp", "created_timestamp"
"""Columns of every table of features: when its event happened, and when all of the row was known."""
Filters = list[tuple[str, str, Any]]


@dataclass(frozen=True)
class EntityValue:
    """The value of one feature."""

    feature: str
    value: float | int | str | bool | None
    meaning: str
    table: str
    event_id: int | str | None
    """The event that the value belongs to; None: it is of the entity's profile."""
    event_timestamp: datetime
    """When that happened, or the profile came to be so."""
    known_at: datetime


def entity_values(
    lakehouse: Lakehouse, use_case: UseCase, keys: Sequence[str], identifiers: Sequence[str], as_of: datetime
) -> list[EntityValue]:
    """The features of an entity as of a moment, in the order of their declaration; none of windows where it had no
    event by then, and none of a profile where it had none.

    Args:
        keys: column of the entity, or its columns as they are declared.
        identifiers: one for each of them.

    Raises Invalid if no features are declared for that entity, there are more or fewer identifiers than columns, or
    one is of another kind than the table's.
    """
    entity, declared = ",".join(keys), [windows for windows in use_case.windows if windows.keys == tuple(keys)]
    profiles = [each for each in use_case.profiles if use_case.source(each.source).key == tuple(keys)]
    if not declared and not profiles:
        sources = [use_case.source(each.source).key for each in use_case.profiles]
        names = " or ".join(dict.fromkeys(map(",".join, [*(each.keys for each in use_case.windows), *sources])))
        raise Invalid(f"--entity: expected {names}, found {entity!r}; name one of these")
    if len(identifiers) != len(keys):
        raise Invalid(f"{entity}: expected {len(keys)} identifiers, found {len(identifiers)}: {' '.join(identifiers)}; "
                      "give one for each column")  # fmt: skip
    tables = [windows for windows in declared if lakehouse.exists(use_case.window_table(windows))]
    found = [value for windows in tables for value in _values(lakehouse, use_case, windows, identifiers, as_of)]
    there = [profile for profile in profiles if lakehouse.exists(use_case.profile_table(profile))]
    return found + [
        value for profile in there for value in _of_profile(lakehouse, use_case, profile, identifiers[0], as_of)
    ]


def _values(
    lakehouse: Lakehouse, use_case: UseCase, windows: WindowFeatures, identifiers: Sequence[str], as_of: datetime
) -> Iterator[EntityValue]:
    table = use_case.window_table(windows)
    mine = zip(windows.keys, identifiers, strict=True)
    row = _latest(
        lakehouse, table, windows, {key: _identifier(lakehouse, table, key, text) for key, text in mine}, as_of
    )
    for feature in windows.features if row else ():
        meaning = window_feature(use_case, windows, feature).sentence
        yield EntityValue(feature.name, row[feature.name], meaning, table, row[windows.id], row[EVENT], row[KNOWN])


def _of_profile(
    lakehouse: Lakehouse, use_case: UseCase, profile: ProfileFeatures, identifier: str, as_of: datetime
) -> Iterator[EntityValue]:
    """Of the last row of a profile that was known, and had come into force."""
    table, source = use_case.profile_table(profile), use_case.source(profile.source)
    mine: Filters = [(source.key[0], "=", _identifier(lakehouse, table, source.key[0], identifier))]
    mine += [(source.event_time, "<=", as_of), ("known_at", "<=", as_of)]
    order = [(source.event_time, "descending"), ("known_at", "descending")]
    described, names = profile_features(use_case, profile), use_case.profile_features(profile)
    for row in lakehouse.to_arrow(table, filters=mine).sort_by(order).slice(0, 1).to_pylist():
        for name, column in zip(names, profile.columns, strict=True):
            value = row[column] if name == column else _age(row[column], as_of)
            meaning, times = described[name].sentence, (row[source.event_time], row["known_at"])
            yield EntityValue(name, value, meaning, table, None, *times)


def _age(moment: datetime | None, as_of: datetime) -> float | None:
    """Days from a moment until another; None if it is missing or later."""
    return None if moment is None or moment > as_of else (as_of - moment) / timedelta(days=1)


def _latest(
    lakehouse: Lakehouse, table: str, windows: WindowFeatures, entity: Mapping[str, int | str], as_of: datetime
) -> dict[str, Any]:
    """The row of the latest event that had happened and was known; among equal ones that known last. Empty: none."""
    mine: Filters = [(key, "=", identifier) for key, identifier in entity.items()]
    mine += [(EVENT, "<=", as_of), (KNOWN, "<=", as_of)]
    keys = lakehouse.to_arrow(table, columns=[windows.id, EVENT, KNOWN, PARTITION], filters=mine)
    if not keys.num_rows:
        return {}
    order = [(EVENT, "descending"), (KNOWN, "descending"), (windows.id, "descending")]
    [last] = keys.sort_by(order).slice(0, 1).to_pylist()
    # Only the day's files are read with all their columns.
    one: Filters = [(PARTITION, "=", last[PARTITION]), (windows.id, "=", last[windows.id])]
    row: dict[str, Any] = lakehouse.to_arrow(table, filters=one).slice(0, 1).to_pylist()[0]
    return row


def _identifier(lakehouse: Lakehouse, table: str, entity: str, text: str) -> int | str:
    """An identifier in the one form that tables have it in."""
    whole = pa.types.is_integer(lakehouse.schema(table).field(entity).type)
    given = canonical_text(pl.Series([text]))
    [value] = as_integers(given) if whole else given
    if value is None:
        kind = "a whole number, as its identifiers are" if whole else "an identifier"
        raise Invalid(f"{entity}: expected {kind}, found {text!r}; give one that {table} holds")
    identifier: int | str = value
    return identifier
