"""How many hours will a shipment take? What its depot and carrier did lately, and what its carrier is now."""

from datetime import timedelta

from use_cases import late_delivery_sample as sample

from jobs.problem import Family, Groups, Problem, ReviewQueue, Rule, Slice
from jobs.profiles import ProfileFeatures
from jobs.use_case import Column, Source, UseCase
from jobs.windows import Aggregate, WindowFeatures

DAY = timedelta(days=1)

SHIPMENTS = Source(
    name="shipments",
    description="Shipments as they left the depot.",
    key=("shipment_id",),
    event_time="left_at",
    columns=(
        Column("shipment_id", "identifier"),
        Column("left_at", "timestamp"),
        Column("carrier_id", "identifier"),
        Column("depot_id", "identifier"),
        Column("distance", "number", minimum=0, unit="kilometres"),
        Column("service", "category"),
    ),
)
ARRIVALS = Source(
    name="arrivals",
    description="How long shipments took, told when they came.",
    key=("shipment_id",),
    event_time="arrived_at",
    known_at="arrived_at",
    references={"shipment_id": "shipments.shipment_id"},
    columns=(Column("shipment_id", "identifier"), Column("arrived_at", "timestamp"), Column("hours", "number")),
)
CARRIERS = Source(
    name="carriers",
    description="What is known of carriers; a carrier that buys lorries, or is rated anew, has a further version.",
    key=("carrier_id",),
    event_time="valid_from",
    known_at="valid_from",
    daily=False,
    columns=(
        Column("carrier_id", "identifier"),
        Column("valid_from", "timestamp"),
        Column("fleet", "category"),
        Column("rating", "number", unit="stars"),
    ),
)
CARRIER_WINDOWS = WindowFeatures(
    name="carrier_windows",
    entity="carrier_id",
    aggregates=(
        Aggregate("count", windows=(DAY, 7 * DAY), name="carrier_shipments"),
        Aggregate("mean", "hours", of="labels", windows=(7 * DAY, 30 * DAY), name="carrier_hours"),
        Aggregate("percentile", "hours", of="labels", windows=(30 * DAY,), percentile=0.9, name="carrier_hours_p90"),
    ),
)
DEPOT_WINDOWS = WindowFeatures(
    name="depot_windows",
    entity="depot_id",
    aggregates=(
        Aggregate("count", windows=(timedelta(hours=6), DAY, 7 * DAY), name="depot_shipments"),
        Aggregate("mean", "hours", of="labels", windows=(7 * DAY, 30 * DAY), name="depot_hours"),
    ),
)
LATE_DELIVERY = UseCase(
    name="late_delivery",
    description="The hours until a shipment arrives.",
    owners=("team:logistics",),
    sources=(SHIPMENTS, ARRIVALS, CARRIERS),
    first_day=sample.FIRST,
    last_day=sample.FIRST + timedelta(days=sample.DAYS - 1),
    label="hours",
    label_maturity=7 * DAY,
    windows=(CARRIER_WINDOWS, DEPOT_WINDOWS),
    profiles=(ProfileFeatures("carriers", ("fleet", "rating")),),
    training_window=120 * DAY,
    problem=Problem(
        task="regression",
        families=(Family("linear"), Family("boosted")),
        queue=ReviewQueue(capacity=20),
        inputs=("distance", "service"),
        cluster_key="carrier_id",
        rules=(Rule("carrier_mean", ("carrier_hours_30d",), "What the carrier took lately."),),
        slices=(Slice("far", "distance", minimum=300), Groups("service", "service")),
    ),
    default_input=sample.write,
)
