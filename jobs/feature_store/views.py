"""Turns declarations of windows and profiles into Feast objects, so that a feature is described in one place only.

Imported by the files of `feature_repo/`; what a use case declares beyond its windows is written there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pyarrow as pa
from feast import Entity, FeatureView, Field
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Bool, FeastType, Float64, Int64, String, UnixTimestamp

from jobs.data_dictionary.profile_features import profile_features
from jobs.data_dictionary.window_features import window_feature
from jobs.errors import Invalid
from jobs.profiles import ProfileFeatures
from jobs.use_case import Kind, UseCase
from jobs.windows import WindowFeatures

TYPES: Mapping[Kind, FeastType] = {
    "number": Float64, "integer": Int64, "boolean": Bool, "string": String, "category": String,
    "timestamp": UnixTimestamp,
}  # fmt: skip
"""Of columns of profiles."""


def tags(use_case: UseCase, **more: str) -> dict[str, str]:
    """Tags by which the objects of a use case are found and applied."""
    return {"use_case": use_case.name, **more}


def entity(use_case: UseCase, key: str, description: str) -> Entity:
    """An entity with one join key; the type of its ids is read from the feature table when it is applied."""
    return Entity(
        name=key.removesuffix("_id"),
        join_keys=[key],
        description=description,
        owner=use_case.owners[0],
        tags=tags(use_case),
    )


def feature_view(
    use_case: UseCase,
    windows: WindowFeatures,
    of: Entity | Sequence[Entity],
    ttl: timedelta,
    extra: Mapping[str, str] | None = None,
) -> FeatureView:
    """The view over the table of `windows`: one field per window feature, described by its declaration.

    Raises Invalid if the entities `of` it are others than those of `windows`.
    """
    entities = [of] if isinstance(of, Entity) else list(of)
    if sorted(one.join_key for one in entities) != sorted(windows.keys):
        found = ", ".join(one.join_key for one in entities)
        raise Invalid(f"{windows.name}: expected the entities of {', '.join(windows.keys)}, found {found}; "
                      "give feature_view the entity of each of these columns")  # fmt: skip
    table = use_case.window_table(windows)
    description = windows.description or f"Window features of {' and '.join(one.name for one in entities)}."
    return FeatureView(
        name=windows.name,
        entities=entities,
        ttl=ttl,
        schema=[
            Field(
                name=f.name,
                dtype=Int64 if pa.types.is_integer(f.type) else Float64,
                description=window_feature(use_case, windows, f).sentence,
            )
            for f in windows.features
        ],
        source=SparkSource(
            name=table,
            table=table,
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
            description=f"{description} One row per event, as it was known then.",
            owner=use_case.owners[0],
            tags=tags(use_case),
        ),
        online=True,
        description=description,
        owner=use_case.owners[0],
        tags=tags(use_case, declaration=windows.fingerprint[:12], **(extra or {})),
    )


def profile_view(use_case: UseCase, profile: ProfileFeatures, of: Entity) -> FeatureView:
    """The view over the mart of a profile's versions: one field per column, which never grows too old.

    Raises Invalid if the entity `of` it is another than the key of its source.
    """
    source, table = use_case.source(profile.source), use_case.profile_table(profile)
    if (of.join_key,) != source.key:
        raise Invalid(f"{profile.name}: expected the entity of {', '.join(source.key)}, found {of.join_key}; "
                      "give profile_view the entity of this column")  # fmt: skip
    described = profile_features(use_case, profile)
    description = profile.description or source.description or f"Profiles of each {of.name}."
    return FeatureView(
        name=profile.name,
        entities=[of],
        ttl=timedelta(0),
        schema=[
            Field(name=c.name, dtype=TYPES[c.kind], description=described[name].sentence)
            for c, name in zip(use_case.profile_columns(profile), use_case.profile_features(profile), strict=True)
        ],
        source=SparkSource(
            name=table,
            table=table,
            timestamp_field=source.event_time,
            created_timestamp_column="known_at",
            description=f"{description} One row per version.",
            owner=use_case.owners[0],
            tags=tags(use_case),
        ),
        online=True,
        description=description,
        owner=use_case.owners[0],
        tags=tags(use_case),
    )
