"""The data dictionary of a table: a sentence for every column, whoever declared it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from jobs.data_dictionary.event_columns import BOOKKEEPING, column_meaning, source_column
from jobs.data_dictionary.meaning import Meaning
from jobs.data_dictionary.profile_features import of_profiles
from jobs.data_dictionary.window_features import window_features
from jobs.use_case import Source, UseCase


@dataclass(frozen=True)
class DataDictionary:
    """What the columns of a table of a use case hold."""

    use_case: UseCase
    own: Mapping[str, str] = field(default_factory=dict)
    """Column of this table -> its sentence, which wins over what the use case declares."""
    source: Source | None = None
    """Of a raw table."""

    def meaning(self, column: str) -> Meaning:
        """The meaning of a column; every name has one."""
        known = column_meaning(self.use_case, column)
        if column in self.own:
            return Meaning(self.own[column], known.unit, known.is_identifier)
        if self.source is not None:
            return _raw(self.source, column)
        return self._features.get(column, known)

    def sentences(self) -> dict[str, str]:
        """Column -> sentence, of the columns that only this table has."""
        return {name: self.meaning(name).sentence for name in self.own}

    @cached_property
    def _features(self) -> Mapping[str, Meaning]:
        return {**window_features(self.use_case), **of_profiles(self.use_case)}


def _raw(source: Source, name: str) -> Meaning:
    if declared := next((column for column in source.columns if column.name == name), None):
        return source_column(source, declared)
    if name == "event_date":
        return Meaning(f"Day (UTC) of {source.event_time}{'; the daily partition' if source.daily else ''}.")
    return BOOKKEEPING[name]
