"""Columns of tables with a row per event, as declarations name them: what pages show before the first run."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.metadata import column_schema
from jobs.data_dictionary.event_columns import BOOKKEEPING
from jobs.data_dictionary.meaning import Dictionary
from jobs.ingest.parsing import table_schema
from jobs.lakehouse.dbt_models import relation
from jobs.lakehouse.tables import PARTITION
from jobs.use_case import UseCase

DAY = pa.field(PARTITION, pa.date32())


def event_fields(use_case: UseCase, manifest: Mapping[str, Any]) -> list[pa.Field]:
    """Id, entities, time and values of an event: what dbt's YAML lists of the mart of events.

    The type of a column that no source has is not known before it is computed: it is null.
    """
    types = {field.name: field.type for source in use_case.sources for field in table_schema(source, {})}
    models = (node for node in manifest["nodes"].values() if node["resource_type"] == "model")
    listed: Iterable[str] = next((node["columns"] for node in models if relation(node) == use_case.events), ())
    own = (use_case.event_id, use_case.event_timestamp, *use_case.entities)
    names = [name for name in dict.fromkeys([*listed, *own]) if name not in BOOKKEEPING]
    return [pa.field(name, types.get(name, pa.null())) for name in names]


def feature_fields(use_case: UseCase, on_demand: Mapping[str, str], kind: pa.DataType | None = None) -> list[pa.Field]:
    """The features of windows and profiles and those on demand, under their types or all as `kind`.

    The type of a feature on demand is not known before it is computed: it is null.
    """
    features = [feature for windows in use_case.windows for feature in windows.features]
    computed = [pa.field(name, kind or pa.null()) for name in on_demand]
    of_windows = [pa.field(feature.name, kind or feature.type) for feature in features]
    return [*of_windows, *_of_profiles(use_case, kind), *computed]


def _of_profiles(use_case: UseCase, kind: pa.DataType | None) -> Iterator[pa.Field]:
    """The features of profiles; an age is a number of days."""
    for profile in use_case.profiles:
        types = table_schema(use_case.source(profile.source), {})
        for name, column in zip(use_case.profile_features(profile), profile.columns, strict=True):
            own = types.field(column).type
            yield pa.field(name, kind or (own if name == column else pa.float64()))


def shown(fields: Iterable[pa.Field], dictionary: Dictionary) -> dict[str, dg.TableSchema]:
    """Metadata of the definition of an asset: the columns, each once, with their sentences."""
    return {"dagster/column_schema": column_schema({field.name: field for field in fields}.values(), dictionary)}
