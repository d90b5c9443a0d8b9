"""Returns: when a line is bought, will that buyer return that item within 60 days? The return line is the label."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from jobs.problem import Family, Groups, Problem, Range, Review, Rule, Slice
from jobs.use_case import Column, Progress, RowFunction, Source, UseCase
from jobs.use_cases import request_features
from jobs.windows import Aggregate, WindowFeatures

DAY = timedelta(days=1)
MATURITY = 60 * DAY
SHIPPED = Path(__file__).parent / "data" / "online_retail_2009_2010.parquet"

LINES = Source(
    name="lines",
    description="Invoice lines of a shop: purchases, and returns with a negative quantity.",
    key=("line_id",),
    event_time="invoiced_at",
    usual_quarantine=0.3,  # as published, a quarter of the lines names no customer
    columns=(
        Column(
            "line_id",
            "string",
            in_file="LineID",
            made_of=("invoice", "invoiced_at", "buyer_id", "item_id", "quantity", "unit_price", "country"),
            description="Identifies the line: its invoice, and what tells it from the other lines.",
        ),
        Column("invoice", "string", in_file="InvoiceNo", also_in_file=("Invoice",), description="The invoice."),
        Column(
            "invoiced_at",
            "timestamp",
            in_file="InvoiceDate",
            formats=("%m/%d/%Y %H:%M",),
            description="When it was written.",
        ),
        Column(
            "buyer_id",
            "identifier",
            in_file="CustomerID",
            also_in_file=("Customer ID",),
            description="The customer.",
        ),
        Column("item_id", "string", in_file="StockCode", description="The article."),
        Column(
            "quantity",
            "integer",
            in_file="Quantity",
            description="Pieces; negative when they come back.",
            unit="pieces",
        ),
        Column(
            "unit_price",
            "number",
            minimum=0,
            in_file="UnitPrice",
            also_in_file=("Price",),
            description="Price of a piece.",
            unit="pounds",
        ),
        Column("country", "string", nullable=True, in_file="Country", description="Where the customer lives."),
    ),
)

RETURNED = ("is_returned", True)
KNOWN_RETURNS = (30 * DAY, 90 * DAY)
BUYER_WINDOWS = WindowFeatures(
    name="buyer_windows",
    entity="buyer_id",
    id="line_id",
    event_timestamp="invoiced_at",
    description="What the customer bought lately, this line included, and what of it is known to have come back.",
    aggregates=(
        Aggregate("count", windows=(DAY, 30 * DAY, 90 * DAY), name="buyer_lines"),
        Aggregate("mean", "amount", windows=(30 * DAY, 90 * DAY), name="buyer_amount_mean"),
        Aggregate("max", "amount", windows=(90 * DAY,), name="buyer_amount_max"),
        Aggregate("distinct", "item_id", windows=(30 * DAY,), name="buyer_items"),
        Aggregate("count", of="labels", where=RETURNED, windows=KNOWN_RETURNS, name="buyer_known_returns"),
        Aggregate("last_age", of="labels", where=RETURNED, windows=(90 * DAY,), name="buyer_last_returned_age"),
        Aggregate("rate", "is_returned", of="labels", windows=(90 * DAY,), delay=MATURITY, name="buyer_return_rate"),
    ),
)
ITEM_WINDOWS = WindowFeatures(
    name="item_windows",
    entity="item_id",
    id="line_id",
    event_timestamp="invoiced_at",
    description="How the article sold lately, and how often it is known to have come back.",
    aggregates=(
        Aggregate("count", windows=(7 * DAY, 90 * DAY), name="item_lines"),
        Aggregate("mean", "unit_price", windows=(30 * DAY,), name="item_price_mean"),
        Aggregate("mean", "quantity", windows=(30 * DAY,), name="item_quantity_mean"),
        Aggregate("distinct", "buyer_id", windows=(30 * DAY,), name="item_buyers"),
        Aggregate("count", of="labels", where=RETURNED, windows=KNOWN_RETURNS, name="item_known_returns"),
        Aggregate("rate", "is_returned", of="labels", windows=(90 * DAY,), delay=MATURITY, name="item_return_rate"),
    ),
)

COMPUTED_ONLINE = (
    RowFunction("article", request_features.article, ("item_id",), {"item_id": "The article, in capitals."}),
    RowFunction(
        "line",
        request_features.line,
        ("quantity", "unit_price", "country"),
        {"amount": "Quantity times price.", "is_abroad": "Whether the customer lives outside the United Kingdom."},
    ),
)
LINE_RATIOS = RowFunction(
    "line_ratios",
    request_features.line_ratios,
    ("unit_price", "quantity", "item_price_mean_30d", "item_quantity_mean_30d"),
    {
        "price_to_item_mean_30d": "Unit price over the article's 30-day mean; null if that is 0.",
        "quantity_to_item_mean_30d": "Quantity over the article's 30-day mean; null if that is 0.",
    },
)

PROBLEM = Problem(
    review=Review(threshold=0.5, capacity=20, cost=1.0),
    amount="amount",
    cluster_key="buyer_id",
    inputs=("quantity", "unit_price", "amount", "is_abroad"),
    baseline_features=("quantity", "unit_price", "amount", "buyer_known_returns_90d", "item_known_returns_90d"),
    families=(
        Family("logistic"),
        Family("boosted", search={"learning_rate": Range(0.02, 0.2, log=True), "num_leaves": (7, 15, 31)}),
    ),
    rules=(Rule("known_returns", ("buyer_known_returns_90d", "item_known_returns_90d"), "Who returned before."),),
    slices=(Slice("new_buyers", "buyer_lines_90d", maximum=10), Slice("large_lines", "amount", minimum=50)),
    fairness=(Groups("abroad", "is_abroad", edges=(1,)),),
    # The shop is closed on Saturdays: that there was nothing to score shows when Sunday's lines are in.
    predictions_due=timedelta(hours=36),
)


def _shipped(folder: Path, progress: Progress | None) -> Mapping[str, Path]:
    """The shop's lines that name a customer."""
    import polars as pl

    lines = pl.read_parquet(SHIPPED).filter(pl.col("CustomerID").is_not_null())
    folder.mkdir(parents=True, exist_ok=True)
    lines.write_parquet(folder / "lines.parquet")
    return {"lines": folder / "lines.parquet"}


RETURNS = UseCase(
    name="returns",
    description="Online retail: the chance that the buyer returns the item within 60 days.",
    owners=("team:shop",),
    sources=(LINES,),
    first_day=date(2009, 12, 1),
    last_day=date(2010, 11, 30),
    events="returns.purchases",
    labels="returns.labels",
    event_id="line_id",
    event_timestamp="invoiced_at",
    entities=("buyer_id", "item_id"),
    label="is_returned",
    computed=(
        Column("amount", "number", description="Quantity times price.", unit="pounds"),
        Column("is_abroad", "boolean", description="Whether the customer lives outside the United Kingdom."),
        Column("is_returned", "boolean", description="Whether the line is known to have come back within 60 days."),
    ),
    label_maturity=MATURITY,
    computed_online=COMPUTED_ONLINE,
    windows=(BUYER_WINDOWS, ITEM_WINDOWS),
    request_features=(LINE_RATIOS,),
    feature_service="returns",
    training_window=timedelta(days=300),
    problem=PROBLEM,
    features_fresh=3 * DAY,
    default_input=_shipped,
)
