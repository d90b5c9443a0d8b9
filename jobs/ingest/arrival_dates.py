"""Arrivals at a date without a time: what arrived on a day is known at its end, as nobody could know it before.

A date is a value of a type of dates, text without a time of day, one in a declared format without one, or any of a
column of which all values are at midnight.
"""

from collections.abc import Mapping
from datetime import time, timedelta
from typing import TypeVar

import polars as pl

from jobs.ingest.declared_formats import ValueFormat
from jobs.ingest.readers import FOUND, KNOWN_AT
from jobs.ingest.time_formats import in_format, is_of_days
from jobs.use_case import Source

DATE_ALONE = "_date_alone"
"""Whether the arrival of a row is a date without a time."""
ENOUGH_MIDNIGHTS = 100
"""Of fewer values, all may be at midnight by chance, or because a person wrote them."""
_AT_MIDNIGHT = r"^\d{4}-\d{1,2}-\d{1,2}[T ]00:00(?::00(?:\.0+)?)?(?: ?(?:[zZ]|UTC|[+-]\d{2}(?::?\d{2})?))?$"
Time = TypeVar("Time", pl.Expr, pl.Series)


def known_at_the_end_of_dates(
    frame: pl.DataFrame, source: Source, formats: Mapping[str, ValueFormat]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """With arrivals at a date moved to the end of that day and with DATE_ALONE, and the columns all at midnight."""
    arrivals = [name for name in dict.fromkeys((source.known_at, KNOWN_AT)) if name and FOUND + name in frame.columns]
    midnights = tuple(name for name in arrivals if _all_at_midnight(frame, name, formats[name]))
    alone = {
        name: frame[name].is_not_null() if name in midnights else _is_date(frame[FOUND + name], formats[name])
        for name in arrivals
    }
    ends = {
        name: pl.when(is_date).then(_end_of_day(name, _zone(frame[FOUND + name], formats[name]))).otherwise(name)
        for name, is_date in alone.items()
        if is_date.any()
    }
    frame = frame.with_columns(pl.any_horizontal(False, *alone.values()).alias(DATE_ALONE))
    return frame.with_columns(end.alias(name) for name, end in ends.items()), midnights


def localized(naive: Time, zone: str) -> Time:
    """Times of a zone in UTC."""
    # An hour that a clock change repeats is read as its first pass; one that it skips does not exist: null.
    times = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return times.dt.convert_time_zone("UTC")


def _all_at_midnight(frame: pl.DataFrame, name: str, form: ValueFormat) -> bool:
    """Whether a column holds enough times, all of them at midnight; a declared format with a time of day says no."""
    found = frame[FOUND + name]
    values = frame.select(name, FOUND + name).drop_nulls()
    if form.times or values.height < ENOUGH_MIDNIGHTS:
        return False
    if found.dtype == pl.String:
        return bool(values[FOUND + name].str.strip_chars().str.contains(_AT_MIDNIGHT).all())
    if not isinstance(found.dtype, pl.Datetime):
        return False
    return bool((values[name].dt.convert_time_zone(_zone(found, form)).dt.time() == time()).all())


def _zone(found: pl.Series, form: ValueFormat) -> str:
    """The zone that days of a column are in: that of its type, else the declared one."""
    own = found.dtype.time_zone if isinstance(found.dtype, pl.Datetime) else None
    return own or form.timezone


def _is_date(values: pl.Series, form: ValueFormat) -> pl.Series:
    """Which values are dates without a time."""
    if values.dtype == pl.Date:
        return values.is_not_null()
    if values.dtype != pl.String:
        return pl.Series([False]).new_from_index(0, len(values))
    text = values.str.strip_chars()
    iso = [] if form.times else [text.str.contains(r"^\d{4}-\d{1,2}-\d{1,2}$").fill_null(False)]
    formats = [declared for declared in form.times or form.published if is_of_days(declared)]
    of_days = [*iso, *(in_format(text, declared).is_not_null() for declared in formats)]
    return pl.select(pl.any_horizontal(pl.repeat(False, len(text)), *of_days)).to_series()


def _end_of_day(name: str, zone: str) -> pl.Expr:
    """The last microsecond of the day, in a zone, that begins at a time."""
    next_day = pl.col(name).dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.offset_by("1d")
    # Where a clock change skips midnight.
    return pl.coalesce(localized(next_day, zone), pl.col(name) + timedelta(days=1)) - timedelta(microseconds=1)
