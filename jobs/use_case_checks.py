"""What the declaration of a use case, a source or a column must hold besides the types of its fields.

Each function tells what does not: what was expected, what was found and what to do. It is a bug to yield where nothing
can go wrong later: a declaration that works is never refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.profile_checks import profile_misfits
from jobs.target_checks import target_misfits

if TYPE_CHECKING:
    from jobs.problem import Groups, Slice
    from jobs.use_case import Column, Source, UseCase

NAME = re.compile(r"[a-z_][a-z0-9_]*")
"""Of tables and schemas: what every engine takes as it is."""
OPTION = re.compile(r"[a-z][a-z0-9_-]*")
ADDED = (
    "event_date", "loaded_in", "stream_topic", "stream_partition", "stream_offset", "stream_schema", "row_deleted",
)  # fmt: skip
"""Columns that raw tables have besides the declared ones."""
NONE = timedelta(0)
LONGEST_VECTOR = 4096
"""Each element is a feature."""


def column_misfits(column: Column) -> Iterator[str]:
    """Of one column by itself."""
    if not re.fullmatch(r"\w+", column.name):
        yield f"name: expected letters, digits and underscores, found {column.name!r}; choose such a name"
    if column.in_file == "" or "" in column.also_in_file:
        yield "in_file: expected a name, found an empty text; leave it out, or name the column in the file"
    if column.kind not in ("number", "integer") and (column.minimum, column.maximum) != (None, None):
        yield f"expected bounds of a number only, found them of a {column.kind}; leave minimum and maximum out"
    if column.minimum is not None and column.maximum is not None and column.minimum > column.maximum:
        yield f"expected minimum <= maximum, found {column.minimum} and {column.maximum}; exchange them"
    if column.formats and column.kind != "timestamp":
        yield f"expected formats of a timestamp only, found them of a {column.kind}; leave them out"
    if (column.kind == "vector") != (column.length is not None):
        yield f"length: expected that of a vector, and of nothing else, found {column.length} of a {column.kind}"
    if column.length is not None and not 1 <= column.length <= LONGEST_VECTOR:
        yield f"length: expected 1 to {LONGEST_VECTOR:,} floats, found {column.length}; make the vector shorter"
    if column.made_of and column.kind != "string":
        yield f"made_of: expected of a string only, found of a {column.kind}; make it a string"


def source_misfits(source: Source) -> Iterator[str]:
    """Of one source by itself."""
    yield from _name(source.name)
    if not OPTION.fullmatch(source.input):
        yield f"option: expected small letters, digits and dashes, found {source.option!r}; choose such a name"
    names = [column.name for column in source.columns]
    if twice := _twice(names):
        yield f"expected distinct columns, found {twice} twice; rename or remove one"
    if taken := [name for name in names if name in ADDED]:
        yield f"expected other columns than {', '.join(ADDED)}, which every raw table has, found {taken}; rename them"
    yield from _columns_of_source(source, names)
    if min(source.latency, source.carried_delay or NONE) < NONE:
        yield "expected latency and carried_delay of 0 or more, found less; a row is not known before its event"
    if source.plausible_age <= NONE:
        yield f"plausible_age: expected more than 0, found {source.plausible_age!r}; say how old an event may be"
    if not 0 <= source.usual_quarantine <= 1:
        yield f"usual_quarantine: expected a share of 0 to 1, found {source.usual_quarantine}; correct it"


def _columns_of_source(source: Source, names: list[str]) -> Iterator[str]:
    """What refers to columns: each must be declared, of a kind and with values that serve."""
    times = [column.name for column in source.columns if column.kind == "timestamp"]
    if not source.key:
        yield "key: expected at least one column, found none; name what identifies a row"
    declared: dict[str, tuple[Iterable[str], list[str]]] = {
        "key": (source.key, names),
        "event_time": ((source.event_time,), times),
        "known_at": ((source.known_at,) if source.known_at is not None else (), times),
        "references": (source.references, names),
    }
    made = {column.name: column for column in source.columns if column.made_of}
    plain = [name for name in names if name not in made]
    declared |= {f"made_of of {name}": (column.made_of, plain) for name, column in made.items()}
    for what, (found, among) in declared.items():
        if missing := [name for name in found if name not in among]:
            yield f"{what}: expected columns among {among}, found {missing}; declare them"
    if twice := _twice(source.key):
        yield f"key: expected distinct columns, found {twice} twice; name each once"
    contents = [column.name for column in source.columns if column.kind in ("vector", "text")]
    if wrong := [name for name in source.key if name in contents]:
        yield f"key: expected columns that identify a row, found the vectors or texts {wrong}; name others"
    needed = {*source.key, source.event_time, *filter(None, [source.known_at])}
    for column in source.columns:
        if column.name in needed and (column.nullable or column.optional):
            yield f"{column.name}: expected a value in each row, as it is key or time, found it may lack one; drop that"


def use_case_misfits(use_case: UseCase) -> Iterator[str]:
    """Of a use case: what its sources, windows and days say of each other."""
    yield from _name(use_case.name)
    if not use_case.sources:
        yield "sources: expected at least one, found none; declare where events come from"
    for what in ("event_id", "event_timestamp"):
        if use_case.sources and not getattr(use_case, what):
            key = use_case.sources[0].key
            yield f"{what}: expected a column, found none that follows from the key {key} of the first source; name it"
    for what, names in (
        ("sources of distinct names", [source.name for source in use_case.sources]),
        ("sources of distinct options", [source.input for source in use_case.sources]),
        ("windows of distinct names", [windows.name for windows in use_case.windows]),
    ):
        if twice := _twice(names):
            yield f"expected {what}, found {twice} twice; rename one"
    for source in use_case.sources:
        yield from _source_in_use_case(source, use_case)
    yield from profile_misfits(use_case)
    yield from target_misfits(use_case)
    if use_case.problem is not None:
        yield from _profiles(use_case, (*use_case.problem.slices, *use_case.problem.fairness))
    if use_case.first_day > use_case.last_day:
        yield f"expected first_day <= last_day, found {use_case.first_day} and {use_case.last_day}; exchange them"
    if use_case.label_maturity < NONE:
        yield f"label_maturity: expected 0 or more, found {use_case.label_maturity!r}; correct it"
    for name in ("training_window", "features_fresh"):
        if getattr(use_case, name) <= NONE:
            yield f"{name}: expected more than 0, found {getattr(use_case, name)!r}; correct it"


def _source_in_use_case(source: Source, use_case: UseCase) -> Iterator[str]:
    sources = {each.name: each for each in use_case.sources}
    known = ", ".join(sources)
    if source.carried_by is not None and source.carried_by not in sources:
        yield f"{source.name}.carried_by: expected one of the sources {known}, found {source.carried_by!r}; correct it"
    if source.carried_by == source.name:
        yield f"{source.name}.carried_by: expected another source, found itself; leave it out"
    kinds = {column.name: column.kind for column in source.columns}
    for name, reference in source.references.items():
        target, _, column = reference.partition(".")
        if target not in sources:
            yield f"{source.name}.references: expected one of the sources {known}, found {target!r}; correct it"
            continue
        there = {each.name: each.kind for each in sources[target].columns}
        if column not in there:
            yield f"{source.name}.references: expected a column of {target}, found {column!r}; correct it"
        elif there[column] != kinds[name]:
            yield (
                f"{source.name}.references: expected columns of one kind, found {name} ({kinds[name]}) and {reference} "
                f"({there[column]}); declare both alike"
            )


def _profiles(use_case: UseCase, groups: Iterable[Slice | Groups]) -> Iterator[str]:
    """Of slices and groups by a column of a profile: of a profile that no source is there would never be any."""
    columns = {source.name: [column.name for column in source.columns] for source in use_case.sources}
    for each in groups:
        if each.source is not None and each.source not in columns:
            known = ", ".join(columns)
            yield f"{each.name}.source: expected one of the sources {known}, found {each.source!r}; correct it"
        elif each.source is not None and each.column not in columns[each.source]:
            known = ", ".join(columns[each.source])
            yield f"{each.name}.column: expected a column of {each.source}, {known}, found {each.column!r}; correct it"


def _name(name: str) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield f"name: expected small letters, digits and underscores, found {name!r}; choose such a name"


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
