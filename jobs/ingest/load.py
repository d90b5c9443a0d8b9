"""Loading files into raw tables: append-only, idempotent, bad rows to quarantine, one commit per load.

Files, values, contracts, versions and schemas have modules of their own; this one is the order of events.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC as utc
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from jobs.ingest import contracts, inspection, load_warnings, quarantine, references, schemas
from jobs.ingest.contracts import REASONS
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.load_memory import LoadResult, Memory, Remembered, identity
from jobs.ingest.parsing import HAPPENED, ROW, UTC, Batch, make_batch, table_schema
from jobs.ingest.raw_table import Table, rows_per_day, table_id
from jobs.ingest.readers import (
    FILE,
    FOUND,
    KNOWN_AT,
    ColumnNames,
    column_names,
    find_files,
    fingerprint,
    read_column_names,
)
from jobs.ingest.registered_inputs import InputError, Inputs, absolute
from jobs.ingest.row_versions import TOO_SOON, Choice, choose
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Progress, Source, UseCase

__all__ = ["InputError", "LoadResult", "describe", "load", "resolve"]

Days = tuple[date, date]
LOADED_IN = "loaded_in"


def describe(
    use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None, now: datetime | None = None
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
    days = _event_days(main, paths[main.input], names, now or datetime.max.replace(tzinfo=utc))
    return Inputs(absolute(paths), *days, columns=declared)


def _event_days(source: Source, paths: Sequence[Path], names: ColumnNames, now: datetime) -> Days:
    inspected = inspection.inspect(source, paths, names, {})
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))
    batch = make_batch(source, inspected, names, {})
    good, bad, _ = contracts.split(batch.frame, contracts.row_checks(source, batch.frame.columns, names.timezone, now))
    if good.is_empty():
        raise _no_valid_rows(source, batch, _tally(bad))
    first, last = good.select(low=pl.col(source.event_time).min(), high=pl.col(source.event_time).max()).row(0)
    return first.date(), last.date()


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


@dataclass(frozen=True)
class _Judged:
    """The rows of one load, each with what is to become of it."""

    good: pl.DataFrame
    """All rows that hold the contract, whenever they became known."""
    bad: tuple[pl.DataFrame, ...]
    new: pl.DataFrame
    released: int
    waiting: int
    """Rows left in quarantine until what they refer to arrives."""
    choice: Choice
    tally: Mapping[str, int]

    @property
    def reasons(self) -> Counter[str]:
        return sum((Counter(_tally(rows)) for rows in self.bad), Counter[str]())


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
    def partitions(self) -> list[str]:
        return [EVENT_DATE] if self.source.daily else []

    @property
    def schema_folder(self) -> Path:
        return schemas.folder(self.lakehouse.settings.state, self.use_case)

    def without_file(self) -> LoadResult:
        """An optional source without a file has an empty table, so that everything downstream has its source."""
        if not self.lakehouse.exists(self.table):
            identifiers = references.expected_identifiers(self.lakehouse, self.use_case, self.source)
            self._create(table_schema(self.source, identifiers))
        found = (*contracts.findings({}, 0, {}), *load_warnings.nothing_loaded())
        return LoadResult(version=self.lakehouse.version(self.table), findings=found)

    def run(self, files: list[Path]) -> LoadResult:
        loaded_in = int(self.lakehouse.state(self.table).get(LOADED_IN, 0))
        memory = Memory(self.lakehouse.settings.state, self.use_case, self.source)
        recalled = memory.recall(
            self._identity(files),
            loaded_in=loaded_in, as_of=self.as_of, now=self.now, references=self._reference_versions(),
        )  # fmt: skip
        if recalled is not None:
            return self._unchanged(recalled)
        expected = references.expected_identifiers(self.lakehouse, self.use_case, self.source)
        batch = self._read(files, expected, first=not loaded_in)
        self._report(1)
        table = Table(self.lakehouse, self.use_case, self.source, batch.versioned, loaded_in)
        judged = self._judge(batch, table)
        self._report(2)
        self._quarantine(batch, judged)
        self._report(3)
        version = self._commit(batch, judged.new, {**batch.schema.columns, **expected}, table, loaded_in)
        result = self._result(batch, judged, version)
        self._remember(memory, batch, judged, result)
        self._report(4)
        return result

    def _identity(self, files: Sequence[Path]) -> str:
        carried = self.carrier is not None
        return identity(table_id(self.lakehouse, self.table), files, self.names, self.source, carried)

    def _reference_versions(self) -> dict[str, int | None]:
        tables = {references.target(self.use_case, r)[0] for r in self.source.references.values()}
        return self.lakehouse.versions(sorted(tables))

    def _report(self, step: int) -> None:
        if self.progress:
            self.progress(step, 4)

    def _unchanged(self, recalled: Remembered) -> LoadResult:
        result = recalled.result
        found = contracts.findings(recalled.tally, result.rows_read, result.quarantined)
        version = self.lakehouse.version(self.table)
        return replace(result, version=version, findings=(*found, *load_warnings.nothing_loaded()))

    def _read(self, files: list[Path], expected: Mapping[str, str], first: bool) -> Batch:
        carried = [s for s in self.use_case.sources if s.carried_by == self.source.name]
        declared = [c.file_name for s in carried for c in s.columns]
        inspected = inspection.inspect(self.source, files, self.names, expected, self.carrier, declared)
        schemas.check(self.schema_folder, self.source, inspected, self.use_case.name, first=first)
        references.check_types(self.source, inspected.schema, expected)
        batch = make_batch(self.source, inspected, self.names, expected)
        if batch.frame.is_empty() and self.carrier is None:
            paths = ", ".join(map(str, files))
            raise InputError(f"{paths}: expected rows of {self.source.name}, found none; deliver the file again")
        return batch

    def _judge(self, batch: Batch, table: Table) -> _Judged:
        source = self.source
        day = pl.col(source.event_time).dt.date()
        wanted = pl.lit(True) if self.days is None else day.is_between(*self.days)
        checks = contracts.row_checks(source, batch.frame.columns, self.names.timezone, self.now)
        good, bad, tally = contracts.split(batch.frame, checks)
        good = good.select(*table.columns, ROW, FILE).with_columns(day.alias(EVENT_DATE))
        visible = good.filter(pl.col(KNOWN_AT) <= pl.lit(self.as_of, UTC))
        stored = None if table.empty else table
        choice = choose(visible, wanted, source, versioned=batch.versioned, as_of=self.as_of, stored=stored)
        found = batch.frame.select(ROW, pl.selectors.starts_with(FOUND))
        refused = choice.refused.join(found, on=ROW, how="left", maintain_order="left")
        fresh, orphans = references.split(self.lakehouse, self.use_case, source, choice.new)
        released, waiting = self._release(visible, stored)
        return _Judged(
            good=good,
            bad=(bad.filter(wanted | day.is_null()), refused, orphans),
            new=pl.concat([fresh.select(released.columns), released]),
            released=released.height,
            waiting=waiting + orphans.height,
            choice=choice,
            tally={**tally, "uniqueness": refused.height, "references": orphans.height},
        )

    def _release(self, visible: pl.DataFrame, stored: Table | None) -> tuple[pl.DataFrame, int]:
        """Rows from quarantine that may go in now, and how many go on waiting."""
        source = self.source
        kinds = references.types(source, visible)
        waiting = visible.select(*kinds).clear()
        if source.references:
            waiting = quarantine.waiting(self.lakehouse, self.table, kinds)
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

    def _quarantine(self, batch: Batch, judged: _Judged) -> None:
        """Keep the bad rows. Raises InputError if there are no others."""
        entries = [quarantine.entries(rows, batch.files, self.as_of) for rows in judged.bad if not rows.is_empty()]
        if entries:
            quarantine.append(self.lakehouse, self.table, pl.concat(entries))
        if judged.good.is_empty() and not batch.frame.is_empty():
            raise _no_valid_rows(self.source, batch, judged.reasons, quarantine.table_of(self.table))

    def _commit(
        self, batch: Batch, new: pl.DataFrame, identifiers: Mapping[str, str], table: Table, loaded_in: int
    ) -> int | None:
        schema = table_schema(self.source, identifiers)
        if new.is_empty() and table.missing:
            self._create(schema)
        elif not new.is_empty():
            if table.empty and not table.missing:
                self._retype(schema)
            loaded_in += 1
            contracts.prove(self.source, new.drop(EVENT_DATE), identifiers)
            rows = new.with_columns(pl.lit(loaded_in, pl.Int64).alias(LOADED_IN)).select(schema.names)
            files = {str(p): fingerprint(p) for p in batch.files}
            self.lakehouse.write(
                self.table, rows.to_arrow().cast(schema), mode="append", schema=schema, rows=rows.height,
                partition_by=self.partitions,
                state={LOADED_IN: loaded_in, "as_of": self.as_of.isoformat(), "files": files},
            )  # fmt: skip
        table.keep(new, loaded_in)
        schemas.record(self.schema_folder, self.source, batch.schema)
        return self.lakehouse.version(self.table)

    def _create(self, schema: pa.Schema) -> None:
        from pyspark.sql.pandas.types import from_arrow_schema

        empty = self.lakehouse.spark.createDataFrame([], from_arrow_schema(schema))
        state = {LOADED_IN: 0}
        self.lakehouse.write(self.table, empty, mode="append", schema=schema, partition_by=self.partitions, state=state)

    def _retype(self, schema: pa.Schema) -> None:
        """Give a table that never held a row the identifier types of its first file."""
        held = {f.name: str(f.type) for f in self.lakehouse.schema(self.table)}
        if any(pa.types.is_int64(f.type) != (held[f.name] == "int64") for f in schema):
            self.lakehouse.reshape(self.table, schema, {LOADED_IN: 0})

    def _result(self, batch: Batch, judged: _Judged, version: int | None) -> LoadResult:
        read, reasons = batch.frame.height, judged.reasons
        return LoadResult(
            rows_read=read,
            appended=judged.new.height,
            already_known=judged.choice.already_known,
            duplicates=judged.choice.duplicates,
            quarantined=dict(reasons),
            not_yet_known=self._late(judged).height,
            released=judged.released,
            days=tuple(judged.new[EVENT_DATE].unique().sort()),
            version=version,
            undeclared=batch.schema.undeclared,
            zone_assumed=batch.zone_assumed,
            findings=(*contracts.findings(judged.tally, read, reasons), *self._shifts(judged.new)),
        )

    def _late(self, judged: _Judged) -> pl.DataFrame:
        late = judged.good.filter(pl.col(KNOWN_AT) > pl.lit(self.as_of, UTC))
        return late if self.days is None else late.filter(pl.col(EVENT_DATE).is_between(*self.days))

    def _shifts(self, new: pl.DataFrame) -> list[contracts.Finding]:
        if new.is_empty():
            return load_warnings.nothing_loaded()
        days = new[EVENT_DATE].unique().sort().to_list()
        current, before = load_warnings.reference_days(days)
        compared = [c.name for c in self.source.columns if c.kind in ("number", "integer") or c.nullable or c.optional]
        held = self.lakehouse.to_arrow(
            self.table, columns=[*compared, EVENT_DATE], filters=[(EVENT_DATE, "in", before)]
        )
        loaded = new.filter(pl.col(EVENT_DATE).is_in(current))
        return load_warnings.findings(
            self.source, days, loaded, pl.DataFrame(held), rows_per_day(self.lakehouse, self.table)
        )

    def _remember(self, memory: Memory, batch: Batch, judged: _Judged, result: LoadResult) -> None:
        # A second correction at one moment waits for a later one; days that were not asked for wait too.
        if self.days is not None or TOO_SOON in result.quarantined:
            return
        future = batch.frame.filter(pl.col(HAPPENED) > pl.lit(self.now, UTC))[HAPPENED].min()
        next_known = self._late(judged)[KNOWN_AT].min()
        done = Remembered(
            result=result,
            tally=judged.tally,
            loaded_in=int(self.lakehouse.state(self.table).get(LOADED_IN, 0)),
            next_known_at=next_known if isinstance(next_known, datetime) else None,
            next_event=future if isinstance(future, datetime) else None,
        )
        memory.remember(
            self._identity(batch.files), done, waiting=judged.waiting, references=self._reference_versions()
        )


def _tally(bad: pl.DataFrame) -> dict[str, int]:
    counted = bad[REASONS].explode().drop_nulls().value_counts(sort=True)
    return dict(counted.iter_rows())


def _no_valid_rows(source: Source, batch: Batch, reasons: Mapping[str, int], table: str = "") -> InputError:
    why = "; ".join(f"{reason} ({n} rows)" for reason, n in list(reasons.items())[:5])
    where = f" The rows are in {table}." if table else ""
    return InputError(
        f"{', '.join(map(str, batch.files))}: expected valid rows of {source.name}, found none among "
        f"{batch.frame.height}: {why}.{where} Mend the file, or declare what it holds in a columns file (`--columns`)"
    )
