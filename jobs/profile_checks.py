"""What the profile features of a use case must hold: sources and columns that there are, and names of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.profiles import ProfileFeatures
    from jobs.use_case import UseCase

KINDS = ("number", "integer", "boolean", "string", "category", "timestamp")
"""Of columns that are features."""


def profile_misfits(use_case: UseCase) -> Iterator[str]:
    """Of the profile features of a use case, which are looked at after its sources and windows."""
    sources = [profile.source for profile in use_case.profiles]
    if twice := [name for name, count in Counter(sources).items() if count > 1]:
        yield f"profiles: expected one of each source, found {twice} twice; name all columns in one"
    for profile in use_case.profiles:
        if profile.source not in [source.name for source in use_case.sources]:
            known = ", ".join(source.name for source in use_case.sources)
            yield f"profiles: expected one of the sources {known}, found {profile.source!r}; correct it"
            continue
        yield from _of_source(use_case, profile)
    yield from _of_names(use_case)


def _of_source(use_case: UseCase, profile: ProfileFeatures) -> Iterator[str]:
    source, what = use_case.source(profile.source), f"profile {profile.source}"
    if len(source.key) != 1 or source.key[0] not in use_case.entities:
        found, entities = ", ".join(source.key), ", ".join(use_case.entities)
        yield f"{what}: expected a source whose key is one of the entities {entities}, found {found}; name another"
    if use_case.profile_table(profile) in (use_case.events, use_case.labels):
        yield f"{what}: expected another source than that of events or labels; their columns are Problem.inputs"
    if profile.name in [windows.name for windows in use_case.windows]:
        yield f"{what}: expected windows of other names than sources of profiles, found {profile.name!r}; rename them"
    kinds = {column.name: column.kind for column in source.columns}
    if not profile.columns:
        yield f"{what}: columns: expected at least one, found none; name what of it is a feature"
    for name in profile.columns:
        if name not in kinds:
            yield f"{what}: expected columns among {', '.join(kinds)}, found {name!r}; correct it"
        elif kinds[name] not in KINDS:
            allowed = ", ".join(KINDS)
            yield f"{what}: expected columns of kind {allowed}, found {name} of kind {kinds[name]}; leave it out"


def _of_names(use_case: UseCase) -> Iterator[str]:
    """Features are columns of one table, beside those of the events."""
    event = use_case.event_source
    taken = {
        "known_at",
        "superseded_at",
        "loaded_in",
        "event_date",
        use_case.event_id,
        use_case.event_timestamp,
        use_case.label,
        *use_case.entities,
        *use_case.inputs,
    }
    taken |= {column.name for column in (*(event.columns if event else ()), *use_case.computed)}
    taken |= {name for windows in use_case.windows for name in windows.names}
    taken |= {name for function in use_case.request_features for name in function.outputs}
    for profile in use_case.profiles:
        # The moment itself is joined before its age is taken.
        names = {*profile.columns, *use_case.profile_features(profile)}
        if clashing := sorted(names & taken) or [n for n, c in Counter(profile.columns).items() if c > 1]:
            yield (
                f"profile {profile.source}: expected columns of names that no column of events and no other feature "
                f"has, found {', '.join(clashing)}; rename them in the source (Column.in_file keeps the name in files)"
            )
        taken |= names
