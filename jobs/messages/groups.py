"""Values that are decoded in different ways, and stand in their order afterwards."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import polars as pl

from jobs.ingest.csv_records import LINE, MALFORMED
from jobs.messages.message import ChangeKind, Decoded, Values

_NO_ROWS = pl.DataFrame(schema={LINE: pl.UInt32(), MALFORMED: pl.String()})
Group = TypeVar("Group", bound=Hashable)


def in_groups(values: Values, groups: Sequence[Group], decode: Callable[[Group, Values], Decoded]) -> Decoded:
    """What the values say, where `groups` names for each the group that it is decoded in."""
    if len(set(groups)) == 1:
        return decode(groups[0], values)
    places: dict[Group, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    parts = [(at, decode(group, [values[place] for place in at])) for group, at in places.items()]
    return _joined(parts, len(values))


def _joined(parts: Sequence[tuple[list[int], Decoded]], count: int) -> Decoded:
    schemas: list[str | None] = [None] * count
    changes: list[ChangeKind | None] = [None] * count
    for at, part in parts:
        for place, schema, change in zip(at, part.schemas, part.changes, strict=True):
            schemas[place], changes[place] = schema, change
    frames = [_NO_ROWS] + [part.records.with_columns(pl.Series(LINE, at, pl.UInt32) + 1) for at, part in parts]
    return Decoded(pl.concat(frames, how="diagonal").sort(LINE), schemas, changes)
