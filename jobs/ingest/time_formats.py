"""Times in declared formats: which formats say a time without doubt, and reading text and numbers by them."""

from datetime import datetime, time

import polars as pl

from jobs.ingest.calendar import in_calendar
from jobs.ingest.declared_formats import EPOCH_UNITS
from jobs.ingest.registered_inputs import InputError

UTC = pl.Datetime("us", "UTC")
OFFSETS = ("%z", "%:z", "%#z")
_SAMPLE = datetime(2026, 5, 23, 14, 15, 16, 123_456)
_AS_FAR_AS_SAID = [
    _SAMPLE,
    datetime(2026, 5, 23),
    datetime(2026, 5, 23, 14),
    datetime(2026, 5, 23, 14, 15),
    datetime(2026, 5, 23, 14, 15, 16),
]
_EXACT = r"^[+-]?\d{1,20}(?:\.\d+)?$"
_ROUNDED = r"^[+-]?\d(?:\.\d+)?[eE][+-]?\d{1,2}$"
"""A double as programs print large ones, such as 1.7776296E9."""


def checked_format(where: str, form: str) -> str:
    """A declared format, as Polars takes it. Raises InputError if it does not say which day, and what time of it."""
    if form in EPOCH_UNITS:
        return form
    # Python's fraction of a second follows a dot; Polars' includes it.
    ours = form.replace(".%f", "%.f")
    if not _says_a_time(ours):
        raise InputError(
            f"{where}: expected year, month and day, and a time of day that is known, as in `%d/%m/%Y %H:%M:%S`, or a "
            f"unit of numbers since 1970 ({', '.join(EPOCH_UNITS)}), found {form!r}"
        )
    return ours


def is_of_days(form: str) -> bool:
    """Whether a checked format says a day and no time of it."""
    if form in EPOCH_UNITS:
        return False
    sample = pl.Series([_SAMPLE]).dt.replace_time_zone("UTC" if any(offset in form for offset in OFFSETS) else None)
    return bool((in_format(sample.dt.strftime(form), form).dt.time() == time()).all())


def _says_a_time(form: str) -> bool:
    if "%Z" in form or "%f" in form or "%" not in form:
        return False
    bare = form
    for offset in OFFSETS:
        bare = bare.replace(offset, "")
    sample = pl.Series([_SAMPLE])
    try:
        read = sample.dt.strftime(bare).str.to_datetime(bare, time_unit="us", strict=False)
        if bare != form:
            sample.dt.replace_time_zone("UTC").dt.strftime(form).str.to_datetime(form, time_unit="us", time_zone="UTC")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False
    return read.dtype == pl.Datetime("us") and read[0] in _AS_FAR_AS_SAID


def in_format(text: pl.Series, form: str) -> pl.Series:
    """Times read by a checked format: with a zone in UTC where the format has offsets or is a unit, else naive."""
    if form in EPOCH_UNITS:
        return since_1970(text, form)
    zone = "UTC" if any(offset in form for offset in OFFSETS) else None
    if "%Y" in form:
        # The parser by itself reads 26 as the year 26.
        text = pl.select(pl.when(text.str.contains(r"\d{4}")).then(text)).to_series()
    return text.str.to_datetime(form, time_unit="us", time_zone=zone, strict=False)


def since_1970(values: pl.Series, unit: str) -> pl.Series:
    """Numbers, or numbers in text, since 1970 UTC in `unit`, as times; null outside of the calendar.

    Parts of a microsecond are cut off; doubles, which seldom hold a decimal fraction exactly, are rounded to one.
    """
    if values.dtype == pl.String:
        exact, rounded = (
            pl.select(pl.when(values.str.contains(pattern)).then(values)).to_series() for pattern in (_EXACT, _ROUNDED)
        )
        ticks = pl.select(pl.coalesce(_cut_off(exact, unit), _nearest(rounded.cast(pl.Float64), unit))).to_series()
    else:
        ticks = _nearest(values, unit) if values.dtype.is_float() else _cut_off(values, unit)
    return pl.select(in_calendar(pl.lit(ticks.cast(UTC)), UTC)).to_series()


def _cut_off(values: pl.Series, unit: str) -> pl.Series:
    """Whole microseconds of integers, decimals or text of them."""
    nanoseconds = EPOCH_UNITS[unit]
    exact = values.cast(pl.Decimal(38, 9), strict=False)
    scaled = exact * (nanoseconds // 1000) if nanoseconds >= 1000 else exact
    whole = scaled.cast(pl.Int128, strict=False)
    # A cast cuts off towards zero, which is later before 1970.
    below = whole - (whole.cast(scaled.dtype) > scaled).cast(pl.Int128)
    return (below if nanoseconds >= 1000 else below // 1000).cast(pl.Int64, strict=False)


def _nearest(values: pl.Series, unit: str) -> pl.Series:
    """Microseconds nearest to doubles."""
    return (values * (EPOCH_UNITS[unit] / 1000)).round().cast(pl.Int64, strict=False)
