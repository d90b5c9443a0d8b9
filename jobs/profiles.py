"""Profile features as values: which columns of a source that describes an entity are features of its events.

Only the declaration lives here; the table behind it is a mart of versions, and Feast joins it
(`jobs.feature_store.views`).
"""

from dataclasses import dataclass
from typing import ClassVar

from jobs.declared_place import Place, place_of_caller
from jobs.declared_types import check


@dataclass(frozen=True)
class ProfileFeatures:
    """Columns of the profile of an entity, as known at the moment that features of an event are of.

    Of the rows that were known by then and whose event time had come, the one with the latest event time counts, among
    equal ones that known last; null if there is none. A deletion of a profile ends nothing: what was known stays.
    """

    source: str
    """Name of the source; its key is one of the use case's entities."""
    columns: tuple[str, ...]
    """Its columns that are features, under their own names; of a timestamp, its age at the event."""
    description: str = ""
    declared_at: ClassVar[Place]
    """Where it was made; no part of the value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared_at", place_of_caller(__file__))
        check(self)

    @property
    def name(self) -> str:
        """Name of the feature view."""
        return self.source
