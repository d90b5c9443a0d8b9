"""Which moment and which days a run is about. No asset reads the clock: `as_of` comes from the run."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

AS_OF_TAG = "evergreen/as_of"
WHOLE_INPUT_TAG = "evergreen/whole_input"


def as_of(context: dg.AssetExecutionContext, otherwise: datetime) -> datetime:
    """The moment the run knows the world at: its tag, else the end of its last partition, else `otherwise`."""
    tag = context.run.tags.get(AS_OF_TAG)
    if tag:
        return datetime.fromisoformat(tag).astimezone(UTC)
    span = days(context)
    if span is not None:
        return datetime.combine(span[1] + timedelta(days=1), datetime.min.time(), UTC)
    return otherwise


def days(context: dg.AssetExecutionContext) -> tuple[date, date] | None:
    """First and last daily partition of the run, or None if the asset or the run has no partition."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    window = context.partition_time_window
    return window.start.date(), (window.end - timedelta(days=1)).date()


def input_days(context: dg.AssetExecutionContext) -> tuple[date, date] | None:
    """Days of the input to load: the run's partitions, or None for all that is known (`evergreen run`)."""
    return None if WHOLE_INPUT_TAG in context.run.tags else days(context)
