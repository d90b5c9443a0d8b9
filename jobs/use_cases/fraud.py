"""Card fraud: will this payment be reported as fraud? Sources and windows; its features are in feature_repo."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from jobs.use_case import Column, Progress, Source, UseCase
from jobs.windows import Aggregate, WindowFeatures

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LARGEST_AMOUNT = 1e9

TRANSACTIONS = Source(
    name="transactions",
    description="Card payments as they were authorised; corrected payments are further versions.",
    key=("transaction_id",),
    event_time="tx_datetime",
    columns=(
        Column("transaction_id", "identifier", description="Identifies the payment."),
        Column("tx_datetime", "timestamp", description="When the payment was made."),
        Column("customer_id", "identifier", description="The cardholder."),
        Column("terminal_id", "identifier", description="The point of sale."),
        Column("tx_amount", "number", minimum=0, maximum=LARGEST_AMOUNT, description="Amount in the card's currency."),
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
    columns=(
        Column("transaction_id", "identifier", description="The payment the report is about."),
        Column("tx_fraud", "boolean", description="Whether it was fraud."),
        Column("fraud_reported_at", "timestamp", description="When the report reached us."),
    ),
)


def _profile(name: str, key: str, description: str, extra: tuple[Column, ...] = ()) -> Source:
    return Source(
        name=name,
        description=description,
        key=(key,),
        event_time="opened_at",
        required=False,
        columns=(
            Column(key, "identifier"),
            Column("opened_at", "timestamp", description="When the profile came into being."),
            Column("x", "number", nullable=True, optional=True, description="Place, in units of the map."),
            Column("y", "number", nullable=True, optional=True, description="Place, in units of the map."),
            Column("region", "string", nullable=True, optional=True, description="Region of the place."),
            *extra,
        ),
    )


CUSTOMERS = _profile("customers", "customer_id", "Cardholder profiles.")
TERMINALS = _profile("terminals", "terminal_id", "Point-of-sale profiles.")
