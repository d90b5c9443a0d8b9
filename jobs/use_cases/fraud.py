"""Card fraud: will this payment be reported as fraud? Sources and windows; its features are in feature_repo."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from jobs.conditions import Where
from jobs.problem import Family, Groups, Problem, Range, Review, Rule, Slice, Verdict
from jobs.use_case import Column, Progress, ReportedLabels, RowFunction, Source, UseCase
from jobs.use_cases import request_features
from jobs.window_lengths import BEFORE
from jobs.windows import Aggregate, Ratio, WindowFeatures

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LARGEST_AMOUNT = 1e9
MAP = "units of the map"

TRANSACTIONS = Source(
    name="transactions",
    description="Card payments as they were authorised; corrected payments are further versions.",
    key=("transaction_id",),
    event_time="tx_datetime",
    deletions=True,
    columns=(
        Column("transaction_id", "identifier", description="Identifies the payment."),
        Column("tx_datetime", "timestamp", description="When the payment was made."),
        Column("customer_id", "identifier", description="The cardholder."),
        Column("terminal_id", "identifier", description="The point of sale."),
        Column(
            "tx_amount",
            "number",
            minimum=0,
            maximum=LARGEST_AMOUNT,
            description="Amount of the payment.",
            unit="the card's currency",
        ),
    ),
)
FRAUD_REPORTS = Source(
    name="fraud_reports",
    option="reports",
    description="What investigations found out, when they found it; a contradicting report is a further version.",
    key=("transaction_id",),
    event_time="fraud_reported_at",
    known_at="fraud_reported_at",
    references={"transaction_id": "transactions.transaction_id"},
    carried_by="transactions",
    carried_delay=7 * DAY,
    deletions=True,
    columns=(
        Column("transaction_id", "identifier", description="The payment the report is about."),
        Column("tx_fraud", "boolean", description="Whether it was fraud."),
        Column("fraud_reported_at", "timestamp", description="When the report reached us."),
    ),
)


def _profile(name: str, key: str, description: str, began: str, extra: tuple[Column, ...] = ()) -> Source:
    return Source(
        name=name,
        description=description,
        key=(key,),
        event_time="opened_at",
        daily=False,
        required=False,
        deletions=True,
        plausible_age=100 * 365 * DAY,
        columns=(
            Column(key, "identifier", description=f"Identifies the {key.removesuffix('_id')}."),
            Column("opened_at", "timestamp", in_file=began, description="When the profile came into being."),
            Column("x", "number", nullable=True, optional=True, description="Place, west to east.", unit=MAP),
            Column("y", "number", nullable=True, optional=True, description="Place, south to north.", unit=MAP),
            Column("region", "string", nullable=True, optional=True, description="Region of the place."),
            *extra,
        ),
    )


CUSTOMERS = _profile("customers", "customer_id", "Profiles of cardholders and where they live.", "JOINED_AT")
TERMINALS = _profile(
    "terminals",
    "terminal_id",
    "Profiles of points of sale and where they are.",
    "OPENED_AT",
    (Column("category", "string", nullable=True, optional=True, description="What is sold there."),),
)

# The first four aggregates over 1, 7 and 30 days are the handbook's 12 window features
# (Fraud Detection Handbook, chapter 3, "Baseline feature transformation").
HANDBOOK = (DAY, 7 * DAY, 30 * DAY)
KNOWN_FRAUD = ("is_fraud", True)
KNOWN_LEGITIMATE = ("is_fraud", False)

# A payment counts as ordinary up to this multiple of what its customer paid on average in the 30 days before it. What
# lies above is suspected: it must not raise the level that later payments are compared with. A delay of a second keeps
# the payment that is decided about out of its own yardstick.
TO_LEVEL = Ratio("amount_to_level", "tx_amount", Aggregate("mean", "tx_amount", (30 * DAY,), delay=SECOND))
ORDINARY: Where = ("amount_to_level", "<=", 2.2)
SUSPECTED: Where = ("amount_to_level", ">", 2.2)
# What tests a card is small for its customer, whatever the customer usually pays.
SMALL: Where = ("amount_to_level", "<=", 0.5)
RECENTLY = (DAY, 3 * DAY, 7 * DAY, 14 * DAY)

CUSTOMER_WINDOWS = WindowFeatures(
    name="customer_windows",
    entity="customer_id",
    id="transaction_id",
    event_timestamp="tx_datetime",
    description="What the cardholder did lately, this payment included; what is ordinary, without it.",
    ratios=(TO_LEVEL,),
    aggregates=(
        Aggregate("count", windows=(10 * MINUTE, HOUR, 6 * HOUR, *HANDBOOK), name="customer_tx_count"),
        Aggregate("mean", "tx_amount", windows=HANDBOOK, name="customer_amount_mean"),
        Aggregate("std", "tx_amount", windows=(7 * DAY, 30 * DAY), name="customer_amount_std"),
        Aggregate("max", "tx_amount", windows=(DAY, 7 * DAY, 30 * DAY), name="customer_amount_max"),
        Aggregate("sum", "tx_amount", windows=(HOUR, DAY), name="customer_amount_sum"),
        Aggregate("distinct", "terminal_id", windows=(6 * HOUR, DAY, 7 * DAY), name="customer_terminals"),
        Aggregate("count", of="labels", where=KNOWN_FRAUD, windows=(30 * DAY,), name="customer_known_frauds"),
        Aggregate(
            "last_age", of="labels", where=KNOWN_FRAUD, windows=(30 * DAY,), name="customer_last_known_fraud_age"
        ),
        Aggregate("mean", "tx_amount", (60 * DAY,), SECOND, where=ORDINARY, name="customer_ordinary_mean"),
        Aggregate("std", "tx_amount", (60 * DAY,), SECOND, where=ORDINARY, name="customer_ordinary_std"),
        Aggregate("max", "amount_to_level", RECENTLY, SECOND, name="customer_largest_ratio"),
        Aggregate("count", windows=(7 * DAY, 14 * DAY), delay=SECOND, where=SUSPECTED, name="customer_suspected"),
        Aggregate("count", windows=(HOUR, 6 * HOUR), where=SMALL, name="customer_small"),
        Aggregate("last_age", windows=(30 * DAY,), delay=BEFORE, name="customer_previous_age"),
    ),
)
TERMINAL_WINDOWS = WindowFeatures(
    name="terminal_windows",
    entity="terminal_id",
    id="transaction_id",
    event_timestamp="tx_datetime",
    description="What happened at the terminal lately, and which frauds there were known by then.",
    aggregates=(
        Aggregate("count", windows=HANDBOOK, delay=7 * DAY, name="terminal_tx_count"),
        Aggregate("rate", "is_fraud", of="labels", windows=HANDBOOK, delay=7 * DAY, empty=0, name="terminal_risk"),
        Aggregate("count", windows=(HOUR, DAY), name="terminal_tx_count"),
        Aggregate("mean", "tx_amount", windows=(7 * DAY, 30 * DAY), name="terminal_amount_mean"),
        Aggregate("distinct", "customer_id", windows=(DAY,), name="terminal_customers"),
        Aggregate("count", of="labels", where=KNOWN_FRAUD, windows=(7 * DAY, 30 * DAY), name="terminal_known_frauds"),
        Aggregate(
            "last_age", of="labels", where=KNOWN_FRAUD, windows=(30 * DAY,), name="terminal_last_known_fraud_age"
        ),
        Aggregate(
            "first_age", of="labels", where=KNOWN_FRAUD, windows=(30 * DAY,), name="terminal_first_known_fraud_age"
        ),
        # A terminal that was taken over brings one known fraud after the other; a stolen card brings a single one.
        Aggregate("streak", "is_fraud", (60 * DAY,), of="labels", name="terminal_fraud_streak"),
        Aggregate("streak_age", "is_fraud", (60 * DAY,), of="labels", name="terminal_fraud_streak_age"),
        Aggregate(
            "last_age", of="labels", where=KNOWN_LEGITIMATE, windows=(60 * DAY,), name="terminal_last_legitimate_age"
        ),
    ),
)
CUSTOMER_TERMINAL_WINDOWS = WindowFeatures(
    name="customer_terminal_windows",
    entity=("customer_id", "terminal_id"),
    id="transaction_id",
    event_timestamp="tx_datetime",
    description="Whether the cardholder was ever at this terminal.",
    aggregates=(Aggregate("count", windows=(60 * DAY,), delay=BEFORE, name="customer_terminal_tx_count"),),
)

PAYMENT_TIME = RowFunction(
    "payment_time",
    request_features.payment_time,
    ("tx_datetime",),
    {
        "hour_of_day": "UTC hour of the payment, 0 to 24, minutes included.",
        "is_night": "1 between midnight and six, UTC.",
        "is_weekend": "1 on Saturday and Sunday, UTC.",
    },
)
PAYMENT_AMOUNT = RowFunction(
    "payment_amount",
    request_features.payment_amount,
    (
        "tx_amount",
        "customer_amount_mean_30d",
        "customer_amount_std_30d",
        "customer_ordinary_mean_60d_delay_1s",
        "customer_ordinary_std_60d_delay_1s",
    ),
    {
        "amount_to_mean_30d": "Amount over the customer's 30-day mean; null if that is 0.",
        "amount_zscore_30d": "Amount less the customer's 30-day mean, in standard deviations; null if those are 0.",
        "amount_to_ordinary": "Amount over the mean of the customer's ordinary payments of 60 days; null if that is 0.",
        "amount_zscore_ordinary": "Amount less that mean, in those payments' standard deviations; null if those are 0.",
    },
)

REPORT = RowFunction(
    "report", request_features.report, ("tx_fraud",), {"is_fraud": "Whether the payment is reported as fraud."}
)

# What a person would do who sees only what is known of the terminal.
WITHOUT_MODEL: tuple[tuple[Where, Verdict], ...] = (
    (("terminal_known_frauds_7d", ">=", 3), "block"),
    (("terminal_known_frauds_7d", ">=", 1), "review"),
    (("tx_amount", "<", 100), "approve"),
)
PROBLEM = Problem(
    review=Review(threshold=0.5, capacity=100, cost=5.0, cards=100, block=0.9, without_model=WITHOUT_MODEL),
    amount="tx_amount",
    cluster_key="customer_id",
    inputs=("tx_amount",),
    # The 15 features of the Fraud Detection Handbook, chapter 3.
    baseline_features=(
        "tx_amount",
        "is_weekend",
        "is_night",
        *(f"customer_{what}_{days}d" for what in ("tx_count", "amount_mean") for days in (1, 7, 30)),
        *(f"terminal_{what}_{days}d_delay_7d" for what in ("tx_count", "risk") for days in (1, 7, 30)),
    ),
    families=(
        Family("logistic", negative_rate=0.1),
        Family(
            "boosted",
            # Chosen on the handbook's validation weeks (docs/benchmarks/backtest.md).
            fixed={
                "rounds": 250,
                "patience": 30,
                "learning_rate": 0.04,
                "num_leaves": 15,
                "min_data_in_leaf": 40,
                "feature_fraction": 0.6,
            },
            negative_rate=0.1,
            search={
                "learning_rate": Range(0.03, 0.3, log=True),
                "num_leaves": Range(7, 127, log=True, integer=True),
                "min_data_in_leaf": Range(10, 300, log=True, integer=True),
                "feature_fraction": Range(0.4, 1.0, step=0.2),
            },
        ),
        Family("tabular_mlp", fixed={"epochs": 12}, negative_rate=0.05),
    ),
    rules=(
        Rule(
            "terminal_risk_then_amount",
            ("terminal_risk_30d_delay_7d", "tx_amount"),
            "Known risk of the terminal, then amount.",
        ),
    ),
    slices=(
        Slice("amount_below_20", "tx_amount", maximum=20),
        Slice("amount_20_to_100", "tx_amount", minimum=20, maximum=100),
        Slice("amount_from_100", "tx_amount", minimum=100),
        Slice("new_customers", "customer_tx_count_30d", maximum=10),
        Slice("new_terminals", "terminal_tx_count_30d_delay_7d", maximum=10),
        Groups("region", "region", source="customers"),
    ),
    fairness=(Groups("region", "region", source="customers"), Groups("amount", "tx_amount", edges=(20, 100))),
)


def _simulated(folder: Path, progress: Progress | None) -> Mapping[str, Path]:
    from jobs.simulate import simulator

    return simulator.write(simulator.scenario("stable"), folder, progress=progress)


FRAUD = UseCase(
    name="fraud",
    description="Real-time card fraud: the chance that a payment is reported as fraud.",
    owners=("team:payments-risk",),
    sources=(TRANSACTIONS, FRAUD_REPORTS, CUSTOMERS, TERMINALS),
    first_day=date(2026, 1, 1),
    last_day=date(2026, 6, 30),
    events="fraud.transactions",
    labels="fraud.labels",
    event_id="transaction_id",
    event_timestamp="tx_datetime",
    entities=("customer_id", "terminal_id"),
    label="is_fraud",
    computed=(Column("is_fraud", "boolean", description="Whether the payment is known to be fraud."),),
    label_maturity=timedelta(days=14),
    windows=(CUSTOMER_WINDOWS, TERMINAL_WINDOWS, CUSTOMER_TERMINAL_WINDOWS),
    reported_labels=ReportedLabels("fraud_reports", REPORT),
    request_features=(PAYMENT_TIME, PAYMENT_AMOUNT),
    feature_service="fraud",
    training_window=timedelta(days=120),
    problem=PROBLEM,
    default_input=_simulated,
)
