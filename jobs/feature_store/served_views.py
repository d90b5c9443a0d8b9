"""The tables behind the views of a use case's feature service, as the feature repo declares them.

They are kept in the home with the hash of the declarations, as Feast takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jobs.feature_store.store import declarations_hash, declared_objects, import_feast
from jobs.lakehouse.tables import Lakehouse
from jobs.state_files import read_memory, replace_json
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from feast import FeatureView


@dataclass(frozen=True)
class ServedView:
    """A view of the feature service over a table of the warehouse."""

    name: str
    """Of the view, which a service may serve several times, for other columns of the events."""
    table: str
    keys: Mapping[str, str]
    """Column of the events -> column of the table."""
    event: str
    """Column of the event time."""
    created: str | None
    """Column of when a row became known."""
    columns: tuple[str, ...]
    """Columns of the table that are features."""
    ttl_seconds: float = 0.0
    """Age from which on a row is no feature any more; 0: never."""

    @property
    def ttl(self) -> timedelta | None:
        return timedelta(seconds=self.ttl_seconds) if self.ttl_seconds else None

    @property
    def times(self) -> list[str]:
        return [self.event, *([self.created] if self.created else [])]


def beside_windows(lakehouse: Lakehouse, use_case: UseCase) -> list[ServedView]:
    """The views of the feature service whose tables are not those of windows, such as profiles.

    A table of another warehouse, or of somebody else that is not there, has no versions and is left out.
    """
    windows = {use_case.window_table(each) for each in use_case.windows}
    own = [view for view in _served(lakehouse, use_case) if view.table not in windows]
    return [view for view in own if use_case.owns(view.table) or lakehouse.exists(view.table)]


def _served(lakehouse: Lakehouse, use_case: UseCase) -> Sequence[ServedView]:
    settings = lakehouse.settings
    path, declared = settings.state / use_case.name / "served_views.json", declarations_hash(settings, use_case)
    kept = read_memory(path, lambda stored: _read(stored, declared))
    if kept is None:
        kept = _of_objects(use_case, declared_objects(settings, use_case))
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_json(path, {"declared": declared, "views": [asdict(view) for view in kept]})
    return kept


def _read(stored: Any, declared: str) -> list[ServedView] | None:
    if stored["declared"] != declared:
        return None
    return [ServedView(**{**view, "columns": tuple(view["columns"])}) for view in stored["views"]]


def _of_objects(use_case: UseCase, objects: Sequence[Any]) -> list[ServedView]:
    """The views that a service names, and those that its views on demand read."""
    import_feast()
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView

    named = {o.name: o for o in objects if isinstance(o, FeatureView | OnDemandFeatureView)}
    entities = {o.name: o.join_key for o in objects if isinstance(o, Entity)}
    [service] = [o for o in objects if isinstance(o, FeatureService) and o.name == use_case.feature_service]
    found: dict[str, ServedView] = {}
    projections: list[Any] = list(service.feature_view_projections)
    for projection in projections:
        view = named.get(projection.name)
        if isinstance(view, OnDemandFeatureView):
            projections += view.source_feature_view_projections.values()
        elif view is not None and getattr(view.batch_source, "table", "").count(".") == 1:
            served, name = _served_view(view, projection, entities), projection.name_to_use()
            before = found.get(name)
            columns = dict.fromkeys([*(before.columns if before else ()), *served.columns])
            found[name] = replace(served, columns=tuple(columns))
    return list(found.values())


def _served_view(view: FeatureView, projection: Any, entities: Mapping[str, str]) -> ServedView:
    source = view.batch_source
    assert source is not None
    stored = {mapped: column for column, mapped in source.field_mapping.items()}
    keys = [entities[name] for name in view.entities if name in entities]
    created = stored.get(source.created_timestamp_column, source.created_timestamp_column) or None
    return ServedView(
        projection.name,
        source.table,  # type: ignore[attr-defined]
        {projection.join_key_map.get(key, key): stored.get(key, key) for key in keys},
        stored.get(source.timestamp_field, source.timestamp_field),
        created,
        tuple(stored.get(field.name, field.name) for field in projection.features),
        view.ttl.total_seconds() if view.ttl else 0.0,
    )
