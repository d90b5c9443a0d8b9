"""The card-payment simulator, as tables and files: payments, late fraud reports, profiles, and the full truth.
What the world is made of is in simulate_world (values), simulate_people (who) and simulate_day (what happens)."""

import os
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jobs import unfinished
from jobs.arrays import Floats, Ints
from jobs.errors import Invalid
from jobs.simulate.day import KINDS, LEGITIMATE, Payments, payments
from jobs.simulate.people import CATEGORIES, people, stream
from jobs.simulate.world import REGIONS, SCENARIOS, World, scenario

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SCENARIOS", "World", "customers", "reports", "scenario", "terminals", "transactions", "truth", "write"]

# Ids read as date and rank, 20260101_0000001, and stay below 2**53 so that no tool rounds them.
IDS_PER_DAY = 10_000_000
_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()


def transactions(world: World, first_day: date | None = None, last_day: date | None = None) -> "pa.Table":
    """Payments of the days given (both included; default: the whole world), by time.

    Columns: TRANSACTION_ID int64 (unique, rising with time), TX_DATETIME timestamp[us, UTC] (whole seconds),
    CUSTOMER_ID int64, TERMINAL_ID int64, TX_AMOUNT double (two decimals). Raises ValueError for days outside the world.
    """
    return _together([_transactions(day, payments(world, day)) for day in _days(world, first_day, last_day)])


def reports(world: World, first_day: date | None = None, last_day: date | None = None) -> "pa.Table":
    """What investigations report about the payments of these days, on whatever later day they do, by time of report.

    Columns: TRANSACTION_ID int64, TX_FRAUD int8, FRAUD_REPORTED_AT timestamp[us, UTC]. Most reports say 1; a 0 is a
    disputed payment found good, or (with `Reporting.withdrawn`) the second report of an id, which withdraws the first.
    A payment that was blocked gets no report: a caller that blocks leaves its ids out.
    """
    days = _days(world, first_day, last_day)
    return _by_report_time(_together([_reports(world, day, payments(world, day)) for day in days]))


def truth(world: World, first_day: date | None = None, last_day: date | None = None) -> "pa.Table":
    """The full truth, for tests and for judging a replay, never for a feature.

    Columns: TRANSACTION_ID int64, IS_FRAUD bool, KIND string (one of KINDS); one row per payment.
    """
    return _together([_truth(day, payments(world, day)) for day in _days(world, first_day, last_day)])


def customers(world: World) -> "pa.Table":
    """Card holders who joined by the world's last day: CUSTOMER_ID int64, X, Y double (km), REGION string,
    JOINED_AT timestamp[us, UTC] (the profile is known from then on)."""
    import pyarrow as pa

    customers = people(world).customers
    present = np.flatnonzero(customers.joined <= world.last_day.toordinal())
    return pa.table(
        {
            "CUSTOMER_ID": present,
            **_place(customers.place[present], customers.region[present]),
            "JOINED_AT": _midnight(customers.joined[present]),
        }
    )


def terminals(world: World) -> "pa.Table":
    """Terminals opened by the world's last day: TERMINAL_ID int64, X, Y double (km), REGION, CATEGORY string,
    OPENED_AT timestamp[us, UTC] (the profile is known from then on)."""
    import pyarrow as pa

    terminals = people(world).terminals
    present = np.flatnonzero(terminals.opened <= world.last_day.toordinal())
    return pa.table(
        {
            "TERMINAL_ID": present,
            **_place(terminals.place[present], terminals.region[present]),
            "CATEGORY": pa.array(np.array(list(CATEGORIES))[terminals.category[present]].tolist(), pa.string()),
            "OPENED_AT": _midnight(terminals.opened[present]),
        }
    )


def write(
    world: World,
    directory: str | os.PathLike[str],
    format: str = "parquet",
    *,
    truth: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Write transactions, reports, customers and terminals (and the truth, if asked for) as files into a directory.

    Each file appears whole or not at all, and the transactions last. `progress` is called with (days done, days).
    Returns the file of each table. Raises ValueError for a format other than "parquet" and "csv".
    """
    if format not in ("parquet", "csv"):
        raise Invalid(f"format: expected parquet or csv, found {format!r}")
    tables_by_kind: dict[str, list[pa.Table]] = {"truth": [], "reports": [], "transactions": []}
    for done, day in enumerate(_days(world, None, None), start=1):
        today = payments(world, day)
        tables_by_kind["transactions"].append(_transactions(day, today))
        tables_by_kind["reports"].append(_reports(world, day, today))
        if truth:
            tables_by_kind["truth"].append(_truth(day, today))
        if progress is not None:
            progress(done, world.days)
    tables = {"customers": customers(world), "terminals": terminals(world)}
    tables |= {name: _together(parts) for name, parts in tables_by_kind.items() if parts}
    tables["reports"] = _by_report_time(tables["reports"])
    unfinished.sweep(Path(directory))
    return {name: _write_whole(table, Path(directory) / f"{name}.{format}") for name, table in tables.items()}


def _write_whole(table: "pa.Table", path: Path) -> Path:
    import pyarrow.csv
    import pyarrow.parquet

    with unfinished.file_beside(path) as temporary:
        if path.suffix == ".csv":
            pyarrow.csv.write_csv(table, temporary)
        else:
            pyarrow.parquet.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    return path


def _days(world: World, first: date | None, last: date | None) -> Iterator[date]:
    first, last = first or world.start, last or world.last_day
    if not world.start <= first <= last <= world.last_day:
        raise Invalid(f"days: expected a range within {world.start}..{world.last_day}, found {first}..{last}")
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def _together(tables: "list[pa.Table]") -> "pa.Table":
    import pyarrow as pa

    return pa.concat_tables(tables).combine_chunks()


def _by_report_time(table: "pa.Table") -> "pa.Table":
    return table.sort_by([("FRAUD_REPORTED_AT", "ascending"), ("TRANSACTION_ID", "ascending")])


def _transactions(day: date, payments: Payments) -> "pa.Table":
    import pyarrow as pa

    return pa.table(
        {
            "TRANSACTION_ID": _ids(day, payments),
            "TX_DATETIME": _instants(_microseconds(day, payments)),
            "CUSTOMER_ID": payments.customer,
            "TERMINAL_ID": payments.terminal,
            "TX_AMOUNT": payments.amount,
        }
    )


def _truth(day: date, payments: Payments) -> "pa.Table":
    import pyarrow as pa

    kinds = pa.DictionaryArray.from_arrays(payments.kind.astype(np.int8), pa.array(KINDS)).cast(pa.string())
    return pa.table({"TRANSACTION_ID": _ids(day, payments), "IS_FRAUD": payments.kind != LEGITIMATE, "KIND": kinds})


def _reports(world: World, day: date, payments: Payments) -> "pa.Table":
    import pyarrow as pa

    rules, rng = world.reporting_on(day), stream(world.seed, "reports", day.toordinal())
    count = len(payments.kind)
    # One draw per payment, used or not: a change of who is guilty leaves every other delay as it was.
    luck, delay, second_delay = rng.random(count), rng.standard_normal(count), rng.standard_normal(count)
    fraud = payments.kind != LEGITIMATE
    reported = fraud & (luck >= rules.never)
    disputed = ~fraud & (luck < rules.disputed)
    mistaken = ~fraud & (luck >= rules.disputed) & (luck < rules.disputed + rules.withdrawn)
    rows = np.concatenate([np.flatnonzero(which) for which in (reported, mistaken, disputed, mistaken)])
    verdict = np.repeat([1, 1, 0, 0], [which.sum() for which in (reported, mistaken, disputed, mistaken)])
    at = _microseconds(day, payments) + _delay(rules.median_days, rules.sigma, delay)
    at_end = at + _delay(rules.median_days, rules.sigma, second_delay)
    again = np.arange(len(rows)) >= len(rows) - mistaken.sum()
    return pa.table(
        {
            "TRANSACTION_ID": _ids(day, payments)[rows],
            "TX_FRAUD": verdict.astype(np.int8),
            "FRAUD_REPORTED_AT": _instants(np.where(again, at_end[rows], at[rows])),
        }
    )


def _delay(median_days: float, sigma: float, normal: Floats) -> Ints:
    """A lognormal delay in microseconds, whole seconds, at least one."""
    seconds = np.maximum(1, np.round(median_days * 86_400 * np.exp(sigma * normal)))
    delay: Ints = seconds.astype(np.int64) * 1_000_000
    return delay


def _ids(day: date, payments: Payments) -> Ints:
    if len(payments.second) >= IDS_PER_DAY:
        raise Invalid(
            f"payments on {day}: expected fewer than {IDS_PER_DAY}, found {len(payments.second)}; simulate less"
        )
    first = int(day.strftime("%Y%m%d")) * IDS_PER_DAY + 1
    ids: Ints = np.arange(first, first + len(payments.second), dtype=np.int64)
    return ids


def _microseconds(day: date, payments: Payments) -> Ints:
    at: Ints = (day.toordinal() - _EPOCH) * _DAY + payments.second * 1_000_000
    return at


def _midnight(ordinals: Ints) -> "pa.Array":
    return _instants((ordinals - _EPOCH) * _DAY)


def _instants(microseconds: Ints) -> "pa.Array":
    import pyarrow as pa

    return pa.array(microseconds, pa.int64()).cast(pa.timestamp("us", "UTC"))


def _place(place: Floats, region: Ints) -> "dict[str, pa.Array]":
    import pyarrow as pa

    names = pa.array(np.array(REGIONS)[region].tolist(), pa.string())
    return {"X": pa.array(place[:, 0]), "Y": pa.array(place[:, 1]), "REGION": names}
