"""Timestamps as features: how old a moment is, in days, at the time of the event that the row is about.

A moment that is later than the event was not known then, as far as a table of events can tell: it is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from jobs.times import MICROSECONDS_A_DAY
from jobs.use_case import age_name


def expression(column: str, time: str) -> str:
    """SQL: days from the moment in `column` to that in `time`; null where either is missing or the first is later. Of a
    date, the midnight (UTC) that it begins with counts."""
    moment, event = (f"unix_micros(cast(`{name}` as timestamp))" for name in (column, time))
    return f"case when {moment} <= {event} then ({event} - {moment}) / {MICROSECONDS_A_DAY}D end"


def is_moment(kind: pa.DataType) -> bool:
    """Whether a column of this type is an age as a feature."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def feature_columns(schema: pa.Schema, names: Sequence[str]) -> list[str]:
    """The columns of a table of rows with features that hold the features which are declared as `names`."""
    moments = {field.name for field in schema if is_moment(field.type)}
    return [age_name(name) if name in moments else name for name in names]
