"""What to write into a columns file about values that do not parse, or that can be read in two ways.

Reading by what is written there: see `jobs.ingest.parsing`.
"""

import json
from collections.abc import Mapping, Sequence

import polars as pl

from jobs.ingest.csv_records import LINE
from jobs.ingest.declared_formats import EPOCH_UNITS, IN_GROUPS, ValueFormat
from jobs.ingest.readers import FOUND, KNOWN_AT, ZONED, DataFile
from jobs.ingest.time_formats import in_format, since_1970
from jobs.use_case import Column, Source

_DECIMAL_POINT = r"^[+-]?\d*\.\d*(?:[eE][+-]?\d+)?$"
_DECIMAL_COMMA = r"^[+-]?\d{1,3}(?:\.\d{3})*,\d+$|^[+-]?\d+,\d+$|^[+-]?\d{1,3}(?:\.\d{3}){2,}$"
_TIME_OF_DAY = r"^\d{4}-\d{1,2}-\d{1,2}[T ]+(?:[01]?\d|2[0-3]):[0-5]\d"
_WITHOUT_ZONE = _TIME_OF_DAY + r"(?::\d{2}(?:\.\d+)?)?$"
DAYS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d",
    "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y",
    "%y-%m-%d",
)  # fmt: skip
HOURS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "%H%M%S")
UNLIKELY_BEFORE, UNLIKELY_AFTER = 1990, 2100
_LOOKED_AT = 1000
"""Different values, at most, by which advice is given."""


def ambiguous_numbers(
    source: Source, files: Sequence[DataFile], frames: Sequence[pl.DataFrame], formats: Mapping[str, ValueFormat]
) -> list[str]:
    """Columns of text whose points may be decimal ones or part thousands, and neither is declared: a problem each."""
    problems = []
    for column in (c for c in source.columns if c.kind == "number"):
        form, name = formats[column.name], FOUND + column.name
        parts = [f.select(name, LINE, file=n) for n, f in enumerate(frames) if f.schema.get(name) == pl.String]
        if form.decimal or form.thousands or not parts:
            continue
        rows = pl.concat(parts).with_columns(pl.col(name).str.strip_chars())
        grouped = rows.filter(pl.col(name).str.contains(IN_GROUPS))
        if grouped.is_empty():
            continue
        others = rows.filter(~pl.col(name).str.contains(IN_GROUPS))[name]
        if others.str.contains(_DECIMAL_POINT).any() and not others.str.contains(_DECIMAL_COMMA).any():
            continue
        value, line, file = grouped.row(0)
        problems.append(
            f"{files[file].path}: {source.name}.{column.name}: expected numbers that can be read in one way, found "
            f"{value!r} in line {line}, which is {float(value) if value.count('.') == 1 else value} or "
            f"{value.replace('.', '')}; say which in a columns file (`--columns`): "
            f"{_declared(source, column.name, decimal='.')} or {_declared(source, column.name, thousands='.')}"
        )
    return problems


def mixed_zones(
    source: Source, files: Sequence[DataFile], frames: Sequence[pl.DataFrame], formats: Mapping[str, ValueFormat]
) -> list[str]:
    """Columns of text with times with a zone beside times without one in one file, where no zone is declared."""
    problems = []
    for column in (*source.columns, Column(KNOWN_AT, "timestamp")):
        name, form = column.name, formats[column.name]
        for file, frame in zip(files, frames, strict=True) if column.kind == "timestamp" else ():
            if form.times or form.zone_is_said or frame.schema.get(FOUND + name) != pl.String:
                continue
            times = frame.select(LINE, value=pl.col(FOUND + name).str.strip_chars()).filter(
                pl.col("value").str.contains(_TIME_OF_DAY)
                & pl.col("value").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).is_not_null()
            )
            with_zone, without = (times.filter(pl.col("value").str.contains(p)) for p in (ZONED, _WITHOUT_ZONE))
            if with_zone.is_empty() or without.is_empty():
                continue
            problems.append(
                f"{file.path}: {source.name}.{name}: expected times that all have a zone, or none, found "
                f"{without['value'][0]!r} in line {without[LINE][0]} and {with_zone['value'][0]!r} in line "
                f"{with_zone[LINE][0]}; say in which zone those without are, in a columns file (`--columns`): "
                f"{_declared(source, name, timezone='UTC')} or another zone"
            )
    return problems


def days_for_months(
    source: Source, files: Sequence[DataFile], frames: Sequence[pl.DataFrame], formats: Mapping[str, ValueFormat]
) -> list[str]:
    """Columns of text in a format that the source declares, where some times fit only with day and month exchanged."""
    problems = []
    for column in (c for c in source.columns if not formats[c.name].times):
        for published in formats[column.name].published:
            exchanged = published.replace("%m", "%%").replace("%d", "%m").replace("%%", "%d")
            for file, frame in zip(files, frames, strict=True) if exchanged != published else ():
                if frame.schema.get(FOUND + column.name) != pl.String:
                    continue
                times = frame.select(LINE, value=pl.col(FOUND + column.name).str.strip_chars())
                fits, fits_exchanged = (
                    in_format(times["value"], form).is_not_null() for form in (published, exchanged)
                )
                others = times.filter(fits_exchanged & ~fits)
                if not others.is_empty():
                    value, line = others["value"][0], others[LINE][0]
                    problems.append(
                        f"{file.path}: {source.name}.{column.name}: expected times as {published}, found {value!r} in "
                        f"line {line}, which is one as {exchanged}; say which in a columns file (`--columns`): "
                        f"{_declared(source, column.name, format=published)} or "
                        f"{_declared(source, column.name, format=exchanged)}"
                    )
    return problems


def epoch_advice(source: Source, column: Column, values: pl.Series) -> str:
    """For a column of numbers that should hold times: what could be declared, after a semicolon; else nothing."""
    if column.kind != "timestamp" or not values.dtype.is_numeric() or values.drop_nulls().is_empty():
        return ""
    first = values.drop_nulls().head(1)
    choices = [*_units(source, column.name, first), *_formats(source, column.name, first.cast(pl.String))]
    units = "format: s, ms, us or ns, if they count from 1970"
    return f"; if they are times, say how they are written there: {' or '.join(choices) or units}"


def advice(source: Source, column: Column, values: pl.Series) -> str:
    """What a columns file could say about values in text that are none of the column's kind; empty if nothing."""
    text = values.cast(pl.String).str.strip_chars().drop_nulls().unique(maintain_order=True)
    if text.is_empty():
        return ""
    text = text.gather_every(-(-len(text) // _LOOKED_AT))  # of all rows: those of one week hold no 13th of a month
    name = column.name
    if column.kind == "timestamp":
        choices = _choices(source, name, text) or _choices(source, name, text.head(1))
        return " or ".join(choices) or f"{_declared(source, name, format='FORMAT')} with one such as %d/%m/%Y %H:%M:%S"
    if column.kind in ("number", "integer") and text.str.contains(r"\d[.,'\s]").any():
        comma_last = text.str.contains(r",\d+$").any() and not text.str.contains(r",\d.*\.").any()
        marks = {"decimal": ",", "thousands": "."} if comma_last else {"decimal": ".", "thousands": ","}
        return _declared(source, name, **(marks if column.kind == "number" else {"thousands": marks["thousands"]}))
    if column.kind == "boolean":
        return f"`{source.name}: {{{name}: {{true: [WORDS], false: [WORDS]}}}}` with the words for each"
    return _declared(source, name, null=str(text[0]))


def _choices(source: Source, column: str, text: pl.Series) -> list[str]:
    return [*_units(source, column, text), *_formats(source, column, text)]


def _units(source: Source, column: str, values: pl.Series) -> list[str]:
    choices = []
    for unit in EPOCH_UNITS:
        times = since_1970(values, unit).drop_nulls()
        years = times.dt.year()
        if len(times) == len(values) and years.is_between(UNLIKELY_BEFORE, UNLIKELY_AFTER).all():
            choices.append(f"{_declared(source, column, format=unit)} (the first is then {times[0]:%Y-%m-%d %H:%M:%S})")
    return choices


def _formats(source: Source, column: str, text: pl.Series) -> list[str]:
    choices: dict[str, tuple[str, pl.Series]] = {}
    for form in (day + hours for day in DAYS for hours in HOURS):
        times = in_format(text, form).drop_nulls()
        plausible = times.dt.year().is_between(UNLIKELY_BEFORE, UNLIKELY_AFTER).all()
        if len(times) == len(text) and plausible:
            choices.setdefault(f"{times.to_list()}", (form, times))
    place = _first_that_differs([times for _, times in choices.values()])
    which = f"{text[place]!r}" if place else "the first"
    return [
        f"{_declared(source, column, format=form)} ({which} is then {times[place]:%Y-%m-%d %H:%M:%S})"
        for form, times in choices.values()
    ]


def _first_that_differs(readings: Sequence[pl.Series]) -> int:
    """Place of the first value that is another one in each reading; the first place if there is none."""
    places = range(len(readings[0]) if readings else 0)
    return next((n for n in places if len({times[n] for times in readings}) == len(readings)), 0)


def _declared(source: Source, column: str, **said: str) -> str:
    listed = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in said.items())
    return f"`{source.name}: {{{column}: {{{listed}}}}}`"
