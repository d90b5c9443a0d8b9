"""Which moment and which days a run is about. No asset reads the clock: `as_of` comes from the run."""

from datetime import UTC, date, datetime

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import Lakehouse
from jobs.times import end_of
from jobs.use_case import UseCase

AS_OF_TAG = "evergreen/as_of"
WHOLE_INPUT_TAG = "evergreen/whole_input"


def as_of(context: dg.AssetExecutionContext, otherwise: datetime) -> datetime:
    """The moment the run knows the world at: its tag, else the end of its last partition, else `otherwise`."""
    tag = context.run.tags.get(AS_OF_TAG)
    if tag:
        return datetime.fromisoformat(tag).astimezone(UTC)
    span = days(context)
    if span is not None:
        return end_of(span[1])
    return otherwise


def moment(context: dg.AssetExecutionContext, lakehouse: Lakehouse, use_case: UseCase) -> datetime:
    """`as_of`, or else the end of the use case's input."""
    return as_of(context, registered_inputs.ensure(lakehouse.settings, use_case).end)


def days(context: dg.AssetExecutionContext) -> tuple[date, date] | None:
    """First and last daily partition of the run (also for an asset without partitions), or None if it has none."""
    tags = context.run.tags
    one = tags.get(PARTITION_NAME_TAG)
    first, last = tags.get(ASSET_PARTITION_RANGE_START_TAG, one), tags.get(ASSET_PARTITION_RANGE_END_TAG, one)
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


def input_days(context: dg.AssetExecutionContext) -> tuple[date, date] | None:
    """Days of the input to load: the run's partitions, or None for all that is known (`evergreen run`)."""
    return None if WHOLE_INPUT_TAG in context.run.tags else days(context)
