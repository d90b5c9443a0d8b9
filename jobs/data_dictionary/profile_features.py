"""What a feature of a profile is, as a sentence made of the column of its source."""

from __future__ import annotations

from jobs.data_dictionary.event_columns import source_column
from jobs.data_dictionary.meaning import Meaning
from jobs.profiles import ProfileFeatures
from jobs.use_case import Column, Source, UseCase


def of_profiles(use_case: UseCase) -> dict[str, Meaning]:
    """The meaning of each feature of the profiles of a use case, by name."""
    found: dict[str, Meaning] = {}
    for profile in use_case.profiles:
        found |= profile_features(use_case, profile)
    return found


def profile_features(use_case: UseCase, profile: ProfileFeatures) -> dict[str, Meaning]:
    """The meaning of each feature of one profile, by name."""
    source, columns = use_case.source(profile.source), use_case.profile_columns(profile)
    names = use_case.profile_features(profile)
    return {name: _meaning(source, column) for name, column in zip(names, columns, strict=True)}


def _meaning(source: Source, column: Column) -> Meaning:
    known = f"as known of the {source.key[0].removesuffix('_id').replace('_', ' ')} at the time of the event"
    if column.kind == "timestamp":
        return Meaning(f"Age of {column.name}, {known}; null where it is missing or later.", "days")
    meaning = source_column(source, column)
    return Meaning(f"{meaning.text.rstrip('.')}, {known}; null if nothing is.", meaning.unit)
