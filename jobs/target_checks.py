"""What a use case must hold that counts facts of other sources, makes targets of a schedule, or labels of a rule.

Each function tells what it does not: what was expected, what was found and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jobs.targets import Schedule
    from jobs.use_case import Source, UseCase


class _Asked(NamedTuple):
    """A source that a declaration names, and the columns that it reads of it."""

    what: str
    source: str
    columns: tuple[str, ...]


def target_misfits(use_case: UseCase) -> Iterator[str]:
    """Of a use case: sources that are named bear the entities, and what is read of them, under one key."""
    sources = {source.name: source for source in use_case.sources}
    for asked in _asked(use_case):
        if asked.source not in sources:
            yield f"{asked.what}: expected one of the sources {', '.join(sources)}, found {asked.source!r}; correct it"
        else:
            yield from _source(asked, sources[asked.source])
    if use_case.schedule is not None:
        yield from _schedule(use_case, use_case.schedule, sources)
    if use_case.horizon_label is not None:
        yield from _another_table("labels", use_case.labels, sources)


def _asked(use_case: UseCase) -> Iterator[_Asked]:
    for windows in use_case.windows:
        if windows.facts is not None:
            yield _Asked(f"{windows.name}.facts", windows.facts, windows.keys)
    if (schedule := use_case.schedule) is not None:
        until = () if schedule.until is None else (schedule.until,)
        yield _Asked("schedule.entities_of", schedule.entities_of, (*use_case.entities, *until))
    if (label := use_case.horizon_label) is not None:
        yield _Asked("horizon_label.facts", label.facts, (*use_case.entities, *label.columns))


def _source(asked: _Asked, source: Source) -> Iterator[str]:
    there = [column.name for column in source.columns]
    if missing := [name for name in asked.columns if name not in there]:
        yield (
            f"{asked.what}: expected a source with the columns {list(asked.columns)}, found {source.name} without "
            f"{missing}; declare them"
        )
    if len(source.key) != 1:
        yield (
            f"{asked.what}: expected a source with a key of one column, found {list(source.key)} of {source.name}; "
            "declare one that is made of them (Column.made_of)"
        )


def _schedule(use_case: UseCase, schedule: Schedule, sources: Mapping[str, Source]) -> Iterator[str]:
    yield from _another_table("events", use_case.events, sources)
    source = sources.get(schedule.entities_of)
    kinds = {} if source is None else {column.name: column.kind for column in source.columns}
    if schedule.until is not None and kinds.get(schedule.until, "timestamp") != "timestamp":
        found = f"{schedule.until} of kind {kinds[schedule.until]}"
        yield f"schedule.until: expected a timestamp, found {found}; correct it"
    if clashing := {use_case.event_id, use_case.event_timestamp} & set(use_case.entities):
        yield f"expected an id and a time of targets besides their entities, found {sorted(clashing)}; rename them"


def _another_table(what: str, table: str, sources: Mapping[str, Source]) -> Iterator[str]:
    """A mart of what SQL makes has another name than those of versions of a source's rows."""
    if table.split(".")[-1] in sources:
        yield f"{what}: expected another table than that of a source, found {table}; name it otherwise"
