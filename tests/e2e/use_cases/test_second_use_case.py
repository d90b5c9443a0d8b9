"""A use case is a value: parcels (string keys, labels known at once, another schema) beside fraud, with no edit to it.

What a user adds is all here: the value, dbt models in folders of its name, a file of feature declarations.
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from jobs.ingest import registered_inputs, registration
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_case import Column, Source, UseCase
from jobs.windows import Aggregate, WindowFeatures

DAY = timedelta(days=1)
FIRST, AS_OF = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)

SCANS = Source(
    name="scans",
    description="Parcels as they were scanned in depots.",
    key=("scan_id",),
    event_time="scanned_at",
    columns=(
        Column("scan_id", "identifier"),
        Column("scanned_at", "timestamp"),
        Column("depot", "identifier"),
        Column("weight", "number", minimum=0),
    ),
)
OUTCOMES = Source(
    name="outcomes",
    description="Whether the parcel was damaged, seen at the scan.",
    key=("scan_id",),
    event_time="checked_at",
    known_at="checked_at",
    references={"scan_id": "scans.scan_id"},
    carried_by="scans",
    carried_delay=timedelta(0),
    columns=(
        Column("scan_id", "identifier"),
        Column("damaged", "boolean"),
        Column("checked_at", "timestamp"),
    ),
)
DEPOT_WINDOWS = WindowFeatures(
    name="depot_windows",
    entity="depot",
    id="scan_id",
    event_timestamp="scanned_at",
    description="What happened in the depot lately.",
    aggregates=(
        Aggregate("count", windows=(DAY,), name="scans"),
        Aggregate("mean", "weight", windows=(7 * DAY,), name="weight_mean"),
        Aggregate("count", of="labels", where=("damaged", True), windows=(7 * DAY,), delay=DAY, name="breakages"),
    ),
)
PARCELS = UseCase(
    name="parcels",
    description="Will this parcel be damaged?",
    owners=("team:parcels",),
    sources=(SCANS, OUTCOMES),
    first_day=FIRST.date(),
    last_day=(AS_OF - DAY).date(),
    events="parcels.scans",
    labels="parcels.outcomes",
    event_id="scan_id",
    event_timestamp="scanned_at",
    entities=("depot",),
    label="damaged",
    label_maturity=timedelta(0),
    windows=(DEPOT_WINDOWS,),
    feature_service="parcels",
    training_window=30 * DAY,
)

DBT: Mapping[str, str] = {
    "staging/parcels/stg_parcels__scans.sql": """
        {{ config(partition_by=['event_date']) }}
        select scan_id, scanned_at, depot, weight, known_at, loaded_in, event_date
        from {{ source('parcels_raw', 'scans') }} where {{ newer() }}
    """,
    "staging/parcels/stg_parcels__outcomes.sql": """
        {{ config(partition_by=['event_date']) }}
        select scan_id, damaged, known_at, loaded_in, event_date
        from {{ source('parcels_raw', 'outcomes') }} where {{ newer() }}
    """,
    "marts/parcels/parcels__scans.sql": """
        {{ config(unique_key=['scan_id', 'known_at'], partition_by=['event_date']) }}
        with touched as (select scan_id from {{ ref('stg_parcels__scans') }} where {{ newer() }}),
        versions as ({{ versions(ref('stg_parcels__scans'), 'scan_id', 'select scan_id from touched') }})
        select scan_id, scanned_at, depot, weight, known_at, version, superseded_at, changed_in as loaded_in,
               first_event_date, event_date
        from versions
    """,
    "marts/parcels/parcels__outcomes.sql": """
        {{ config(unique_key=['scan_id', 'known_at'], partition_by=['event_date']) }}
        with touched as (select scan_id from {{ ref('stg_parcels__outcomes') }} where {{ newer() }}),
        outcomes as ({{ versions(ref('stg_parcels__outcomes'), 'scan_id', 'select scan_id from touched') }})
        select o.scan_id, s.depot, s.scanned_at, o.damaged, o.known_at, o.superseded_at, o.changed_in as loaded_in,
               s.first_event_date as event_date
        from outcomes as o inner join {{ ref('parcels__scans') }} as s on o.scan_id = s.scan_id
        where s.superseded_at is null
    """,
    "staging/parcels/_sources.yml": """
version: 2
sources:
  - {name: parcels_raw, schema: parcels_raw, tables: [{name: scans}, {name: outcomes}]}
    """,
    "marts/parcels/_marts.yml": """
version: 2
models:
  - name: parcels__scans
    columns: [{name: scan_id, data_tests: [not_null]}]
    """,
}
FEATURES = f"""
from datetime import timedelta
from feast import FeatureService
from jobs.feature_store.views import entity, feature_view, tags
from {__name__} import DEPOT_WINDOWS, PARCELS

depot = entity(PARCELS, "depot", "A depot.")
windows = feature_view(PARCELS, DEPOT_WINDOWS, depot, timedelta(days=30))
parcels = FeatureService(name="parcels", features=[windows], tags=tags(PARCELS))
"""

# Of scan, depot, hours since FIRST, weight, damaged; and by hand, of windows that are open at their start:
# scans in a day, mean weight of a week, breakages of a week that ended a day ago.
WORLD: list[tuple[str, str, float, float, bool, int, float, int]] = [
    ("s-01", "leeds", 8, 1.0, False, 1, 1.0, 0),
    ("s-02", "leeds", 20, 3.0, True, 2, 2.0, 0),
    ("s-03", "york", 20, 10.0, False, 1, 10.0, 0),
    ("s-04", "leeds", 32, 5.0, False, 2, 3.0, 0),  # a day after s-01 to the second: that is out
    ("s-05", "york", 45, 2.0, True, 1, 6.0, 0),
    ("s-06", "leeds", 68, 7.0, False, 2, 5.0, 1),  # two at one second see each other
    ("s-07", "leeds", 68, 9.0, True, 2, 5.0, 1),
    ("s-08", "york", 81, 4.0, False, 1, 16 / 3, 1),
]


def scans(path: Path) -> Path:
    rows = [(scan, FIRST + timedelta(hours=h), depot, weight, bad) for scan, depot, h, weight, bad, *_ in WORLD]
    names = ["SCAN_ID", "SCANNED_AT", "DEPOT", "WEIGHT", "DAMAGED"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(path)
    return path


def added(home: Settings, folder: Path) -> Settings:
    """The project's dbt folder with the models of parcels added, and a feature repo of their own."""
    project = folder / "dbt_project"
    shutil.copytree(home.dbt_project, project, ignore=shutil.ignore_patterns("target", "logs"))
    for name, text in DBT.items():
        (project / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "models" / name).write_text(text)
    (folder / "feature_repo").mkdir()
    (folder / "feature_repo" / "parcels_features.py").write_text(FEATURES)
    return replace(home, dbt_project=project, feature_repo=folder / "feature_repo")


def test_another_use_case_is_built_from_its_value_alone(home: Settings, tmp_path: Path) -> None:
    from orchestration.lineage_run import execute

    settings = added(home, tmp_path)
    given = registration.describe(PARCELS, {"scans": [scans(tmp_path / "scans.parquet")]}, None, AS_OF)
    known = registered_inputs.register(settings, PARCELS, given)
    outcome = execute(settings, PARCELS, AS_OF, (known.first_day, known.last_day), use_cases=(PARCELS,), show=False)
    assert outcome.success, outcome.errors
    assert set(outcome.assets) == {
        "parcels/raw/scans", "parcels/raw/outcomes", "parcels/staging/scans", "parcels/staging/outcomes",
        "parcels/marts/scans", "parcels/marts/outcomes", "parcels/features/depot_windows",
        "parcels/features/online_store", "parcels/features/training_set",
    }  # fmt: skip
    tables = {name: metadata.get("dagster/column_schema") for name, metadata in outcome.assets.items()}
    assert [name for name, schema in tables.items() if schema is None] == ["parcels/features/online_store"]
    columns = {f"{name} {c.name}": c.description for name, schema in tables.items() if schema for c in schema.columns}
    assert [column for column, sentence in columns.items() if not (sentence or "").endswith(".")] == []
    assert columns["parcels/marts/scans weight"] == "Weight of scans: a number, at least 0."
    assert (
        "the depot's scans known to have damaged true" in columns["parcels/features/training_set breakages_7d_delay_1d"]
    )
    built: list[dict[str, Any]] = attach(settings).to_arrow(PARCELS.training_set).to_pylist()
    found = sorted(
        (r["scan_id"], r["depot"], r["weight"], r["damaged"], r["scans_1d"], r["weight_mean_7d"],
         r["breakages_7d_delay_1d"])
        for r in built
    )  # fmt: skip
    assert found == [(scan, depot, *rest) for scan, depot, _, *rest in WORLD]
