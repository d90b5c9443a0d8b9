"""Will a customer of a shop buy nothing in the next 30 days? Asked of each customer each Monday."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from jobs.problem import Family, Problem, Review, Rule
from jobs.targets import HorizonLabel, Schedule
from jobs.use_case import Column, Progress, Source, UseCase
from jobs.windows import Aggregate, WindowFeatures

DAY = timedelta(days=1)
HORIZON = 30 * DAY


def invoices(name: str, description: str) -> Source:
    """Invoices of one kind, each with the customer, what it comes to, and how many articles it names."""
    return Source(
        name=name,
        description=description,
        key=("invoice",),
        event_time="invoiced_at",
        columns=(
            Column("invoice", "string"),
            Column("invoiced_at", "timestamp"),
            Column("customer_id", "identifier"),
            Column("amount", "number", unit="pounds"),
            Column("articles", "integer"),
        ),
    )


ORDERS = invoices("orders", "Invoices of a British shop of gifts.")
CANCELLATIONS = invoices("cancellations", "Invoices that take goods back.")


def windows(facts: str, *aggregates: Aggregate) -> WindowFeatures:
    return WindowFeatures(f"{facts}_windows", "customer_id", aggregates=aggregates, facts=facts)


ORDER_WINDOWS = windows(
    "orders",
    Aggregate("count", windows=(30 * DAY, 90 * DAY, 180 * DAY), name="orders"),
    Aggregate("sum", "amount", windows=(30 * DAY, 90 * DAY), name="spent"),
    Aggregate("mean", "articles", windows=(90 * DAY,), name="articles_mean"),
    Aggregate("last_age", windows=(365 * DAY,), name="last_order_age"),
    Aggregate("first_age", windows=(365 * DAY,), name="first_order_age"),
)
CANCELLATION_WINDOWS = windows(
    "cancellations",
    Aggregate("count", windows=(90 * DAY,), name="cancellations"),
    Aggregate("last_age", windows=(365 * DAY,), name="last_cancellation_age"),
)


def online_retail(folder: Path, progress: Progress | None = None) -> Mapping[str, Path]:
    """Invoices of the lines that come with Evergreen (Online Retail II, CC BY 4.0)."""
    import polars as pl

    from jobs.use_cases.returns import SHIPPED

    lines = pl.read_parquet(SHIPPED).filter(pl.col("CustomerID").is_not_null())
    amount = (pl.col("Quantity") * pl.col("UnitPrice")).sum().round(2)
    found = lines.group_by(INVOICE="InvoiceNo").agg(
        INVOICED_AT=pl.col("InvoiceDate").min(),
        CUSTOMER_ID=pl.col("CustomerID").first(),
        AMOUNT=amount,
        ARTICLES=pl.len(),
    )
    taken_back = pl.col("INVOICE").str.starts_with("C")
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in (("orders", ~taken_back), ("cancellations", taken_back)):
        found.filter(kind).sort("INVOICED_AT").write_parquet(folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in ("orders", "cancellations")}


CHURN = UseCase(
    name="churn",
    description="The chance that a customer buys nothing in the next 30 days.",
    owners=("team:shop",),
    sources=(ORDERS, CANCELLATIONS),
    first_day=date(2009, 12, 1),
    last_day=date(2010, 11, 30),
    schedule=Schedule("Monday 06:00", entities_of="orders", zone="Europe/London"),
    horizon_label=HorizonLabel("orders", HORIZON, "none"),
    label="stays_away",
    label_maturity=HORIZON,
    windows=(ORDER_WINDOWS, CANCELLATION_WINDOWS),
    training_window=270 * DAY,
    problem=Problem(
        families=(Family("logistic"), Family("boosted")),
        review=Review(threshold=0.5, capacity=100, cost=1.0),
        cluster_key="customer_id",
        rules=(Rule("recency", ("last_order_age_365d",), "Who has not ordered for longest."),),
    ),
    default_input=online_retail,
)
