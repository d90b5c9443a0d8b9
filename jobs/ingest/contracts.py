"""Contracts of raw data: which rows are good, why the others are not, and the proof of what goes into a table.

What a column demands is derived once, in `column_checks`. What happens to bad rows: see `jobs.ingest.quarantine`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from jobs.errors import EvergreenError
from jobs.ingest import kept_declarations, schemas, vectors
from jobs.ingest.calendar import FIRST, LAST
from jobs.ingest.csv_records import MALFORMED, STRAY_TEXT, TOO_MANY
from jobs.ingest.identifiers import identifier_fault
from jobs.ingest.parsing import HAPPENED, TYPES, UTC, kind_in_table
from jobs.ingest.readers import FOUND, KNOWN_AT
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.use_case import Column, Source, UseCase

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema


DAY, YEAR = timedelta(days=1), timedelta(days=365.25)
WITH_VALUES = (TOO_MANY, STRAY_TEXT)
"""Why a row is no record although it has values; of one that is none for any other reason there are none."""
REASONS, COLUMNS = "_reasons", "_columns"
"""Columns of bad rows: list of reasons, list of the columns they are about."""

CHECKS: dict[str, tuple[str, bool]] = {
    "schema": ("The file has the columns and types accepted before.", True),
    "types": ("Every value parses as the declared type.", True),
    "nullability": ("Columns that must have a value have one.", True),
    "finite_numbers": ("No number is NaN or infinite.", True),
    "ranges": ("Numbers lie between their declared bounds.", True),
    "not_in_the_future": ("No event happened after the present.", True),
    "plausible_times": ("No event or arrival is older than is plausible, no arrival lies in the future.", True),
    "uniqueness": (
        "A key has one content at any time; a changed row is a correction that says since when.",
        True,
    ),
    "references": ("Whatever a row is about has arrived.", True),
    "known_after_event": ("Nothing was known of an event before it happened.", True),
    "volume": ("As many rows a day as on the days before.", False),
    "missing_rate": ("As many missing values as on the days before.", False),
    "distribution": ("Numbers are distributed as on the days before.", False),
}
"""Check -> its description, and whether it can hold back what is downstream."""


class ContractBroken(EvergreenError, RuntimeError):
    """Rows about to be appended break the contract: nothing was written."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, as it is to be shown: a check that blocks holds back everything downstream."""

    name: str
    passed: bool
    blocking: bool
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RowCheck:
    """One way in which a row breaks a contract."""

    contract: str
    column: str
    reason: str
    broken: pl.Expr
    detail: pl.Expr | None = None
    """What is told instead of `reason`, where that depends on the row."""


def row_checks(source: Source, columns: Sequence[str], zone: str, now: datetime) -> list[RowCheck]:
    """All checks for the rows of a batch of these columns, in UTC seen from `now`."""
    why = pl.col(MALFORMED)
    checks = [RowCheck("types", "", "no record", why.is_not_null(), why)]
    declared = [*source.columns, *([Column(KNOWN_AT, "timestamp")] if FOUND + KNOWN_AT in columns else [])]
    checks += [check for column in declared for check in _checks_in_file(column, FOUND + column.name in columns, zone)]
    future = pl.col(HAPPENED) > pl.lit(now, UTC)
    reason = f"{source.event_time}: in the future"
    checks.append(RowCheck("not_in_the_future", source.event_time, reason, future))
    return [*checks, *(check for c in declared if c.kind == "timestamp" for check in _time_checks(source, c, now))]


def _time_checks(source: Source, column: Column, now: datetime) -> list[RowCheck]:
    """An event and its arrival lie in the plausible span of the source, any other time in the calendar."""
    name, value = column.name, pl.col(column.name)
    arrivals = {source.known_at, KNOWN_AT} - {source.event_time}
    if name not in {source.event_time, *arrivals}:
        outside = ~value.is_between(pl.lit(FIRST, UTC), pl.lit(LAST, UTC))
        return [RowCheck("types", name, f"{name}: no timestamp of the years 1 to 9999", outside)]
    years = round(source.plausible_age / YEAR)
    old = too_old(source, name, now)
    checks = [RowCheck("plausible_times", name, f"{name}: implausible, more than {years} years ago", old)]
    if name in arrivals:
        # Clocks differ, and a date without a time may mean a day that has not ended.
        ahead = value > pl.lit(now + DAY, UTC)
        checks.append(RowCheck("plausible_times", name, f"{name}: implausible, more than a day in the future", ahead))
    return checks


def too_old(source: Source, column: str, now: datetime) -> pl.Expr:
    """Whether a time of a row is of longer ago than is plausible."""
    return pl.col(column) < pl.lit(now - source.plausible_age, UTC)


@cache  # as expressions cost more to make than to find some messages whole by them
def _checks_in_file(column: Column, in_file: bool, zone: str) -> tuple[RowCheck, ...]:
    """The checks of a column, and that every value that a file has of it was parsed; such a value is not missing."""
    name, why = column.name, pl.col(MALFORMED)
    # What is no record lacks every value for that reason alone.
    is_record = why.is_null() | why.is_in(WITH_VALUES)
    is_found = pl.col(FOUND + name).is_not_null() if in_file else pl.lit(False)
    kind = f"timestamp that exists in {zone}" if column.kind == "timestamp" and zone != "UTC" else column.kind
    detail = identifier_fault(name) if in_file and column.kind == "identifier" else None
    checks = [RowCheck("types", name, f"{name}: no {kind}", pl.col(name).is_null() & is_found, detail)]
    for check in column_checks(column, in_file):
        is_missing = check.contract == "nullability"
        checks.append(replace(check, broken=check.broken & ~is_found & is_record) if is_missing else check)
    return tuple(checks)


def column_checks(column: Column, in_file: bool) -> list[RowCheck]:
    """What a declared column demands of its values: the one derivation, of reasons and of the table's contract.

    An optional column may be null where the file lacks it (`in_file`), and so in the table.
    """
    name, value = column.name, pl.col(column.name)
    checks = []
    if not column.nullable and not (column.optional and not in_file):
        checks.append(RowCheck("nullability", name, f"{name}: missing", value.is_null()))
    if column.kind == "number":
        checks.append(RowCheck("finite_numbers", name, f"{name}: NaN or infinite", ~value.is_finite()))
    if column.kind == "vector":
        length, reason = vectors.length(value), f"{name}: not {column.length} floats"
        found = pl.format("{}: expected {} floats, found {}", pl.lit(name), pl.lit(column.length), length)
        checks.append(RowCheck("types", name, reason, length != column.length, found))
        reason = f"{name}: an element is NaN, infinite or no number"
        checks.append(RowCheck("finite_numbers", name, reason, vectors.has_no_number(value)))
    finite = value.is_finite() if column.kind == "number" else pl.lit(True)
    if column.minimum is not None:
        reason = f"{name}: below {column.minimum:g}"
        checks.append(RowCheck("ranges", name, reason, finite & (value < column.minimum)))
    if column.maximum is not None:
        reason = f"{name}: above {column.maximum:g}"
        checks.append(RowCheck("ranges", name, reason, finite & (value > column.maximum)))
    return checks


def split(frame: pl.DataFrame, checks: Sequence[RowCheck]) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Good rows, bad rows with their reasons, and how many rows broke each contract."""
    counts = frame.select(pl.sum_horizontal(r.broken.sum()).alias(str(n)) for n, r in enumerate(checks)).row(0)
    broken = [r for r, count in zip(checks, counts, strict=True) if count]
    if not broken:
        return frame, with_reasons(frame.clear(), [], []), {}
    is_bad = pl.any_horizontal(r.broken.fill_null(False) for r in broken)
    bad = frame.filter(is_bad)
    contracts = dict.fromkeys(r.contract for r in broken)
    tally = bad.select(
        pl.any_horizontal(r.broken.fill_null(False) for r in broken if r.contract == c).sum().alias(c)
        for c in contracts
    )
    return frame.filter(~is_bad), _explained(bad, broken), tally.row(0, named=True)


def _explained(bad: pl.DataFrame, broken: Sequence[RowCheck]) -> pl.DataFrame:
    told = [pl.lit(r.reason) if r.detail is None else r.detail for r in broken]
    reasons = pl.concat_list(pl.when(r.broken).then(t) for r, t in zip(broken, told, strict=True)).list.drop_nulls()
    columns = pl.concat_list(pl.when(r.broken).then(pl.lit(r.column)) for r in broken).list.drop_nulls()
    return bad.with_columns(reasons.alias(REASONS), columns.list.unique(maintain_order=True).alias(COLUMNS))


def with_reasons(rows: pl.DataFrame, reasons: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    """`rows` as bad rows, all for the same reasons."""
    return rows.with_columns(_texts(tuple(reasons)).alias(REASONS), _texts(tuple(columns)).alias(COLUMNS))


@lru_cache
def _texts(texts: tuple[str, ...]) -> pl.Expr:
    return pl.lit(pl.Series([list(texts)], dtype=pl.List(pl.String))).first()


def contract(source: Source, identifiers: Mapping[str, str]) -> "DataFrameSchema":
    """The pandera schema of the rows of a raw table (without `event_date` and `loaded_in`)."""
    import pandera.polars as pandera

    columns = {c.name: _pandera_column(c, identifiers) for c in source.columns}
    return pandera.DataFrameSchema(
        {**columns, KNOWN_AT: pandera.Column(UTC, nullable=False)},
        unique=list(dict.fromkeys([*source.key, KNOWN_AT])),
        name=source.name,
    )


def _pandera_column(column: Column, identifiers: Mapping[str, str]) -> Any:
    import pandera.polars as pandera

    checks = column_checks(column, in_file=False)
    return pandera.Column(
        TYPES[kind_in_table(column, identifiers)],
        checks=[pandera.Check(_holds(check), name=check.reason) for check in checks if check.contract != "nullability"],
        nullable=all(check.contract != "nullability" for check in checks),
    )


def _holds(check: RowCheck) -> Callable[[Any], pl.LazyFrame]:
    def holds(data: Any) -> pl.LazyFrame:
        frame: pl.LazyFrame = data.lazyframe
        return frame.select(~check.broken.fill_null(False))

    return holds


def prove(source: Source, rows: pl.DataFrame, identifiers: Mapping[str, str]) -> None:
    """Validate rows that are about to be appended. Raises ContractBroken if any contract does not hold."""
    import pandera.errors

    try:
        contract(source, identifiers).validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as error:
        raise ContractBroken(
            f"{source.name}: expected {rows.height} rows that hold the contract, found:\n{error.failure_cases}"
        ) from error


def findings(tally: Mapping[str, int], rows: int, reasons: Mapping[str, int]) -> list[Finding]:
    """One finding per contract: bad rows are in quarantine, so they warn and do not block what is downstream."""
    return [
        Finding(
            name=name,
            passed=not tally.get(name),
            blocking=False,
            description=description,
            metadata={
                "rows_checked": rows,
                "rows_quarantined": tally.get(name, 0),
                "reasons": dict(reasons),
            }
            if tally.get(name)
            else {"rows_checked": rows, "rows_quarantined": 0},
        )
        for name, (description, is_contract) in CHECKS.items()
        if is_contract
    ]


def accept(settings: Settings, use_case: UseCase, source: Source) -> list[str]:
    """Make the changed schema that stopped a load of `source` the accepted one; returns what was done, line by line.

    Raises InputError, with the reasons, if rows of that schema cannot go into the table.
    """
    folder = schemas.folder(settings.state, use_case)
    if schemas.recorded(folder, source, pending=True) is None:
        return [f"{source.name}: no changed schema waits to be accepted"]
    lakehouse = Lakehouse(settings)
    kept_declarations.expect(lakehouse, use_case, source)
    identifiers = stored_identifiers(lakehouse, use_case, source)
    return [f"{source.name}: accepted: {line}" for line in schemas.accept(folder, source, identifiers)]


def stored_identifiers(lakehouse: Lakehouse, use_case: UseCase, source: Source) -> dict[str, str]:
    """Types of the identifier columns of a raw table that holds rows: `integer` or `string`."""
    table = use_case.raw_table(source)
    if not lakehouse.state(table).get("loaded_in"):
        return {}
    kinds = {f.name: f.type for f in lakehouse.schema(table)}
    return {
        c.name: "integer" if kinds[c.name] == "int64" else "string"
        for c in source.columns
        if c.kind == "identifier" and c.name in kinds
    }
