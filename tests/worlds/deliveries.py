"""Deliveries of a shop, as two small use cases: how many hours one takes, and whether it comes early, in time or late.

What a user adds is here, as for `returns`: the values, dbt models in folders of their names, feature declarations.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jobs.limits import Limits
from jobs.objective import TaskName
from jobs.problem import Family, Problem, ReviewQueue, Rule, Slice
from jobs.settings import Settings
from jobs.use_case import Column, Kind, Source, UseCase, problem_of
from jobs.windows import Aggregate, WindowFeatures

DAY = timedelta(days=1)
FIRST, DAYS, A_DAY = datetime(2026, 1, 1, tzinfo=UTC), 110, 60
MATURITY = 5 * DAY
CLASSES = ("early", "in_time", "late")
INPUTS, OTHER_KINDS = ("distance", "weight"), ("ordered_at", "carrier", "words", "remark")


def _problem(task: TaskName) -> Problem:
    boosted = Family("boosted", fixed={"rounds": 60, "patience": 10, "min_data_in_leaf": 20, "learning_rate": 0.1})
    regression = task == "regression"
    return Problem(
        task=task,
        families=(Family("linear" if regression else "logistic"), boosted),
        rules=(Rule("last_mean", ("hours_mean_7d",)),) if regression else (),
        inputs=INPUTS,
        slices=(Slice("far", "distance", minimum=100),),
        cluster_key="order_id",
        queue=ReviewQueue(5, "largest" if regression else "uncertainty"),
        validation_window=14 * DAY,
        evaluation_window=14 * DAY,
        limits=Limits(latency_ms=1000.0, training_noise=0.0, rows=400),
    )


def _use_case(name: str, task: TaskName, label: str, kind: Kind) -> UseCase:
    orders = Source(
        name="orders",
        description="Orders as they left the depot.",
        key=("order_id",),
        event_time="left_at",
        columns=(
            Column("order_id", "identifier"),
            Column("left_at", "timestamp"),
            Column("depot", "identifier"),
            Column("distance", "number", minimum=0),
            Column("weight", "number", minimum=0),
            Column("ordered_at", "timestamp", nullable=True),
            Column("carrier", "category"),
            Column("words", "vector", nullable=True, length=3),
            Column("remark", "text", nullable=True),
        ),
    )
    arrivals = Source(
        name="arrivals",
        description="How orders arrived, once they did.",
        key=("order_id",),
        event_time="arrived_at",
        known_at="arrived_at",
        references={"order_id": "orders.order_id"},
        columns=(Column("order_id", "identifier"), Column(label, kind), Column("arrived_at", "timestamp")),
    )
    known = (Aggregate("mean", label, (7 * DAY,), of="labels", name="hours_mean"),) if task == "regression" else ()
    windows = WindowFeatures(
        name="depot_windows",
        entity="depot",
        id="order_id",
        event_timestamp="left_at",
        description="What left the depot lately.",
        aggregates=(
            Aggregate("count", windows=(DAY,), name="orders"),
            Aggregate("mean", "distance", windows=(7 * DAY,), name="distance_mean"),
            *known,
        ),
    )
    return UseCase(
        name=name,
        description="How orders will arrive.",
        owners=("team:deliveries",),
        sources=(orders, arrivals),
        first_day=FIRST.date(),
        last_day=(FIRST + (DAYS - 1) * DAY).date(),
        events=f"{name}.orders",
        labels=f"{name}.arrivals",
        event_id="order_id",
        event_timestamp="left_at",
        entities=("depot",),
        label=label,
        label_maturity=MATURITY,
        windows=(windows,),
        feature_service=name,
        training_window=100 * DAY,
        problem=_problem(task),
    )


def of_every_kind(use_case: UseCase) -> UseCase:
    """The use case that also learns from an age, a category of codes, a vector and a text."""
    return replace(use_case, problem=replace(problem_of(use_case), inputs=(*INPUTS, *OTHER_KINDS)))


DELAYS = _use_case("delays", "regression", "hours", "number")
ARRIVALS = _use_case("punctuality", "multiclass", "came", "string")

DBT = {
    "staging/NAME/stg_NAME__orders.sql": """
        {{ config(partition_by=['event_date']) }}
        select order_id, left_at, depot, distance, weight, ordered_at, carrier, words, remark, known_at, loaded_in,
               event_date
        from {{ source('NAME_raw', 'orders') }} where {{ newer() }}
    """,
    "staging/NAME/stg_NAME__arrivals.sql": """
        {{ config(partition_by=['event_date']) }}
        select order_id, LABEL, known_at, loaded_in, event_date
        from {{ source('NAME_raw', 'arrivals') }} where {{ newer() }}
    """,
    "marts/NAME/NAME__orders.sql": """
        {{ config(unique_key=['order_id', 'known_at'], partition_by=['event_date']) }}
        with touched as (select order_id from {{ ref('stg_NAME__orders') }} where {{ newer() }}),
        versions as ({{ versions(ref('stg_NAME__orders'), 'order_id', 'select order_id from touched') }})
        select order_id, left_at, depot, distance, weight, ordered_at, carrier, words, remark, known_at, version,
               superseded_at, changed_in as loaded_in, first_event_date, event_date
        from versions
    """,
    "marts/NAME/NAME__arrivals.sql": """
        {{ config(unique_key=['order_id', 'known_at'], partition_by=['event_date']) }}
        with touched as (select order_id from {{ ref('stg_NAME__arrivals') }} where {{ newer() }}),
        arrivals as ({{ versions(ref('stg_NAME__arrivals'), 'order_id', 'select order_id from touched') }})
        select a.order_id, o.depot, o.left_at, a.LABEL, a.known_at, a.superseded_at, a.changed_in as loaded_in,
               o.first_event_date as event_date
        from arrivals as a inner join {{ ref('NAME__orders') }} as o on a.order_id = o.order_id
        where o.superseded_at is null
    """,
    "staging/NAME/_sources.yml": """
version: 2
sources:
  - {name: NAME_raw, schema: NAME_raw, tables: [{name: orders}, {name: arrivals}]}
    """,
    "marts/NAME/_marts.yml": """
version: 2
models:
  - name: NAME__orders
    columns: [{name: order_id, data_tests: [not_null]}]
    """,
}
FEATURES = f"""
from datetime import timedelta
from feast import FeatureService
from jobs.feature_store.views import entity, feature_view, tags
from {__name__} import CONSTANT

depot = entity(CONSTANT, "depot", "A depot.")
windows = feature_view(CONSTANT, CONSTANT.windows[0], depot, timedelta(days=30))
NAME = FeatureService(name="NAME", features=[windows], tags=tags(CONSTANT))
"""


def orders(days: int = DAYS, seed: int = 3) -> pl.DataFrame:
    """Orders with hours and class: far ones from a busy depot take long, and errors grow with the distance. So do
    those of carrier 3, those that were ordered long ago, and those whose words point one way, which remarks tell of."""
    random, rows = np.random.default_rng(seed), days * A_DAY
    distance, weight = random.gamma(2, 40, rows), random.gamma(2, 3, rows)
    depot = random.integers(0, 6, rows)
    slow = np.array([0.8, 0.9, 1.0, 1.1, 1.3, 1.6])[depot]
    others = np.random.default_rng(seed + 1)
    carrier, words = others.integers(1, 5, rows), others.normal(size=(rows, 3)).astype(np.float32)
    age = others.gamma(2, 2, rows)
    fragile = words[:, 0] > 0.5
    more = 3.0 * (carrier == 3) + 1.5 * words[:, 0] + 0.5 * age
    hours = 3 + slow * distance * 0.15 + 0.3 * weight + distance * 0.03 * random.standard_normal(rows)
    hours = np.round(hours + np.maximum(more, 0), 2)
    hours = np.maximum(hours, 0.5)
    late = hours - (6 + 0.18 * distance) + random.normal(0, 1, rows)
    left = [FIRST + timedelta(seconds=float(s)) for s in np.sort(random.uniform(0, days * 86400, rows))]
    return pl.DataFrame(
        {
            "ORDER_ID": np.arange(rows),
            "LEFT_AT": left,
            "DEPOT": [f"d{n}" for n in depot],
            "DISTANCE": distance,
            "WEIGHT": weight,
            "ORDERED_AT": [at - timedelta(days=float(days)) for at, days in zip(left, age, strict=True)],
            "CARRIER": carrier,
            "WORDS": [None if n % 17 == 0 else row for n, row in enumerate(words.tolist())],
            "REMARK": [_remark(n, is_fragile) for n, is_fragile in enumerate(fragile.tolist())],
            "HOURS": hours,
            "CAME": np.array(CLASSES)[np.digitize(late, (-2, 2))].tolist(),
        }
    ).with_columns(ARRIVED_AT=pl.col("LEFT_AT") + pl.duration(seconds=pl.col("HOURS") * 3600))


def _remark(n: int, is_fragile: bool) -> str | None:
    return f"{'Fragile' if is_fragile else 'Robust'}, ring at door {n % 40}." if n % 13 else None


def files(rows: pl.DataFrame, folder: Path, use_case: UseCase, until: datetime) -> dict[str, Any]:
    """What had left and what had arrived by a moment, as the files of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    left, arrived = (rows.filter(pl.col(name) <= until) for name in ("LEFT_AT", "ARRIVED_AT"))
    left.drop("HOURS", "CAME", "ARRIVED_AT").write_parquet(folder / "orders.parquet")
    arrived.select("ORDER_ID", use_case.label.upper(), "ARRIVED_AT").write_parquet(folder / "arrivals.parquet")
    return {"orders": [folder / "orders.parquet"], "arrivals": [folder / "arrivals.parquet"]}


def added(home: Settings, folder: Path, use_case: UseCase) -> Settings:
    """The project's dbt folder with the models of a use case added, and a feature repo of its own."""
    project, constant = folder / "dbt_project", "DELAYS" if use_case.name == DELAYS.name else "ARRIVALS"
    shutil.copytree(home.dbt_project, project, ignore=shutil.ignore_patterns("target", "logs"))
    for name, text in DBT.items():
        path = project / "models" / name.replace("NAME", use_case.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("NAME", use_case.name).replace("LABEL", use_case.label))
    (folder / "feature_repo").mkdir()
    features = FEATURES.replace("CONSTANT", constant).replace("NAME", use_case.name)
    (folder / "feature_repo" / f"{use_case.name}_features.py").write_text(features)
    return replace(home, dbt_project=project, feature_repo=folder / "feature_repo")
