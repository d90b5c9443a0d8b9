"""How the times of a column are written: ISO 8601, another format, or numbers since 1970."""

from __future__ import annotations

import polars as pl

from jobs.ingest.advice import DAYS, HOURS, UNLIKELY_AFTER, UNLIKELY_BEFORE
from jobs.ingest.declared_formats import EPOCH_UNITS, ValueFormat
from jobs.ingest.parsing import canonical
from jobs.ingest.time_formats import in_format, since_1970
from jobs.proposals.column_words import speaks_of
from jobs.proposals.words import BEFORE_ALL, LATER, TIME

MORE = (
    "%d/%b/%Y:%H:%M:%S %z", "%a %b %d %H:%M:%S %Y", "%d-%b-%Y %H:%M:%S", "%d-%b-%Y", "%d-%b-%y", "%m/%d/%Y %I:%M:%S%p",
    "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%a, %d %b %Y %H:%M:%S %z", "%Y年%m月%d日", "%Y-%m-%d-%H.%M.%S%.f",
    "%Y-%m-%d_%H:%M:%S", "%d.%m.%Y, %H:%M", "%d.%m.%Y, %H:%M:%S", "%Y%m%d %H:%M:%S", "%Y%m%dT%H%M%S",
)  # fmt: skip
_DATE_ALONE = r"^\d{4}-\d{2}-\d{2}$"
_TRIED = 200


def guess_time(text: pl.Series, most_bad: float) -> tuple[list[str], str] | None:
    """Formats that these different texts are times in (none: those that a load knows), and what is to be said.

    Returns None if more than a share of `most_bad` are no times.
    """
    frame = pl.DataFrame({"value": text})
    iso = frame.select(canonical("value", pl.String(), "timestamp", ValueFormat()).alias("value")).to_series()
    if iso.is_not_null().mean() >= 1 - most_bad:  # type: ignore[operator]
        alone = text.str.contains(_DATE_ALONE).all()
        return [], "dates without a time" if alone else ""
    if not text.str.contains(r"\d").all() or text.str.contains(r"^[+-]?\d{1,7}(\.\d*)?$").any():
        return None
    return _formatted(text, most_bad)


def _formatted(text: pl.Series, most_bad: float) -> tuple[list[str], str] | None:
    few = text.gather_every(-(-len(text) // _TRIED))
    forms = [form for form in (*(day + hour for day in DAYS for hour in HOURS), *MORE)
             if _share(few, form) >= 0.3]  # fmt: skip
    shares = sorted(((_share(text, form), -n, form) for n, form in enumerate(forms)), reverse=True)
    if not shares:
        return None
    best, _, form = shares[0]
    chosen, covered = [form], best
    if best < 1 - most_bad:  # two formats in one column
        rest = text.filter(in_format(text, form).is_null())
        share, other = max(((_share(rest, each), each) for each in forms if each != form), default=(0.0, ""))
        chosen, covered = [form, other], best + share * (1 - best)
    if covered < 1 - most_bad:
        return None
    also = next((each for share, _, each in shares[1:] if share == best and _differs(few, form, each)), "")
    return chosen, f"written as {', '.join(chosen)}" + (f"; could be {also} as well" if also else "")


def _share(text: pl.Series, form: str) -> float:
    times = in_format(text, form)
    years = times.dt.year().is_between(UNLIKELY_BEFORE, UNLIKELY_AFTER)
    return float(years.fill_null(False).mean() or 0)  # type: ignore[arg-type]


def _differs(text: pl.Series, form: str, other: str) -> bool:
    return in_format(text, form).to_list() != in_format(text, other).to_list()


def guess_epoch(name: str, values: pl.Series) -> str | None:
    """Unit of numbers that count from 1970, or `%Y%m%d`; None where neither name nor values speak of a time.

    values: numbers, or text of numbers.
    """
    if not speaks_of(name, (*TIME, *LATER, *BEFORE_ALL)):
        return None
    for unit in EPOCH_UNITS:
        years = since_1970(values, unit).dt.year()
        if years.is_between(2000, 2037).fill_null(False).mean() >= 0.95:  # type: ignore[operator]
            return unit
    text = values.cast(pl.String)
    for form, pattern in (("%Y%m%d", r"^\d{8}$"), ("%Y%m%d%H%M%S", r"^\d{14}$")):
        if text.str.contains(pattern).mean() >= 0.95 and _share(text, form) >= 0.95:  # type: ignore[operator]
            return form
    return None
