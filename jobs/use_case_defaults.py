"""Names in a use case that follow from the rest of its declaration, where they are left out.

The events are the rows of its first source, or the targets of its schedule; labels those of the source with the label
under the events' key, or what its rule makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.use_case import Source, UseCase

FRESH = timedelta(hours=36)
"""Age of the newest day in a feature table from which it is stale, where events come every day."""
TARGETS, LABELS, TARGET_ID, AT = "targets", "labels", "target_id", "at"
"""Tables and columns of what SQL makes of a schedule and of a rule."""


def left_out(use_case: UseCase) -> dict[str, Any]:
    """Field -> value, of those that are empty; windows with the id and the time of the events."""
    found = {name: value for name, value in _names(use_case) if not getattr(use_case, name)}
    id, time = (found.get(name, getattr(use_case, name)) for name in ("event_id", "event_timestamp"))
    if use_case.schedule is not None and use_case.features_fresh == FRESH:
        found["features_fresh"] = use_case.schedule.longest_pause + FRESH
    return {**found, "windows": tuple(windows.of_events(id, time) for windows in use_case.windows)}


def _names(use_case: UseCase) -> Iterator[tuple[str, Any]]:
    name, scheduled = use_case.name, use_case.schedule is not None
    source = use_case.sources[0] if use_case.sources else None
    key = TARGET_ID if scheduled else _key(source)
    yield "feature_service", name
    yield "entities", tuple(dict.fromkeys(key for windows in use_case.windows for key in windows.keys))
    yield "event_id", key
    yield "event_timestamp", AT if scheduled else "" if source is None else source.event_time
    yield "events", f"{name}.{TARGETS if scheduled or source is None else source.name}"
    yield "labels", f"{name}.{LABELS if use_case.horizon_label else _labels(use_case, use_case.event_id or key)}"


def _key(source: Source | None) -> str:
    return source.key[0] if source is not None and len(source.key) == 1 else ""


def _labels(use_case: UseCase, event_id: str) -> str:
    """The last source with this key that declares the label; without one, a table that SQL has to make."""
    named = [
        source.name
        for source in use_case.sources
        if source.key == (event_id,) and any(column.name == use_case.label for column in source.columns)
    ]
    return named[-1] if named else LABELS
