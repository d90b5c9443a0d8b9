"""A use case of snapshots: each customer each Monday, orders as facts, no order in ten days as the label."""

from datetime import date, timedelta

from jobs.targets import HorizonLabel, Schedule
from jobs.use_case import Column, Source, UseCase
from jobs.windows import Aggregate, WindowFeatures

DAY = timedelta(days=1)
CUSTOMERS = Source(
    name="customers",
    key=("customer_id",),
    event_time="joined_at",
    daily=False,
    deletions=True,
    columns=(
        Column("customer_id", "identifier"),
        Column("joined_at", "timestamp"),
        Column("left_at", "timestamp", nullable=True),
    ),
)
ORDERS = Source(
    name="orders",
    key=("order_id",),
    event_time="ordered_at",
    deletions=True,
    columns=(
        Column("order_id", "identifier"),
        Column("ordered_at", "timestamp"),
        Column("customer_id", "identifier"),
        Column("amount", "number"),
        Column("channel", "string", nullable=True),
    ),
)
ORDER_WINDOWS = WindowFeatures(
    name="order_windows",
    entity="customer_id",
    id="target_id",
    event_timestamp="at",
    facts="orders",
    aggregates=(
        Aggregate("count", windows=(7 * DAY, 28 * DAY), name="orders"),
        Aggregate("sum", "amount", windows=(28 * DAY,)),
        Aggregate("last_age", windows=(28 * DAY,)),
    ),
)
CHURN = UseCase(
    name="churn",
    description="Whether a customer stays away.",
    owners=("team:shop",),
    sources=(CUSTOMERS, ORDERS),
    first_day=date(2026, 3, 1),
    last_day=date(2026, 4, 30),
    events="churn.mondays",
    labels="churn.stayed_away",
    event_id="target_id",
    event_timestamp="at",
    entities=("customer_id",),
    label="stays_away",
    label_maturity=10 * DAY,
    windows=(ORDER_WINDOWS,),
    schedule=Schedule("Monday 06:00", entities_of="customers", zone="Europe/London", until="left_at"),
    horizon_label=HorizonLabel("orders", 10 * DAY, "none", where=("channel", "!=", "gift")),
    feature_service="churn",
    training_window=90 * DAY,
)
