"""Which team will solve a support ticket? Read of its words, its channel, and what the customer asked lately."""

from datetime import timedelta

from use_cases import support_tickets_sample as sample

from jobs.problem import Family, Groups, Problem, ReviewQueue
from jobs.use_case import Column, Source, UseCase
from jobs.windows import Aggregate, WindowFeatures

DAY = timedelta(days=1)

TICKETS = Source(
    name="tickets",
    description="Tickets as customers wrote them.",
    key=("ticket_id",),
    event_time="opened_at",
    columns=(
        Column("ticket_id", "identifier"),
        Column("opened_at", "timestamp"),
        Column("customer_id", "identifier"),
        Column("channel", "category"),
        Column("subject", "text"),
    ),
)
SOLUTIONS = Source(
    name="solutions",
    description="Which team solved a ticket, once it did.",
    key=("ticket_id",),
    event_time="solved_at",
    known_at="solved_at",
    references={"ticket_id": "tickets.ticket_id"},
    columns=(
        Column("ticket_id", "identifier"),
        Column("solved_at", "timestamp"),
        Column("team", "category"),
    ),
)
CUSTOMER_WINDOWS = WindowFeatures(
    name="customer_windows",
    entity="customer_id",
    aggregates=(
        Aggregate("count", windows=(DAY, 30 * DAY), name="customer_tickets"),
        Aggregate("distinct", "channel", windows=(30 * DAY,), name="customer_channels"),
        Aggregate("count", of="labels", where=("team", "billing"), windows=(60 * DAY,), name="customer_of_billing"),
        Aggregate("count", of="labels", where=("team", "access"), windows=(60 * DAY,), name="customer_of_access"),
    ),
)
SUPPORT_TICKETS = UseCase(
    name="support_tickets",
    description="The team that will solve a ticket.",
    owners=("team:support",),
    sources=(TICKETS, SOLUTIONS),
    first_day=sample.FIRST,
    last_day=sample.FIRST + timedelta(days=sample.DAYS - 1),
    label="team",
    label_maturity=7 * DAY,
    windows=(CUSTOMER_WINDOWS,),
    training_window=120 * DAY,
    problem=Problem(
        task="multiclass",
        families=(Family("logistic"), Family("boosted")),
        queue=ReviewQueue(capacity=20),
        inputs=("subject", "channel"),
        cluster_key="customer_id",
        slices=(Groups("channel", "channel"),),
    ),
    default_input=sample.write,
)
