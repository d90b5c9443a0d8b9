"""Contracts of raw data: which rows are good, why the others are not, and the proof of what goes into a table.

The rules follow from the declared columns. What happens to bad rows is `jobs.ingest.quarantine`'s business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from jobs.ingest import schemas
from jobs.ingest.parsing import HAPPENED, UTC, kind_in_table
from jobs.ingest.readers import FOUND, KNOWN_AT, RAGGED
from jobs.ingest.schemas import SchemaChanged
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.use_case import Column, Source, UseCase

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

__all__ = ["CHECKS", "ContractBroken", "Finding", "SchemaChanged", "accept"]

REASONS, COLUMNS = "_reasons", "_columns"
"""Columns of bad rows: list of reasons, list of the columns they are about."""

CHECKS: dict[str, tuple[str, bool]] = {
    "schema": ("The file has the columns and types accepted before.", True),
    "types": ("Every value parses as the declared type.", True),
    "nullability": ("Columns that must have a value have one.", True),
    "finite_numbers": ("No number is NaN or infinite.", True),
    "ranges": ("Numbers lie between their declared bounds.", True),
    "not_in_the_future": ("No event happened after the present.", True),
    "uniqueness": (
        "A key has one content at any time; a changed row is a correction that says since when.",
        True,
    ),
    "references": ("Whatever a row is about has arrived.", True),
    "volume": ("As many rows a day as on the days before.", False),
    "missing_rate": ("As many missing values as on the days before.", False),
    "distribution": ("Numbers are distributed as on the days before.", False),
}
"""Check -> what it says, and whether it can hold back what is downstream."""


class ContractBroken(RuntimeError):
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


def rules(source: Source, found: Sequence[str], zone: str, now: datetime) -> list[RowCheck]:
    """All rules for the rows of a batch that has the columns `found`, in UTC seen from `now`."""
    all_rules = []
    if RAGGED in found:
        reason = "more fields than the header has columns"
        all_rules.append(RowCheck("types", "", reason, pl.col(RAGGED).fill_null(0) > 0))
    all_rules += [rule for c in source.columns for rule in _column_rules(c, found, zone)]
    if FOUND + KNOWN_AT in found:
        all_rules += _column_rules(Column(KNOWN_AT, "timestamp"), found, zone)
    future = pl.col(HAPPENED) > pl.lit(now, UTC)
    all_rules.append(
        RowCheck(
            "not_in_the_future",
            source.event_time,
            f"{source.event_time}: in the future",
            future,
        )
    )
    return all_rules


def _column_rules(column: Column, found: Sequence[str], zone: str) -> list[RowCheck]:
    name, value = column.name, pl.col(column.name)
    is_found = pl.col(FOUND + name).is_not_null() if FOUND + name in found else pl.lit(False)
    kind = f"timestamp that exists in {zone}" if column.kind == "timestamp" and zone != "UTC" else column.kind
    checks = [RowCheck("types", name, f"{name}: no {kind}", value.is_null() & is_found)]
    if not column.nullable and not (column.optional and FOUND + name not in found):
        checks.append(RowCheck("nullability", name, f"{name}: missing", value.is_null() & ~is_found))
    if column.kind == "number":
        checks.append(RowCheck("finite_numbers", name, f"{name}: NaN or infinite", ~value.is_finite()))
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
    reasons = pl.concat_list(pl.when(r.broken).then(pl.lit(r.reason)) for r in broken).list.drop_nulls()
    columns = pl.concat_list(pl.when(r.broken).then(pl.lit(r.column)) for r in broken).list.drop_nulls()
    return bad.with_columns(reasons.alias(REASONS), columns.list.unique(maintain_order=True).alias(COLUMNS))


def with_reasons(rows: pl.DataFrame, reasons: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    """`rows` as bad rows, all for the same reasons."""
    kind = pl.List(pl.String)
    return rows.with_columns(
        pl.lit(pl.Series([list(reasons)], dtype=kind)).first().alias(REASONS),
        pl.lit(pl.Series([list(columns)], dtype=kind)).first().alias(COLUMNS),
    )


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

    kinds = {
        "timestamp": UTC,
        "number": pl.Float64(),
        "integer": pl.Int64(),
        "boolean": pl.Boolean(),
    }
    checks = []
    if column.kind == "number":
        checks.append(pandera.Check(_finite, name="finite"))
    if column.minimum is not None:
        checks.append(pandera.Check.ge(column.minimum))
    if column.maximum is not None:
        checks.append(pandera.Check.le(column.maximum))
    kind = kinds.get(kind_in_table(column, identifiers), pl.String())
    return pandera.Column(kind, checks=checks, nullable=column.nullable or column.optional)


def _finite(data: Any) -> pl.LazyFrame:
    frame: pl.LazyFrame = data.lazyframe
    return frame.select(pl.col(data.key).is_finite())


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
    """Make the changed schema that stopped a load of `source` the accepted one; says what was done, line by line.

    Raises InputError, with the reasons, if rows of that schema cannot go into the table.
    """
    folder = schemas.folder(settings.state, use_case)
    if schemas.recorded(folder, source, pending=True) is None:
        return [f"{source.name}: no changed schema waits to be accepted"]
    held = stored_identifiers(Lakehouse(settings), use_case, source)
    return [f"{source.name}: accepted: {line}" for line in schemas.accept(folder, source, held)]


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
