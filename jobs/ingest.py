"""Loading files into raw tables: append-only, idempotent, bad rows to quarantine, one commit per load.

Files, values, contracts, versions and schemas have modules of their own; this one is the order of events.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC as utc
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from jobs import contracts, loads, quarantine, references, schemas, shifts
from jobs.canonical import HAPPENED, ROW, UTC, Batch, make_batch, table_schema
from jobs.contracts import CHECKS, REASONS, Finding
from jobs.digests import EVENT_DATE
from jobs.files import (
    FOUND,
    KNOWN_AT,
    ColumnNames,
    InputError,
    column_names,
    find_files,
    fingerprint,
    read_column_names,
)
from jobs.inputs import Inputs, absolute
from jobs.lakehouse import Lakehouse
from jobs.stored import Table
from jobs.use_case import Progress, Source, UseCase
from jobs.versions import choose

Days = tuple[date, date]
LOADED_IN = "loaded_in"


@dataclass(frozen=True)
class LoadResult:
    """What one load did."""

    rows_read: int = 0
    appended: int = 0
    already_known: int = 0
    duplicates: int = 0
    """Exact repetitions of a row within the load, dropped."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Reason -> rows of this load in quarantine for it, also those that were there before."""
    not_yet_known: int = 0
    """Sound rows that are known only after `as_of`; a later load brings them."""
    released: int = 0
    """Rows that waited in quarantine and were let in, as what they refer to has arrived."""
    days: tuple[date, ...] = ()
    """Event dates of the appended rows."""
    version: int | None = None
    """Delta version of the raw table after the load."""
    undeclared: tuple[str, ...] = ()
    """Columns of the files that nobody declared, left out."""
    zone_assumed: str | None = None
    """Zone in which timestamps without one were read; None if there were none."""
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0

    def summary(self) -> dict[str, object]:
        """The numbers and names a person wants to see, in words."""
        said: dict[str, object] = {
            "rows read": self.rows_read,
            "appended": self.appended,
            "already known": self.already_known,
            "exact duplicates dropped": self.duplicates,
            "not yet known": self.not_yet_known,
            "released from quarantine": self.released,
            **{f"quarantined: {reason}": rows for reason, rows in self.quarantined.items()},
        }
        if self.undeclared:
            said["columns left out"] = ", ".join(self.undeclared)
        if self.zone_assumed:
            said["timestamps without a zone read as"] = self.zone_assumed
        return said


def describe(
    use_case: UseCase,
    files: Mapping[str, Sequence[Path]],
    columns: Path | None,
    now: datetime | None = None,
) -> Inputs:
    """What to register for `files` (input name -> paths): absolute paths, column names, days of the main source.

    The days are those of the events that hold the contract, none after `now`.
    Raises InputError if the main file or the columns file cannot be used.
    """
    main = use_case.sources[0]
    declared = read_column_names(columns) if columns else {}
    names = column_names(declared, use_case, columns or "")
    known = {s.input for s in use_case.sources}
    if unknown := sorted(set(files) - known):
        raise InputError(f"expected inputs among {sorted(known)}, found {unknown}")
    paths = {name: find_files(given) for name, given in files.items() if given}
    if main.input not in paths:
        raise InputError(f"expected a file of {main.name} (`--{main.input} FILE`), found only {sorted(paths)}")
    days = _event_days(use_case, main, paths[main.input], names, now)
    return Inputs(absolute(paths), *days, columns=declared)


def _event_days(
    use_case: UseCase,
    source: Source,
    paths: Sequence[Path],
    names: ColumnNames,
    now: datetime | None,
) -> Days:
    inspected = schemas.inspect(source, paths, names, {})
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))
    batch = make_batch(source, inspected, names, {})
    checks = contracts.rules(
        source,
        batch.frame.columns,
        names.timezone,
        now or datetime.max.replace(tzinfo=utc),
    )
    good, bad, _ = contracts.split(batch.frame, checks)
    if good.is_empty():
        raise _no_valid_rows(source, paths, batch.frame.height, _tally_reasons(bad), "")
    first, last = good.select(low=pl.col(source.event_time).min(), high=pl.col(source.event_time).max()).row(0)
    return first.date(), last.date()


def default_as_of(inputs: Inputs, now: datetime) -> datetime:
    """Midnight (UTC) after the last event of the main source, or `now` if that is earlier."""
    return min(datetime.combine(inputs.last_day + timedelta(days=1), clock.min, utc), now)


def load(
    lakehouse: Lakehouse,
    use_case: UseCase,
    source: Source,
    inputs: Inputs,
    *,
    as_of: datetime,
    now: datetime,
    days: Days | None = None,
    progress: Progress | None = None,
) -> LoadResult:
    """Append the rows of `inputs` that are new for `source` and known at `as_of` to its raw table.

    Rows that break the contract go to the quarantine table. `now` only tells which events lie in the future; `days`
    (first, last) restricts the load to events of those dates. Loading the same again appends nothing.

    Raises InputError if a file cannot be used or has no valid row, SchemaChanged if its columns are not those
    accepted before; nothing is appended then.
    """
    started = time.monotonic()
    names = column_names(inputs.columns, use_case)
    paths, carrier = resolve(use_case, source, inputs)
    with lakehouse.lock(use_case.raw_table(source)):
        job = _Load(lakehouse, use_case, source, names, carrier, as_of, now, days, progress)
        result = job.run(find_files(paths)) if paths else job.without_file()
    return replace(result, seconds=time.monotonic() - started)


def resolve(use_case: UseCase, source: Source, inputs: Inputs) -> tuple[tuple[Path, ...], Source | None]:
    """The files of `source`, and the source that carries it in its own files, if that is so.

    Raises InputError if a required source has no file.
    """
    if own := inputs.paths(source.input):
        return own, None
    carrier = use_case.source(source.carried_by) if source.carried_by else None
    if carrier is not None and (carried := inputs.paths(carrier.input)):
        return carried, carrier
    if source.required:
        raise InputError(f"{source.name}: expected a file (`--{source.input} FILE`), found none")
    return (), None


@dataclass(frozen=True)
class _Load:
    """One load: its arguments, and the steps from files to a commit."""

    lakehouse: Lakehouse
    use_case: UseCase
    source: Source
    names: ColumnNames
    carrier: Source | None
    as_of: datetime
    now: datetime
    days: Days | None
    progress: Progress | None

    @property
    def table(self) -> str:
        return self.use_case.raw_table(self.source)

    @property
    def state(self) -> Path:
        return self.lakehouse.settings.state

    def without_file(self) -> LoadResult:
        """An optional source without a file has an empty table, so that everything downstream has its source."""
        if not self.lakehouse.exists(self.table):
            identifiers = references.expected_identifiers(self.lakehouse, self.use_case, self.source)
            self._create(table_schema(self.source, identifiers))
        return LoadResult(version=self.lakehouse.version(self.table), findings=tuple(_all_passed()))

    def run(self, files: list[Path]) -> LoadResult:
        known = loads.identity(files, self.names, self.source, self.carrier is not None)
        loaded_in = int(self.lakehouse.state(self.table).get(LOADED_IN, -1))
        remembered = loads.recall(
            self.state, self.use_case, self.source, known,
            loaded_in=loaded_in, as_of=self.as_of, now=self.now, references=self._reference_versions(),
        )  # fmt: skip
        if remembered is not None:
            return self._unchanged(remembered)
        expected = references.expected_identifiers(self.lakehouse, self.use_case, self.source)
        batch = self._read(files, expected)
        self._report(1)
        identifiers = {**batch.schema.columns, **expected}
        return self._append(batch, identifiers, known, max(loaded_in, 0))

    def _report(self, step: int) -> None:
        if self.progress:
            self.progress(step, 4)

    def _unchanged(self, remembered: Mapping[str, Any]) -> LoadResult:
        return LoadResult(
            rows_read=remembered["rows"],
            already_known=remembered["held"],
            duplicates=remembered["duplicates"],
            quarantined=remembered["quarantined"],
            not_yet_known=remembered["not_yet_known"],
            version=self.lakehouse.version(self.table),
            undeclared=tuple(remembered["undeclared"]),
            zone_assumed=remembered["zone_assumed"],
            findings=(
                *contracts.findings(remembered["tally"], remembered["rows"], remembered["quarantined"]),
                *shifts.findings(self.source, [], pl.DataFrame(), pl.DataFrame()),
            ),
        )

    def _reference_versions(self) -> dict[str, int | None]:
        tables = {references.target(self.use_case, r)[0] for r in self.source.references.values()}
        return {table: self.lakehouse.version(table) for table in sorted(tables)}

    def _read(self, files: list[Path], expected: Mapping[str, str]) -> Batch:
        declared = [
            n
            for s in self.use_case.sources
            if s.carried_by == self.source.name
            for n in (c.file_name for c in s.columns)
        ]
        inspected = schemas.inspect(self.source, files, self.names, expected, self.carrier, declared)
        schemas.check(
            schemas.folder(self.state, self.use_case),
            self.source,
            inspected,
            self.use_case.name,
        )
        references.check_types(self.source, inspected.schema, expected)
        batch = make_batch(self.source, inspected, self.names, expected)
        if batch.frame.is_empty() and self.carrier is None:
            paths = ", ".join(map(str, files))
            raise InputError(f"{paths}: expected rows of {self.source.name}, found none; deliver the file again")
        return batch

    def _append(self, batch: Batch, identifiers: Mapping[str, str], known: str, loaded_in: int) -> LoadResult:
        source = self.source
        checks = contracts.rules(source, batch.frame.columns, self.names.timezone, self.now)
        good, bad, tally = contracts.split(batch.frame, checks)
        good = _slim(source, good).with_columns(pl.col(source.event_time).dt.date().alias(EVENT_DATE))
        wanted = self._wanted()
        visible = good.filter(pl.col(KNOWN_AT) <= pl.lit(self.as_of, UTC))
        table = Table(self.lakehouse, self.use_case, source, batch.versioned, loaded_in)
        stored = None if table.empty else table
        choice = choose(visible, wanted, source, versioned=batch.versioned, as_of=self.as_of, stored=stored)
        self._report(2)
        fresh, orphans = references.split(self.lakehouse, self.use_case, source, choice.new)
        released, waiting = self._release(visible, stored)
        refused = self._with_found(batch, choice.refused)
        if self.days is not None:
            day = pl.col(source.event_time).dt.date()
            bad = bad.filter(day.is_between(*self.days) | day.is_null())
        bad_rows = [rows for rows in (bad, refused, orphans) if not rows.is_empty()]
        entries = [quarantine.entries(rows, batch.files, self.as_of) for rows in bad_rows]
        if entries:
            quarantine.append(self.lakehouse, self.table, pl.concat(entries))
        reasons = Counter[str]()
        for rows in bad_rows:
            reasons.update(_tally_reasons(rows))
        if good.is_empty() and not batch.frame.is_empty():
            raise _no_valid_rows(
                source,
                batch.files,
                batch.frame.height,
                reasons,
                quarantine.table_of(self.table),
            )
        self._report(3)
        new = pl.concat([fresh.select(released.columns), released])
        version = self._commit(batch, new, identifiers, loaded_in + 1)
        table.keep(new, loaded_in + 1 if new.height else loaded_in)
        schemas.record(schemas.folder(self.state, self.use_case), source, batch.schema)
        tally = {**tally, "uniqueness": refused.height, "references": orphans.height}
        late = good.filter(wanted & (pl.col(KNOWN_AT) > pl.lit(self.as_of, UTC)))
        days = tuple(new[EVENT_DATE].unique().sort())
        read = batch.frame.height
        result = LoadResult(
            rows_read=read,
            appended=new.height,
            already_known=choice.already_known,
            duplicates=choice.duplicates,
            quarantined=dict(reasons),
            not_yet_known=late.height,
            released=released.height,
            days=days,
            version=version,
            undeclared=batch.schema.undeclared,
            zone_assumed=batch.zone_assumed,
            findings=(
                *contracts.findings(tally, read, reasons),
                *shifts.findings(source, days, pl.DataFrame(), pl.DataFrame()),
            ),
        )
        self._remember(batch, known, result, tally, late, waiting + orphans.height)
        self._report(4)
        return result

    def _wanted(self) -> pl.Expr:
        return pl.lit(True) if self.days is None else pl.col(EVENT_DATE).is_between(*self.days)

    def _with_found(self, batch: Batch, refused: pl.DataFrame) -> pl.DataFrame:
        found = [c for c in batch.frame.columns if c.startswith(FOUND)]
        return refused.join(batch.frame.select(ROW, *found), on=ROW, how="left", maintain_order="left")

    def _release(self, visible: pl.DataFrame, stored: Table | None) -> tuple[pl.DataFrame, int]:
        """Rows from quarantine that may go in now, and how many go on waiting."""
        source = self.source
        kinds = references.types(source, visible)
        waiting = (
            quarantine.waiting(self.lakehouse, self.table, kinds)
            if source.references
            else visible.clear().select(*kinds)
        )
        waiting = waiting.with_columns(pl.col(source.event_time).dt.date().alias(EVENT_DATE))
        if waiting.is_empty():
            return waiting, 0
        identity = list(dict.fromkeys([*source.key, KNOWN_AT]))
        if stored is not None:
            held = stored.of(waiting.select(source.key).unique())
            waiting = waiting.join(held, on=identity, how="anti", maintain_order="left")
        # A row that the files of this load hold too has been judged with them.
        waiting = waiting.join(visible, on=identity, how="anti", maintain_order="left")
        waiting = waiting.unique(identity, keep="first", maintain_order=True)
        released, still = references.split(self.lakehouse, self.use_case, source, waiting)
        return released.filter(pl.col(KNOWN_AT) <= pl.lit(self.as_of, UTC)), still.height

    def _commit(
        self,
        batch: Batch,
        new: pl.DataFrame,
        identifiers: Mapping[str, str],
        number: int,
    ) -> int | None:
        schema = table_schema(self.source, identifiers)
        if new.is_empty():
            if not self.lakehouse.exists(self.table):
                self._create(schema)
            return self.lakehouse.version(self.table)
        contracts.prove(self.source, new.drop(EVENT_DATE), identifiers)
        rows = new.with_columns(pl.lit(number, pl.Int64).alias(LOADED_IN)).select(schema.names)
        state = {
            LOADED_IN: number,
            "as_of": self.as_of.isoformat(),
            "files": {str(p): fingerprint(p) for p in batch.files},
        }
        return self.lakehouse.write(
            self.table, rows.to_arrow().cast(schema), mode="append", schema=schema, rows=rows.height,
            partition_by=[EVENT_DATE], state=state,
        )  # fmt: skip

    def _create(self, schema: pa.Schema) -> None:
        from pyspark.sql.pandas.types import from_arrow_schema

        empty = self.lakehouse.spark.createDataFrame([], from_arrow_schema(schema))
        self.lakehouse.write(
            self.table,
            empty,
            mode="append",
            schema=schema,
            rows=None,
            partition_by=[EVENT_DATE],
            state={LOADED_IN: 0},
        )

    def _remember(
        self,
        batch: Batch,
        known: str,
        result: LoadResult,
        tally: Mapping[str, int],
        late: pl.DataFrame,
        waiting: int,
    ) -> None:
        if self.days is not None:
            return
        future = batch.frame.filter(pl.col(HAPPENED) > pl.lit(self.now, UTC))[HAPPENED].min()
        next_known = late[KNOWN_AT].min()
        entry = {
            LOADED_IN: int(self.lakehouse.state(self.table).get(LOADED_IN, 0)),
            "next_known_at": next_known.isoformat() if isinstance(next_known, datetime) else None,
            "next_event": future.isoformat() if isinstance(future, datetime) else None,
            "rows": result.rows_read,
            "held": result.appended + result.already_known,
            "duplicates": result.duplicates,
            "quarantined": dict(result.quarantined),
            "not_yet_known": result.not_yet_known,
            "undeclared": result.undeclared,
            "zone_assumed": result.zone_assumed,
            "tally": dict(tally),
        }
        loads.remember(
            self.state, self.use_case, self.source, known, entry,
            waiting=waiting, references=self._reference_versions(),
        )  # fmt: skip


def _slim(source: Source, good: pl.DataFrame) -> pl.DataFrame:
    names = dict.fromkeys([*(c.name for c in source.columns), KNOWN_AT, ROW, "_file"])
    return good.select(*names)


def _tally_reasons(bad: pl.DataFrame) -> dict[str, int]:
    counted = bad[REASONS].explode().value_counts(sort=True)
    return {reason: rows for reason, rows in counted.iter_rows() if reason is not None}


def _no_valid_rows(
    source: Source,
    paths: Sequence[Path],
    rows: int,
    reasons: Mapping[str, int],
    table: str,
) -> InputError:
    why = "; ".join(f"{reason} ({n} rows)" for reason, n in list(reasons.items())[:5])
    where = f" The rows are in {table}." if table else ""
    return InputError(
        f"{', '.join(map(str, paths))}: expected valid rows of {source.name}, found none among {rows}: {why}.{where} "
        "Mend the file, or declare what it holds in a columns file (`--columns`)"
    )


def _all_passed() -> list[Finding]:
    return [Finding(name, True, False, description) for name, (description, _) in CHECKS.items()]
