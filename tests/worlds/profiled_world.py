"""Payments of a small bank whose customers have profiles: marts written row by row, and what a profile was at a moment.

Everything that a project would write by hand follows from the declarations here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from jobs.features import window_tables
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.problem import Family, Problem, Review
from jobs.profiles import ProfileFeatures
from jobs.projects.standard_models import standard_models
from jobs.projects.standard_views import standard_views
from jobs.settings import Settings
from jobs.use_case import Column, Source, UseCase
from jobs.windows import Aggregate, WindowFeatures

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
Row = dict[str, Any]

PAYMENTS = Source(
    "payments",
    (
        Column("payment_id", "identifier"),
        Column("paid_at", "timestamp"),
        Column("customer_id", "identifier", nullable=True),
        Column("amount", "number", minimum=0),
    ),
    key=("payment_id",),
    event_time="paid_at",
)
REPORTS = Source(
    "reports",
    (Column("payment_id", "identifier"), Column("is_fraud", "boolean"), Column("reported_at", "timestamp")),
    key=("payment_id",),
    event_time="reported_at",
    known_at="reported_at",
)
CUSTOMERS = Source(
    "customers",
    (
        Column("customer_id", "identifier"),
        Column("changed_at", "timestamp", description="When the profile came to be so."),
        Column("region", "category", nullable=True, description="Where the customer lives."),
        Column("limit", "number", nullable=True, description="What may be paid a day", unit="euros"),
        Column("visits", "integer", nullable=True),
        Column("is_vip", "boolean", nullable=True),
        Column("born_at", "timestamp", nullable=True),
    ),
    key=("customer_id",),
    event_time="changed_at",
    daily=False,
    deletions=True,
)
PROFILE = ProfileFeatures("customers", ("region", "limit", "visits", "is_vip", "born_at"))
NAMES = ("region", "limit", "visits", "is_vip", "born_at_age")
BANK = UseCase(
    name="bank",
    description="The chance that a payment is fraud.",
    owners=("team:bank",),
    sources=(PAYMENTS, REPORTS, CUSTOMERS),
    first_day=START.date(),
    last_day=(START + 40 * DAY).date(),
    events="bank.payments",
    labels="bank.reports",
    event_id="payment_id",
    event_timestamp="paid_at",
    entities=("customer_id",),
    label="is_fraud",
    label_maturity=DAY,
    windows=(
        WindowFeatures(
            "customer_windows", "customer_id", "payment_id", "paid_at",
            (Aggregate("count", windows=(DAY,), name="payments"),),
        ),
    ),
    profiles=(PROFILE,),
    feature_service="bank",
    training_window=60 * DAY,
    problem=Problem(
        families=(Family("logistic"),), review=Review(threshold=0.5, capacity=5, cost=1.0), inputs=("amount",),
    ),
)  # fmt: skip

TIME = pa.timestamp("us", "UTC")
_OF_VERSION = {"known_at": TIME, "superseded_at": TIME, "loaded_in": pa.int64()}
EVENTS = pa.schema(
    {"payment_id": pa.int64(), "paid_at": TIME, "customer_id": pa.int64(), "amount": pa.float64(), **_OF_VERSION,
     "version": pa.int64(), "first_event_date": pa.date32(), "event_date": pa.date32()}
)  # fmt: skip
LABELS = pa.schema(
    {"payment_id": pa.int64(), "customer_id": pa.int64(), "paid_at": TIME, "is_fraud": pa.bool_(), **_OF_VERSION,
     "event_date": pa.date32()}
)  # fmt: skip
PROFILES = pa.schema(
    {"customer_id": pa.int64(), "changed_at": TIME, "region": pa.string(), "limit": pa.float64(),
     "visits": pa.int64(), "is_vip": pa.bool_(), "born_at": TIME, **_OF_VERSION}
)  # fmt: skip


def home_of(home: Settings, folder: Path, use_case: str = "BANK") -> Lakehouse:
    """A home with the feature repo that follows from the declarations, and the dbt project beside it."""
    (folder / "feature_repo").mkdir(exist_ok=True)
    (folder / "feature_repo" / "bank_features.py").write_text(standard_views(BANK, f"{__name__}:{use_case}"))
    return attach(replace(home, feature_repo=folder / "feature_repo"))


def dbt_project(home: Settings, folder: Path) -> Path:
    """The dbt project with the models that follow from the declarations."""
    project = folder / "dbt_project"
    shutil.copytree(home.dbt_project, project, ignore=shutil.ignore_patterns("target", "logs", "models"))
    for name, text in standard_models(BANK).items():
        (project / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "models" / name).write_text(text)
    return project


def payment(number: int, at: datetime, customer: int | None) -> Row:
    row: Row = {"payment_id": number, "paid_at": at, "customer_id": customer, "amount": float(number % 50)}
    row |= {"known_at": at, "superseded_at": None, "loaded_in": 1, "version": 1}
    return row | {"first_event_date": at.date(), "event_date": at.date()}


def report(number: int, at: datetime, customer: int | None) -> Row:
    row: Row = {"payment_id": number, "customer_id": customer, "paid_at": at, "is_fraud": number % 3 == 0}
    return row | {"known_at": at + HOUR, "superseded_at": None, "loaded_in": 1, "event_date": at.date()}


def profile(customer: int, changed_at: datetime, known_at: datetime, number: int, load: int = 1) -> Row:
    """A version whose values tell it from others by its number; some are missing."""
    values: Row = {"region": f"r{number % 5}", "limit": number / 4, "visits": number, "is_vip": number % 2 == 0}
    values["born_at"] = START - (number % 90 + 1) * DAY
    if number % 7 == 0:
        values = dict.fromkeys(values)
    row: Row = {"customer_id": customer, "changed_at": changed_at, **values}
    return row | {"known_at": known_at, "superseded_at": None, "loaded_in": load}


def put_marts(lakehouse: Lakehouse, payments: Sequence[Row]) -> None:
    """The marts of events and labels."""
    reports = [report(each["payment_id"], each["paid_at"], each["customer_id"]) for each in payments]
    for table, rows, schema in ((BANK.events, payments, EVENTS), (BANK.labels, reports, LABELS)):
        _write(lakehouse, table, pa.Table.from_pylist(list(rows), schema=schema), ["event_date"])


def put_payments(lakehouse: Lakehouse, payments: Sequence[Row], as_of: datetime) -> None:
    """The marts of events and labels, and the windows of them."""
    put_marts(lakehouse, payments)
    for windows in BANK.windows:
        window_tables.update(lakehouse, windows, BANK.events, BANK.labels, BANK.window_table(windows), as_of)


def put_profiles(lakehouse: Lakehouse, rows: Iterable[Row]) -> None:
    """The mart of profiles, whole, in no partition: versions of each customer end at the next ones."""
    by_known = sorted(rows, key=lambda row: row["known_at"])
    following: dict[int, datetime] = {}
    versions = []
    for row in reversed(by_known):
        versions.append(row | {"superseded_at": following.get(row["customer_id"])})
        following[row["customer_id"]] = row["known_at"]
    _write(lakehouse, BANK.profile_table(PROFILE), pa.Table.from_pylist(versions, schema=PROFILES), [])


def _write(lakehouse: Lakehouse, table: str, rows: pa.Table, partition_by: list[str]) -> None:
    write_deltalake(lakehouse.path(table), rows, mode="overwrite", partition_by=partition_by)


def expected(rows: Iterable[Row], customer: int | None, moment: datetime) -> Row:
    """The features of a profile at a moment, by the rule alone."""
    known = [
        row for row in rows if row["customer_id"] == customer is not None
        and row["known_at"] <= moment and row["changed_at"] <= moment
    ]  # fmt: skip
    found = max(known, key=lambda row: (row["changed_at"], row["known_at"]), default=dict.fromkeys(PROFILES.names))
    features: Row = {name: found[name] for name in PROFILE.columns if name != "born_at"}
    born = found["born_at"]
    return features | {"born_at_age": None if born is None or born > moment else (moment - born) / DAY}


def day_of(row: Row) -> date:
    """The partition of an event."""
    found: date = row["event_date"]
    return found
